"""What the status says about an OAuth grant: facts from the document, and what the last refreshes came to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from tolstoy_operator.api.reasons import MESSAGE_LIMIT, Reason
from tolstoy_operator.api.v1 import GrantError, GrantState, GrantStatus, Rotation
from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.schedule import EXPIRING_LEAD
from tolstoy_operator.domain.status import Finding, format_time

_LONGEST_SCOPES = 1024
_STATES = {
    Reason.REAUTHORIZATION_REQUIRED: GrantState.REAUTHORIZATION_REQUIRED,
    Reason.ROTATION_RESPONSE_LOST: GrantState.REAUTHORIZATION_REQUIRED,
    Reason.REVOKED: GrantState.REVOKED,
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a grant is not refreshed. `cause`: for people, free of values. `since`: epoch seconds."""

    reason: Reason
    cause: str
    since: float


def grant_status(
    document: OAuthDocument, *, now: float, due_at: float | None = None, trouble: Trouble | None = None
) -> GrantStatus:
    """The `grant` of a status. `now`, `due_at` (when it is refreshed): epoch seconds."""
    books = document.bookkeeping
    return GrantStatus(
        state=_state(document, now, trouble),
        expires_at=_time(document.expires_at),
        last_refresh_time=_time(document.last_updated),
        next_refresh_time=_time(due_at) if trouble is None else None,
        refresh_token_expires_at=_time(document.refresh_expires_at),
        rotation=None if books is None else Rotation.ROTATING if books.rotated else Rotation.STATIC,
        scopes=document.scope[:_LONGEST_SCOPES] if document.scope else None,
        last_error=GrantError(code=trouble.reason, message=trouble.cause[:MESSAGE_LIMIT], time=_text(trouble.since))
        if trouble
        else None,
    )


def grant_finding(document: OAuthDocument, name: str, *, now: float, trouble: Trouble | None = None) -> Finding:
    """What a mirrored OAuth secret is worth: fine, in trouble but valid, in trouble and expired, or just expired."""
    ends = document.expires_at
    valid = ends is None or ends > now
    if trouble is not None:
        lives = "" if ends is None else f"; the access token {'ends' if valid else 'ended'} at {_text(ends)}"
        return Finding(trouble.reason, f"{name}: {trouble.cause}{lives}", token_valid=valid)
    if not valid:
        return Finding(Reason.TOKEN_EXPIRED, f"the access token of {name} expired at {_time(ends)}")
    return Finding(Reason.SYNCED)


def _state(document: OAuthDocument, now: float, trouble: Trouble | None) -> GrantState:
    if trouble is not None:
        return _STATES.get(trouble.reason, GrantState.REFRESH_FAILING)
    if document.expires_at is None:
        return GrantState.UNKNOWN
    return GrantState.ACTIVE if document.expires_at - now > EXPIRING_LEAD else GrantState.EXPIRING


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else _text(seconds)


def _text(seconds: float) -> str:
    return format_time(datetime.fromtimestamp(seconds, UTC))
