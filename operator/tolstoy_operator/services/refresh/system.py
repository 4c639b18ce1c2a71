"""The real clocks and the real randomness."""

from __future__ import annotations

import asyncio
import random
import time
import uuid

from tolstoy_operator.domain.elapsed import ClockReading


class SystemClocks:
    """The clocks of this machine; where there is no boot-time clock, the monotonic one stands in."""

    def read(self) -> ClockReading:
        """All clocks at once."""
        monotonic = time.monotonic()
        boot = getattr(time, "CLOCK_BOOTTIME", None)
        boottime = monotonic if boot is None else time.clock_gettime(boot)
        return ClockReading(boottime=boottime, monotonic=monotonic, wall=time.time())

    async def sleep(self, seconds: float) -> None:
        """Pause."""
        await asyncio.sleep(seconds)


class SystemRandom:
    """Jitter, and nonces that nobody else draws."""

    def uniform(self, low: float, high: float) -> float:
        """A number between the two."""
        return random.uniform(low, high)  # noqa: S311 - spreads retries

    def nonce(self) -> str:
        """A text that nobody else draws."""
        return uuid.uuid4().hex
