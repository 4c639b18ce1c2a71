"""When to try again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0
"""Seconds; the messages of the reasons promise this bound."""

UNKNOWN_LIFETIME = 3600.0
LONGEST_SPREAD = 600.0
RETRIES_IN_TIME = (5.0, 15.0, 45.0, 120.0)

EXPIRING_LEAD = 300.0
"""Seconds before its end at which a token counts as expiring."""


def backoff(failures: int, uniform: Callable[[float, float], float]) -> float:
    """Seconds until the next try after `failures` (1 or more) failures in a row: exponential, with full jitter.

    A floor of a tenth keeps a small draw from turning into a burst of retries.
    """
    ceiling = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures, 16))
    return uniform(ceiling / 10, ceiling)


def refresh_lead(name: str, lifetime: float | None) -> float:
    """Seconds before its end at which the access token of secret `name` is refreshed.

    Five minutes, or a third of a short `lifetime` (seconds; None = unknown, taken as an hour), and on top a spread that
    is the same for everybody who asks: a fleet that was set up together is not refreshed together.
    """
    life = lifetime if lifetime is not None and lifetime > 0 else UNKNOWN_LIFETIME
    spread = min(LONGEST_SPREAD, life / 10)
    fraction = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") / 2**64
    return min(EXPIRING_LEAD, life / 3) + spread * fraction


def refresh_retry(failures: int, *, expired: bool, uniform: Callable[[float, float], float]) -> float:
    """Seconds until the next try of a refresh that failed `failures` (1 or more) times in a row.

    Before the end of the access token quickly, since there is something to save; afterwards 5 minutes, up to an hour.
    """
    if expired:
        ceiling = min(3600.0, 300.0 * 2 ** min(max(failures - len(RETRIES_IN_TIME), 0), 8))
    else:
        ceiling = RETRIES_IN_TIME[min(failures, len(RETRIES_IN_TIME)) - 1]
    return uniform(ceiling / 10, ceiling)
