"""Calls between processes and services: slow, lost before or after they are executed, late, or made twice.

A service executes a call atomically at one moment. What the caller learns is another matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from tests.simulation.loop import Future, Loop, Process
from tolstoy_operator.domain.errors import StoreUnavailable, Throttled

T = TypeVar("T")

TIMEOUT_S = 7.0
"""After this a caller gives up: connect and read timeout of a store client."""


@dataclass(slots=True)
class Weather:
    """How bad it is. `faults`: probability of each call to go wrong; `lag`: longest staleness of a read, seconds."""

    faults: float = 0.0
    lag: float = 0.0
    cut_off: dict[tuple[str, str], float] = field(default_factory=dict)
    """(cluster, service) -> until when no call gets through."""
    cuts: list[tuple[str, str, float, float]] = field(default_factory=list)
    """All of them so far: cluster, service, from, until."""
    stuck: dict[str, tuple[float, float]] = field(default_factory=dict)
    """process -> its reads show this moment, until that one."""

    def reachable(
        self, cluster: str, service: str, start: float, end: float, stops: Sequence[tuple[float, float]]
    ) -> float:
        """For how many seconds between the two a process of the cluster ran, and its calls could get through."""
        cuts = [(since, until) for where, what, since, until in self.cuts if (where, what) == (cluster, service)]
        open_for, time = 0.0, start
        for since, until in sorted([*cuts, *stops]):
            open_for += max(0.0, min(since, end) - time)
            time = max(time, min(until, end))
        return open_for + max(0.0, end - time)


class Network:
    """Carries calls. All randomness of the weather comes from one generator, so that a schedule replays."""

    def __init__(self, loop: Loop, random: Random, weather: Weather) -> None:
        self.loop, self.random, self.weather = loop, random, weather
        self.lost_replies = 0

    async def call(self, process: Process, service: str, execute: Callable[[], T], *, writes: bool = False) -> T:
        """Run `execute` at the service. Raises what it raises, `Throttled` or `StoreUnavailable`."""
        future: Future[T] = Future()
        draw, weather = self.random.random, self.weather
        there, back = 0.01 + 0.1 * draw(), 0.01 + 0.1 * draw()
        if weather.cut_off and weather.cut_off.get((process.cluster, service), 0.0) > self.loop.now:
            self.loop.after(TIMEOUT_S, lambda: future.fail(StoreUnavailable("secret", "timeout")))
            return await future
        if weather.faults and draw() < weather.faults:
            return await self._go_wrong(future, execute, there, back, writes=writes)
        self.loop.after(there, lambda: self._execute(future, execute, back))
        return await future

    async def _go_wrong(
        self, future: Future[T], execute: Callable[[], T], there: float, back: float, *, writes: bool
    ) -> T:
        loop, draw = self.loop, self.random.random
        fault = draw()
        if fault < 0.2:
            loop.after(there, lambda: future.fail(Throttled("secret", "rate")))
        elif fault < 0.4:
            loop.after(TIMEOUT_S, lambda: future.fail(StoreUnavailable("secret", "timeout")))
        elif fault < 0.7:  # executed, but the reply is lost; sometimes long after the caller gave up
            late = there if fault < 0.55 else 5.0 + 400.0 * draw() ** 3
            self.lost_replies += writes
            loop.after(late, lambda: _quietly(execute))
            loop.after(TIMEOUT_S, lambda: future.fail(StoreUnavailable("secret", "timeout")))
        elif fault < 0.85:  # the client library repeats the call after a lost reply: the second answer counts
            loop.after(there, lambda: _quietly(execute))
            loop.after(there + 1.0 + draw(), lambda: self._execute(future, execute, back))
        else:
            loop.after(there + 5.0 * draw(), lambda: self._execute(future, execute, back))
        return await future

    def _execute(self, future: Future[T], execute: Callable[[], T], back: float) -> None:
        try:
            value = execute()
        except Exception as error:
            failure = error
            self.loop.after(back, lambda: future.fail(failure))
        else:
            self.loop.after(back, lambda: future.set(value))


def _quietly(execute: Callable[[], object]) -> None:
    with suppress(Exception):  # nobody hears the reply
        execute()
