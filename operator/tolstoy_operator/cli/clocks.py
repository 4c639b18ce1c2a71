"""Waiting for the operator: looking at the cluster again and again, for so long and no longer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

T = TypeVar("T")

PAUSE: Final = 0.5
"""Seconds between two looks."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """`now`: wall clock in UTC. `elapsed`: seconds, for waiting. `sleep`: takes seconds."""

    now: Callable[[], datetime]
    elapsed: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]

    async def until(self, look: Callable[[], Awaitable[T | None]], deadline: float) -> T | None:
        """What `look` sees first, at once or later. None when it saw nothing up to `deadline` (of `elapsed`)."""
        while (found := await look()) is None:
            if self.elapsed() >= deadline:
                return None
            await self.sleep(PAUSE)
        return found


async def finish(request: Awaitable[T]) -> T:
    """Wait for a request to its end, also when somebody interrupts: who cleans up must find what it has done."""
    task = asyncio.ensure_future(request)
    try:
        return await asyncio.shield(task)
    finally:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # asked for, so that it is not reported a second time
