"""What a provider says about a token that already exists: introspection (RFC 7662), a probe, revocation (RFC 7009).

A provider in trouble says nothing about a token: 429, 5xx and a refused client leave everything as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus

from tolstoy_operator.domain import tokenerrors
from tolstoy_operator.domain.replyfields import Document, at, decode, lowered, number
from tolstoy_operator.domain.tokenoutcome import Rejection

_NO_SUCH_ENDPOINT = {
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.GONE,
    HTTPStatus.NOT_IMPLEMENTED,
}
_ASK_AGAIN = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}


class Liveness(StrEnum):
    """Whether a token works."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Health:
    """What was learnt about a token.

    `code`: the provider's error code or `http_<status>`, empty when all is well. `rejection`: set when the question was
    refused, `CLIENT_MISCONFIGURED` meaning ourselves. `expires_at` in Unix seconds on the provider's clock.
    `retry_after`: seconds for which not to ask again. `asked`: False when no question was sent.
    """

    liveness: Liveness
    code: str = ""
    expires_at: float | None = None
    scope: str | None = None
    rejection: Rejection | None = None
    retry_after: float | None = None
    asked: bool = True


class RevocationResult(StrEnum):
    """What a revocation request led to."""

    DONE = "done"
    """The provider said yes, which it also does for a token it never knew: verify."""
    UNSUPPORTED = "unsupported"
    """There is no such endpoint, or not for this kind of token."""
    REFUSED = "refused"
    """The client was refused or the request not understood."""
    RETRY = "retry"
    """Assume that the token still works, and ask again."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """A revocation request's result. `retry_after` in seconds."""

    result: RevocationResult
    code: str = ""
    retry_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRules:
    """How one provider answers a dead token.

    `success`: members of a 2xx reply that must have this value, as in `{"ok": true}`. `dead_codes`: error codes that
    mean a dead token where they don't, all codes when empty.
    """

    dead_statuses: frozenset[int] = frozenset({HTTPStatus.UNAUTHORIZED})
    success: Mapping[str, str | int | bool] = field(default_factory=dict)
    dead_codes: frozenset[str] = frozenset()


def parse_introspection(status: int, headers: Mapping[str, str], body: bytes, *, now: float) -> Health:
    """Read an introspection reply. Never raises."""
    document = decode(body)[0]
    if _is_success(status) and document is not None:
        active = at(document, "active")
        if active is False:
            return Health(Liveness.DEAD)
        if active is True:
            scope = at(document, "scope")
            return Health(
                Liveness.ALIVE,
                expires_at=number(at(document, "exp")),
                scope=scope if isinstance(scope, str) else None,
            )
    return _unknown(status, headers, document, now)


def parse_probe(status: int, headers: Mapping[str, str], body: bytes, *, rules: ProbeRules, now: float) -> Health:
    """Read the reply to a request that carried the token. Never raises.

    A refusal by 403 is a token that works and may not do this, unless the rules say otherwise or no OAuth-like body
    came with it.
    """
    document = decode(body)[0]
    code = tokenerrors.codes(document).shown or f"http_{status}"
    if status in rules.dead_statuses:
        return Health(Liveness.DEAD, code)
    if _is_success(status):
        return _probe_success(document, rules, code)
    if status == HTTPStatus.FORBIDDEN and document is not None:
        return Health(Liveness.ALIVE, code)
    return _unknown(status, headers, document, now)


def _probe_success(document: Document | None, rules: ProbeRules, code: str) -> Health:
    if all(at(document, path) == wanted for path, wanted in rules.success.items()):
        return Health(Liveness.ALIVE)
    if document is not None and (not rules.dead_codes or code in rules.dead_codes):
        return Health(Liveness.DEAD, code)
    return Health(Liveness.UNKNOWN, code)


def _is_success(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def _unknown(status: int, headers: Mapping[str, str], document: Document | None, now: float) -> Health:
    low = lowered(headers)
    rejection = tokenerrors.standard(document) or tokenerrors.by_status(status, low, readable=document is not None)
    if status == HTTPStatus.UNAUTHORIZED:
        rejection = Rejection.CLIENT_MISCONFIGURED
    return Health(
        Liveness.UNKNOWN,
        tokenerrors.codes(document).shown or f"http_{status}",
        rejection=rejection,
        retry_after=tokenerrors.retry_after(status, low, now),
    )


def parse_revocation(status: int, headers: Mapping[str, str], body: bytes, *, now: float) -> Revocation:
    """Read a revocation reply. Never raises."""
    document = decode(body)[0]
    code = tokenerrors.codes(document).shown or f"http_{status}"
    if _is_success(status) and not tokenerrors.says_error(document) and at(document, "ok") is not False:
        return Revocation(RevocationResult.DONE)
    if code == "unsupported_token_type" or status in _NO_SUCH_ENDPOINT:
        return Revocation(RevocationResult.UNSUPPORTED, code)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _ASK_AGAIN:
        return Revocation(RevocationResult.RETRY, code, tokenerrors.retry_after(status, lowered(headers), now))
    return Revocation(RevocationResult.REFUSED, code)
