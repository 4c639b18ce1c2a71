"""What a refusal means: from an error code, a description or a bare status to who can help.

A provider's own meaning comes first, then the standard's, then what the status says. Nothing a provider writes is
passed on except its error code, and that only when it is a short word from a safe alphabet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from tolstoy_operator.domain.replyfields import Document, at, http_date, number, word
from tolstoy_operator.domain.replyrules import ReplyRules, TextRule
from tolstoy_operator.domain.tokenoutcome import RETRY_AFTER_LIMIT, Rejection

SERVER_ERROR = "server_error"
"""The one error code that leaves open whether the request was processed."""

MEANINGS: Mapping[str, Rejection] = {
    **dict.fromkeys(
        (
            "invalid_grant",
            "bad_refresh_token",
            "invalid_refresh_token",
            "BAD_REFRESH_TOKEN",
            "token_revoked",
            "interaction_required",
            "consent_required",
            "login_required",
            "invalid_rapt",
            "account_inactive",
            "AADSTS50076",
            "AADSTS50079",
            "AADSTS50173",
            "AADSTS65001",
            "AADSTS70008",
            "AADSTS700082",
        ),
        Rejection.REAUTHORIZE,
    ),
    **dict.fromkeys(
        (
            "invalid_client",
            "unauthorized_client",
            "incorrect_client_credentials",
            "AADSTS700016",
            "AADSTS7000215",
            "AADSTS7000222",
        ),
        Rejection.CLIENT_MISCONFIGURED,
    ),
    **dict.fromkeys(
        ("invalid_scope", "invalid_target", "unsupported_grant_type", "invalid_request", "use_dpop_nonce"),
        Rejection.REQUEST_MISCONFIGURED,
    ),
    "temporarily_unavailable": Rejection.TRANSIENT,
    "slow_down": Rejection.TRANSIENT,
}

RACE = TextRule("invalid_request", "multiple concurrent requests", Rejection.TRANSIENT)
"""Ory servers say so when two requests raced: our mutual exclusion failed, and trying again is right."""

_ERROR_PATHS = ("error", "error.code", "error.type", "errors.0.code", "errors.0.error")
_DETAIL_PATHS = ("suberror", "error_subtype")
_TEXT_PATHS = ("error_description", "error_hint", "message", "error.message")
_WRONG_PLACE = {
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.NOT_ACCEPTABLE,
    HTTPStatus.GONE,
    HTTPStatus.LENGTH_REQUIRED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.REQUEST_URI_TOO_LONG,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
}
_TEXT_LENGTH = 2048
_DETAILS = 8
_EPOCH_FROM = 1e9
"""A reset header at or above this is a Unix time, below it a number of seconds."""


@dataclass(frozen=True, slots=True)
class Codes:
    """The error codes of one reply. `details` refine `main` (Entra's numbers, Google's subtypes), so they go first."""

    main: tuple[str, ...]
    details: tuple[str, ...]

    @property
    def shown(self) -> str | None:
        """The code to report."""
        return next(iter(self.main + self.details), None)

    def __iter__(self) -> Iterator[str]:
        return iter(self.details + self.main)


def codes(document: Document | None) -> Codes:
    """Every error code in the reply."""
    status = at(document, "status")
    # A number in `status` repeats the HTTP status; a word there is HubSpot's error code.
    values = [at(document, path) for path in _ERROR_PATHS]
    values += [status if isinstance(status, str) else None, at(document, "code"), at(document, "reason")]
    entra = at(document, "error_codes")
    numbers = [word(value) for value in entra[:_DETAILS]] if isinstance(entra, list) else []
    return Codes(
        main=_words(values),
        details=(
            *(f"AADSTS{number}" for number in numbers if number is not None),
            *_words(at(document, path) for path in _DETAIL_PATHS),
        ),
    )


def _words(values: Iterable[object]) -> tuple[str, ...]:
    return tuple(code for value in values if (code := word(value)) is not None)


def says_error(document: Document | None) -> bool:
    """Whether the reply itself speaks of an error, whatever its status."""
    return bool(at(document, "error")) or bool(at(document, "errors"))


def overridden(document: Document | None, rules: ReplyRules) -> Rejection | None:
    """What this provider's own rules make of the reply."""
    found = codes(document)
    return _by_text(document, found, rules.texts) or _by_code(found, rules.errors)


def standard(document: Document | None) -> Rejection | None:
    """What the standard makes of the reply's error codes."""
    found = codes(document)
    return _by_text(document, found, (RACE,)) or _by_code(found, MEANINGS)


def says_raced(document: Document | None) -> bool:
    """Whether the provider refused because another request with the same refresh token was under way."""
    return _by_text(document, codes(document), (RACE,)) is not None


def _by_code(found: Iterable[str], meanings: Mapping[str, Rejection]) -> Rejection | None:
    return next((meanings[code] for code in found if code in meanings), None)


def _by_text(document: Document | None, found: Codes, rules: Iterable[TextRule]) -> Rejection | None:
    texts = [value[:_TEXT_LENGTH].lower() for path in _TEXT_PATHS if isinstance(value := at(document, path), str)]
    for rule in rules:
        if rule.code in found and any(rule.text in text for text in texts):
            return rule.rejection
    return None


def by_status(status: int, headers: Mapping[str, str], *, readable: bool) -> Rejection:
    """What a bare status says. `readable`: the body was an OAuth-like object, not a page of something in between."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Rejection.THROTTLED
    if status == HTTPStatus.TOO_EARLY:
        return Rejection.TRANSIENT
    if status == HTTPStatus.UNAUTHORIZED and "www-authenticate" in headers:
        return Rejection.CLIENT_MISCONFIGURED
    if status == HTTPStatus.FORBIDDEN and not readable:
        return Rejection.NETWORK_REFUSED
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST or status in _WRONG_PLACE:
        return Rejection.REQUEST_MISCONFIGURED
    return Rejection.UNKNOWN


def bare_code(status: int, headers: Mapping[str, str]) -> str:
    """The code of a reply that has none: its status, and of a redirect the host that it leads to.

    Nothing else of the `Location`, as path, query and user may hold anything, and no host that is no short word.
    """
    code = f"http_{status}"
    if not HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return code
    try:
        host = word(urlsplit(headers.get("location", "")).hostname)
    except ValueError:
        return code
    return code if host is None else f"{code}:{host}"


def retry_after(status: int, headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that the provider asks to wait, at most `RETRY_AFTER_LIMIT`.

    An HTTP date is measured against the reply's own `Date`, so a wrong clock of ours doesn't stretch it. The reset
    headers are sent with every reply by some, so they count on 429 only.
    """
    here = http_date(headers.get("date"))
    wait = _wait(headers.get("retry-after"), now if here is None else here)
    if wait is None and status == HTTPStatus.TOO_MANY_REQUESTS:
        resets = (headers.get(name) for name in ("x-rate-limit-reset", "x-ratelimit-reset", "ratelimit-reset"))
        wait = next((wait for text in resets if (wait := _reset(text, now)) is not None), None)
    return None if wait is None else min(max(wait, 0.0), RETRY_AFTER_LIMIT)


def _wait(text: str | None, now: float) -> float | None:
    seconds = number(text)
    if seconds is not None:
        return seconds
    date = http_date(text)
    return None if date is None else date - now


def _reset(text: str | None, now: float) -> float | None:
    value = number(text)
    if value is None:
        return None
    return value - now if value >= _EPOCH_FROM else value
