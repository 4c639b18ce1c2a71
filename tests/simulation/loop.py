"""Simulated time: an event queue, and processes whose coroutines run on it.

Nothing here sleeps or knows the real clock. A process can be killed at any event and resumes, if at all, with an empty
memory; it can be stopped for a while, with or without its clocks.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

from tolstoy_operator.domain.elapsed import ClockReading

T = TypeVar("T")

EPOCH = 1_700_000_000.0
"""What wall clocks show at simulated second 0."""


class Loop:
    """Events in the order of simulated seconds; equal times in the order in which they were planned."""

    def __init__(self) -> None:
        self.now = 0.0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._planned = 0

    def at(self, time: float, action: Callable[[], None]) -> None:
        self._planned += 1
        heapq.heappush(self._queue, (max(time, self.now), self._planned, action))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        self.at(self.now + seconds, action)

    def run(self, until: float) -> None:
        queue = self._queue
        while queue and queue[0][0] <= until:
            self.now, _, action = heapq.heappop(queue)
            action()
        self.now = until


class Future(Generic[T]):
    """A value that comes later. The first one counts."""

    __slots__ = ("_done", "_error", "_value", "wake")

    def __init__(self) -> None:
        self._done = False
        self._value: T | None = None
        self._error: Exception | None = None
        self.wake: Callable[[], None] | None = None

    def set(self, value: T) -> None:
        self._settle(value, None)

    def fail(self, error: Exception) -> None:
        self._settle(None, error)

    def _settle(self, value: T | None, error: Exception | None) -> None:
        if self._done:
            return
        self._done, self._value, self._error = True, value, error
        if self.wake is not None:
            self.wake()

    @property
    def done(self) -> bool:
        return self._done

    def __await__(self) -> Generator[Future[T], None, T]:
        if not self._done:
            yield self
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]


class Process:
    """A machine's process with three clocks. `stop` freezes it; clocks that stand still meanwhile are named."""

    def __init__(self, loop: Loop, name: str, cluster: str, *, skew: float = 0.0) -> None:
        self.loop, self.name, self.cluster = loop, name, cluster
        self.alive = False
        self.life = 0
        self.crashes = 0
        self._stopped_until = 0.0
        self.stops: list[tuple[float, float]] = []
        self._coroutine: Coroutine[Any, Any, None] | None = None
        self._lost = {"boottime": 0.0, "monotonic": 0.0, "wall": -skew}

    def start(self, main: Coroutine[Any, Any, None]) -> None:
        self.alive, self._coroutine = True, main
        self.life += 1
        self._resume(self.life)

    def kill(self) -> None:
        if not self.alive or self._coroutine is None:
            return
        self.alive = False
        self.crashes += 1
        coroutine, self._coroutine = self._coroutine, None
        coroutine.close()

    def stop(self, seconds: float, *frozen: str) -> None:
        self._stopped_until = max(self._stopped_until, self.loop.now + seconds)
        self.stops.append((self.loop.now, self.loop.now + seconds))
        for clock in frozen:
            self._lost[clock] += seconds

    def set_wall_clock(self, seconds: float) -> None:
        self._lost["wall"] -= seconds

    def read(self) -> ClockReading:
        now, lost = self.loop.now, self._lost
        return ClockReading(now - lost["boottime"], now - lost["monotonic"], EPOCH + now - lost["wall"])

    async def sleep(self, seconds: float) -> None:
        future: Future[None] = Future()
        self.loop.after(max(seconds, 0.0), lambda: future.set(None))
        await future

    def ran(self, start: float, end: float) -> float:
        """For how many seconds between the two the process was not stopped, at least."""
        return end - start - sum(max(0.0, min(until, end) - max(since, start)) for since, until in self.stops)

    @property
    def stopped(self) -> bool:
        return self.loop.now < self._stopped_until

    def _resume(self, life: int) -> None:
        if not self.alive or life != self.life:
            return
        if self.stopped:
            self.loop.at(self._stopped_until, lambda: self._resume(life))
            return
        coroutine = self._coroutine
        if coroutine is None:
            return
        try:
            future = coroutine.send(None)
            while future.done:
                future = coroutine.send(None)
        except StopIteration:
            self.alive = False
            return
        future.wake = lambda: self.loop.after(0.0, lambda: self._resume(life))
