"""`python -m tests.support.skewed`: the operator on a machine whose clock is wrong by `CLOCK_SKEW_S` seconds.

While it runs, SIGUSR1 sets the clock an hour ahead, and SIGUSR2 an hour back.

The C library's clock cannot be set for one process, so Python's own readings of the wall clock are: `time.time`, which
everything that schedules asks, and the moment that the reconciler judges a status by. Monotonic clocks stay right, as
they do on a machine with a wrong date. Who watches for such a jump looks every half second, so that nobody waits long.
"""

from __future__ import annotations

import datetime as calendar
import os
import signal
import sys
import time

AHEAD, BACK = signal.SIGUSR1, signal.SIGUSR2
HOUR = 3600.0
_right = time.time


class _Clock:
    """The clock on the wall of this machine."""

    def __init__(self) -> None:
        self.skew = float(os.environ.get("CLOCK_SKEW_S", "0"))

    def time(self) -> float:
        """Epoch seconds that this machine believes in."""
        return _right() + self.skew

    def set(self, number: int, _: object) -> None:
        """Somebody sets it."""
        self.skew += HOUR if number == AHEAD else -HOUR


clock = _Clock()


class SkewedDatetime(calendar.datetime):
    """`datetime` whose `now` is wrong."""

    @classmethod
    def now(cls, tz: calendar.tzinfo | None = None) -> SkewedDatetime:
        """The time of day that this machine believes in."""
        return cls.fromtimestamp(clock.time(), tz)


def main() -> None:
    """Set the clock wrong, and run the operator."""
    time.time = clock.time
    signal.signal(AHEAD, clock.set)
    signal.signal(BACK, clock.set)
    from tolstoy_operator import assembly
    from tolstoy_operator.__main__ import main as run
    from tolstoy_operator.engine import clockwatch

    setattr(assembly, "datetime", SkewedDatetime)  # noqa: B010 - to the type checker it is a class
    clockwatch.PAUSE = 0.5
    sys.exit(run())


if __name__ == "__main__":
    main()
