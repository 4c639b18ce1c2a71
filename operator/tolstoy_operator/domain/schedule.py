"""When to try again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, NamedTuple

from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.refresh import OldAccessToken, ProviderTraits

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0
"""Seconds; the messages of the reasons promise this bound."""

UNKNOWN_LIFETIME = 3600.0
DAY: Final = 86_400.0
RETRIES_IN_TIME = (5.0, 15.0, 45.0, 120.0)

USUAL_LEAD: Final = 300.0
"""Seconds before its end by which a token of a usual lifetime has been refreshed."""


class Spread(NamedTuple):
    """By how much refreshes are apart that would be due together: a `part` of the lifetime, `seconds` at most."""

    part: float
    seconds: float


USUAL_SPREAD: Final = Spread(1 / 10, 600.0)
FIRST_SPREAD: Final = Spread(1 / 3, 1200.0)
"""Of tokens that we have not refreshed yet, such as those of an import: ten thousand that live an hour fit the default
budget of writes. Once refreshed they stay apart, and need not be refreshed so much earlier each time."""
SMALL_SPREAD: Final = Spread(1 / 10, 30.0)
"""Where each refresh ends the access token that workloads hold, so that there should be few."""


def doubled(pause: float, times: int, longest: float) -> float:
    """A pause that has been doubled so many times, and is `longest` at most. All in seconds."""
    return min(longest, pause * 2.0 ** min(times, 16))


def backoff(failures: int, uniform: Callable[[float, float], float]) -> float:
    """Seconds until the next try after `failures` (1 or more) failures in a row: exponential, with full jitter.

    A floor of a tenth keeps a small draw from turning into a burst of retries.
    """
    ceiling = doubled(FIRST_PAUSE, failures, LONGEST_PAUSE)
    return uniform(ceiling / 10, ceiling)


def refresh_due(
    name: str, document: OAuthDocument, traits: ProviderTraits, *, lead: float | None = None
) -> float | None:
    """When the tokens of secret `name` have to be refreshed, epoch seconds.

    0: the access token never was good for anything. None: nobody knows when anything ends. `lead`: seconds before the
    end of the access token that somebody wants, None = the usual.
    """
    if document.access_token is None:
        return 0.0
    dues = (_before_the_end(name, document, traits, lead), _before_it_lay_idle(name, document, traits))
    return min((due for due in dues if due is not None), default=None)


def _before_the_end(name: str, document: OAuthDocument, traits: ProviderTraits, lead: float | None) -> float | None:
    """An expiry that the document does not state follows from the provider's usual lifetime, where that is known."""
    issued, ends = document.last_updated, document.expires_at
    if ends is None:
        if traits.lifetime_s is None:
            return None
        ends = issued + traits.lifetime_s if issued is not None else 0.0
    lifetime = ends - issued if issued is not None else None
    return ends - refresh_lead(name, lifetime, wanted=lead, spread=_spread(document, traits))


def _spread(document: OAuthDocument, traits: ProviderTraits) -> Spread:
    if document.bookkeeping is None:
        return FIRST_SPREAD
    return SMALL_SPREAD if traits.old_access_token is OldAccessToken.DIES else USUAL_SPREAD


def _before_it_lay_idle(name: str, document: OAuthDocument, traits: ProviderTraits) -> float | None:
    """A refresh token is used in the middle of the time that it lives unused, however long its access token lives.

    One that ends at a stated time is used a day before. If that does not put the end off, it is not done again. Where
    nothing tells how long it has lain, it is used at once: that dates the document.
    """
    issued, idle = _issued(document, traits), traits.refresh_idle_s
    if document.refresh_token is None:
        return None
    if idle is not None:
        return 0.0 if issued is None else issued + idle / 2 - idle / 20 * _fraction(name)
    ends = document.refresh_expires_at
    if ends is None or (issued is not None and ends - issued < 2 * DAY):
        return None
    return ends - DAY - DAY / 10 * _fraction(name)


def _issued(document: OAuthDocument, traits: ProviderTraits) -> float | None:
    """When the tokens were issued, at the latest, if anything tells."""
    issued, ends = document.last_updated, document.expires_at
    return issued if issued is not None or ends is None else ends - (traits.lifetime_s or 0.0)


def refresh_lead(
    name: str, lifetime: float | None, *, wanted: float | None = None, spread: Spread = USUAL_SPREAD
) -> float:
    """Seconds before its end at which the access token of secret `name` is refreshed.

    Five minutes or what is `wanted`, or a third of a short `lifetime` (seconds; None = unknown, taken as an hour), and
    on top up to `spread`, the same for everybody who asks: a fleet that was set up together is not refreshed together.
    """
    life = lifetime if lifetime is not None and lifetime > 0 else UNKNOWN_LIFETIME
    usual = USUAL_LEAD if wanted is None else wanted
    return min(usual, life / 3) + min(spread.seconds, life * spread.part) * _fraction(name)


def expiring_lead(lifetime: float) -> float:
    """Seconds before its end at which an access token of this `lifetime` (seconds) counts as expiring.

    Five minutes, or a quarter of a short lifetime: later than it is refreshed when all is well, so that a token that
    lives for minutes does not count as expiring once in each of its lives.
    """
    return min(USUAL_LEAD, lifetime / 4) if lifetime > 0 else USUAL_LEAD


def _fraction(name: str) -> float:
    """Between 0 and 1, from the name."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") / 2**64


def refresh_retry(failures: int, *, expired: bool, uniform: Callable[[float, float], float]) -> float:
    """Seconds until the next try of a refresh that failed `failures` (1 or more) times in a row.

    Before the end of the access token quickly, since there is something to save; afterwards 5 minutes, up to an hour.
    """
    if expired:
        ceiling = doubled(300.0, max(failures - len(RETRIES_IN_TIME), 0), 3600.0)
    else:
        ceiling = RETRIES_IN_TIME[min(failures, len(RETRIES_IN_TIME)) - 1]
    return uniform(ceiling / 10, ceiling)


CONSENT_WARNINGS: Final = (1, 3, 14)
"""Days before the end of a consent at which it is said, once each."""


def consent_warning(ends: float | None, now: float) -> int | None:
    """The number of days within which a consent ends, of those worth a warning; None while there is time."""
    left = None if ends is None else ends - now
    return None if left is None else next((days for days in CONSENT_WARNINGS if left <= days * DAY), None)
