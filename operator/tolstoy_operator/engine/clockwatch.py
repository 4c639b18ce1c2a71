"""Noticing that the wall clock was set, by hand or by NTP, or that the machine has slept.

What is due waits by the monotonic clock, so that a clock that is set makes nothing happen at once or never. But when a
token is due was worked out from the time of day, and has to be worked out anew when that turns out to have been wrong.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

_log = logging.getLogger(__name__)

PAUSE = 30.0
"""Seconds between looks."""
TOLERANCE = 10.0
"""Seconds by which clocks may drift apart before anybody is told."""


class ClockWatch:
    """`wall`: epoch seconds; `monotonic`: seconds; `moved`: called when the one has moved against the other."""

    def __init__(self, *, wall: Callable[[], float], monotonic: Callable[[], float], moved: Callable[[], None]) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._moved = moved
        self._difference = wall() - monotonic()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                self.look()
            except Exception:
                _log.exception("what is due was not worked out anew, the next look tries again")
            await asyncio.sleep(PAUSE)

    def look(self) -> None:
        """Tell if the clock was set since the last time that it was told."""
        difference = self._wall() - self._monotonic()
        by = difference - self._difference
        if abs(by) > TOLERANCE:
            _log.warning("the clock was set by %+.0f s: what is due is worked out anew", by)
            self._moved()
            self._difference = difference
