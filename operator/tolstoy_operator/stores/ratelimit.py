"""A token bucket, so that the account's quota is shared and not used up by us.

Quotas of Secrets Manager are per account and Region, and botocore's own client-side throttling slows *all* operations
of a client together. One bucket per class of operations keeps a burst of reads from delaying a write.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

_SLOWEST = 1 / 16
_RECOVERY = 1.02


class TokenBucket:
    """`rate` calls a second on average, `burst` at once (default: one second's worth). First come, first served."""

    def __init__(
        self,
        rate: float,
        burst: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._full_rate = self._rate = rate
        self._burst = max(1.0, rate if burst is None else burst)
        self._tokens = self._burst
        self._clock = clock
        self._sleep = sleep
        self._seen = clock()

    @property
    def rate(self) -> float:
        """Calls a second at the moment."""
        return self._rate

    async def acquire(self) -> None:
        """Wait for one call's turn. A cancelled wait gives its turn back."""
        self._refill()
        self._tokens -= 1
        if self._tokens >= 0:
            return
        try:
            await self._sleep(-self._tokens / self._rate)
        except BaseException:
            self._tokens += 1
            raise

    def slow_down(self) -> None:
        """The service asked for fewer calls: half the rate, down to a sixteenth."""
        self._refill()
        self._rate = max(self._full_rate * _SLOWEST, self._rate / 2)

    def speed_up(self) -> None:
        """A call went well: a little closer to the full rate."""
        self._refill()
        self._rate = min(self._full_rate, self._rate * _RECOVERY)

    def _refill(self) -> None:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._seen) * self._rate)
        self._seen = now
