"""Many askers, few calls: one read per secret at a time, and reads that start together travel together.

A read waits a few milliseconds for company, and while another one is under way it waits for that to come back, so
that batches fill up when there is much to read. Alone it goes as a single read, which has by far the larger quota; in
company it goes as a batch, whose free seats go to those who are about to ask. Whoever asks for a secret whose read is
under way joins that read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from tolstoy_operator.domain.errors import StoreError, StoreUnavailable
from tolstoy_operator.observability.audit import Actor
from tolstoy_operator.services.cache import CacheEntry
from tolstoy_operator.stores.base import SecretStore, SecretVersion

BATCH_SIZE: Final = 20
WINDOW_S: Final = 0.005
BUSY_WINDOW_S: Final = 0.1
"""The longest wait for another read to come back: one that hangs holds up nobody for long."""

Answer = SecretVersion | StoreError
Settled = CacheEntry | StoreError


@dataclass(slots=True, eq=False)
class Flight:
    """One read under way. `asked_at`: monotonic seconds at which the store was asked.

    `superseded`: something newer was learned meanwhile, so the answer serves those who wait and is not kept.
    """

    name: str
    answer: asyncio.Future[Settled]
    actors: set[Actor | None] = field(default_factory=set)
    asked_at: float = 0.0
    superseded: bool = False


class Coalescer:
    """Reads through `store`. `settle` turns the store's answer into what all askers of a flight get, once a flight.

    `upcoming`: what is about to be asked for, and by whom. `clock`: monotonic seconds; `window`: seconds.
    """

    def __init__(
        self,
        store: SecretStore,
        *,
        settle: Callable[[Flight, Answer], Settled],
        upcoming: Callable[[], Iterator[tuple[str, Actor]]],
        clock: Callable[[], float],
        window: float = WINDOW_S,
    ) -> None:
        self._store = store
        self._settle = settle
        self._upcoming = upcoming
        self._clock = clock
        self._window = window
        self._flights: dict[str, Flight] = {}
        self._boarding: list[Flight] = []
        self._departure: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.calls = 0
        self.joined = 0

    async def read(self, name: str, actor: Actor | None) -> Settled:
        """What the store says now, or says to a question that is under way. Errors are returned, not raised."""
        flight = self._flights.get(name)
        if flight is None:
            flight = self._board(name)
        else:
            self.joined += 1
        flight.actors.add(actor)
        return await asyncio.shield(flight.answer)

    def under_way(self) -> list[str]:
        """The secrets that are being read."""
        return list(self._flights)

    def supersede(self, name: str) -> None:
        """Whoever asks from now on needs a read that starts from now on."""
        flight = self._flights.pop(name, None)
        if flight is not None:
            flight.superseded = True

    def _board(self, name: str) -> Flight:
        loop = asyncio.get_running_loop()
        flight = self._book(name)
        if not self._boarding:
            wait = max(self._window, BUSY_WINDOW_S) if self._tasks else self._window
            self._departure = loop.call_later(wait, self._depart)
        self._boarding.append(flight)
        if len(self._boarding) >= BATCH_SIZE:
            self._depart()
        return flight

    def _book(self, name: str) -> Flight:
        flight = self._flights[name] = Flight(name, asyncio.get_running_loop().create_future())
        return flight

    def _depart(self) -> None:
        if self._departure is not None:
            self._departure.cancel()
        if self._boarding:
            flights, self._boarding = [*self._boarding, *self._fill(BATCH_SIZE - len(self._boarding))], []
            task = asyncio.get_running_loop().create_task(self._fly(flights))
            self._tasks.add(task)
            task.add_done_callback(self._land)

    def _fill(self, seats: int) -> Iterator[Flight]:
        wanted = ((name, actor) for name, actor in self._upcoming() if name not in self._flights)
        for name, actor in islice(wanted, seats):
            flight = self._book(name)
            flight.actors.add(actor)
            yield flight

    def _land(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._depart()

    async def _fly(self, flights: Sequence[Flight]) -> None:
        now = self._clock()
        for flight in flights:
            flight.asked_at = now
        try:
            answers = await self._ask(list(dict.fromkeys(flight.name for flight in flights)))
            for flight in flights:
                answer = answers.get(flight.name) or StoreUnavailable(
                    flight.name, "the store left it out of its answer"
                )
                flight.answer.set_result(self._settle(flight, answer))
        except Exception as error:
            # A defect below must reach those who wait, or they would wait forever.
            for flight in flights:
                _crash(flight, error)
        finally:
            for flight in flights:
                flight.answer.cancel()  # only those without an answer: we were cancelled
                if self._flights.get(flight.name) is flight:
                    del self._flights[flight.name]

    async def _ask(self, names: Sequence[str]) -> Mapping[str, Answer]:
        self.calls += 1
        try:
            if len(names) == 1:
                return {names[0]: await self._store.get(names[0])}
            return await self._store.get_many(names)
        except StoreError as error:
            return {name: type(error)(name, error.cause) for name in names}


def _crash(flight: Flight, error: Exception) -> None:
    if not flight.answer.done():
        flight.answer.set_exception(error)
        flight.answer.exception()  # retrieved, should nobody wait any more
