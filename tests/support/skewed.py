"""`python -m tests.support.skewed`: the operator on a machine whose clock is wrong by `CLOCK_SKEW_S` seconds.

The C library's clock cannot be set for one process, so Python's own readings of the wall clock are: `time.time`, which
everything that schedules asks, and the moment that the reconciler judges a status by. Monotonic clocks stay right, as
they do on a machine with a wrong date.
"""

from __future__ import annotations

import datetime as calendar
import os
import time

SKEW = float(os.environ.get("CLOCK_SKEW_S", "0"))
_right = time.time


class SkewedDatetime(calendar.datetime):
    """`datetime` whose `now` is wrong."""

    @classmethod
    def now(cls, tz: calendar.tzinfo | None = None) -> SkewedDatetime:
        """The time of day that this machine believes in."""
        return cls.fromtimestamp(_right() + SKEW, tz)


def main() -> None:
    """Set the clock wrong, and run the operator."""
    time.time = lambda: _right() + SKEW
    from tolstoy_operator import assembly
    from tolstoy_operator.__main__ import main as run

    setattr(assembly, "datetime", SkewedDatetime)  # noqa: B010 - to the type checker it is a class
    run()


if __name__ == "__main__":
    main()
