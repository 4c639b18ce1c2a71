"""When to try again."""

from __future__ import annotations

from collections.abc import Callable

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0
"""Seconds; the messages of the reasons promise this bound."""

EXPIRING_LEAD = 300.0
"""Seconds before its end at which a token counts as expiring."""


def backoff(failures: int, uniform: Callable[[float, float], float]) -> float:
    """Seconds until the next try after `failures` (1 or more) failures in a row: exponential, with full jitter.

    A floor of a tenth keeps a small draw from turning into a burst of retries.
    """
    ceiling = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures, 16))
    return uniform(ceiling / 10, ceiling)
