"""Time that passes only while somebody sleeps."""

from __future__ import annotations

import asyncio

from tests.unit.cli.objects import NOW
from tolstoy_operator.cli.clocks import Clocks


class FakeTime:
    """`elapsed`: seconds slept so far. The wall clock stands at `NOW`."""

    def __init__(self) -> None:
        self.elapsed = 0.0

    @property
    def clocks(self) -> Clocks:
        return Clocks(lambda: NOW, lambda: self.elapsed, self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.elapsed += seconds
        await asyncio.sleep(0)
