"""What the status says about an OAuth grant: facts from the document, and what the last refreshes came to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tolstoy_operator.api.reasons import MESSAGE_LIMIT, Reason
from tolstoy_operator.api.v1 import (
    ConditionStatus,
    ConditionType,
    GrantError,
    GrantState,
    GrantStatus,
    Rotation,
    ToolCredentialStatus,
)
from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.schedule import CONSENT_WARNINGS, DAY, consent_warning
from tolstoy_operator.domain.status import Finding, condition, expires_soon_at, format_time, parse_time, reason_of

_LONGEST_SCOPES = 1024
_WHOLE_SECOND = timedelta(seconds=1)
"""Times in a status are cut to whole seconds: a second later, what they announce has happened."""
_STATES = {
    Reason.REAUTHORIZATION_REQUIRED: GrantState.REAUTHORIZATION_REQUIRED,
    Reason.ROTATION_RESPONSE_LOST: GrantState.REAUTHORIZATION_REQUIRED,
    Reason.REVOKED: GrantState.REVOKED,
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a grant. `cause`: for people, free of values. `since`: epoch seconds.

    `dead`: the access token does not work, whatever its expiry says.
    """

    reason: Reason
    cause: str
    since: float
    dead: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What a status tells of the version of a secret that is current now.

    `seen`: it tells of this version at all. `alive`: the access token was found to work.
    """

    trouble: Trouble | None = None
    seen: bool = False
    alive: bool = False


def grant_status(
    document: OAuthDocument,
    *,
    now: float,
    due_at: float | None = None,
    trouble: Trouble | None = None,
    consent_ends: float | None = None,
    alive: bool = False,
) -> GrantStatus:
    """The `grant` of a status. `now`, `due_at` (when it is refreshed; 0: at once), `consent_ends`: epoch seconds.

    `alive`: the provider said that the access token works.
    """
    books = document.bookkeeping
    return GrantStatus(
        state=_state(document, now, trouble, consent_ends, alive=alive),
        expires_at=_time(document.expires_at),
        last_refresh_time=_time(document.last_updated),
        next_refresh_time=_time(due_at or None) if trouble is None else None,
        refresh_token_expires_at=_time(consent_ends),
        rotation=None if books is None else Rotation.ROTATING if books.rotated else Rotation.STATIC,
        scopes=document.scope[:_LONGEST_SCOPES] if document.scope else None,
        last_error=GrantError(code=trouble.reason, message=trouble.cause[:MESSAGE_LIMIT], time=_text(trouble.since))
        if trouble
        else None,
    )


def grant_finding(document: OAuthDocument, name: str, *, now: float, trouble: Trouble | None = None) -> Finding:
    """What a mirrored OAuth secret is worth: fine, in trouble but valid, in trouble and expired, or just expired."""
    ends = document.expires_at
    valid = (ends is None or ends > now) and not (trouble is not None and trouble.dead)
    if trouble is not None:
        lives = "" if ends is None else f"; the access token {'ends' if ends > now else 'ended'} at {_text(ends)}"
        return Finding(trouble.reason, f"{name}: {trouble.cause}{lives}", token_valid=valid)
    if not valid:
        return Finding(Reason.TOKEN_EXPIRED, f"the access token of {name} expired at {_time(ends)}")
    return Finding(Reason.SYNCED)


def consent_finding(name: str, consent_ends: float | None, *, now: float) -> Finding | None:
    """The warning that a consent ends soon; None while there is time.

    Its cause changes when a warning is due and at no other time.
    """
    days = consent_warning(consent_ends, now)
    if days is None:
        return None
    within = "a day" if days == 1 else f"{days} days"
    return Finding(
        Reason.CONSENT_EXPIRING, f"the consent behind {name} ends at {_time(consent_ends)}, in less than {within}"
    )


def grant_changes(grant: GrantStatus | None, consent_ends: float | None) -> list[datetime]:
    """The moments at which time alone changes what is said about a grant. `consent_ends`: epoch seconds."""
    moments: list[datetime] = []
    if consent_ends is not None:
        moments += [datetime.fromtimestamp(consent_ends - days * DAY, UTC) for days in CONSENT_WARNINGS]
    if grant is not None and grant.expires_at is not None:
        soon = expires_soon_at(grant) if grant.state is GrantState.ACTIVE else None
        moments.append((soon or parse_time(grant.expires_at)) + _WHOLE_SECOND)
    return moments


def told(status: ToolCredentialStatus, version_id: str) -> Told:
    """What the status tells of this version; another version would be another story."""
    grant, reason = status.grant, reason_of(status)
    if grant is None or status.upstream is None or status.upstream.version_id != version_id:
        return Told()
    alive = grant.state is GrantState.ACTIVE
    error = grant.last_error
    if error is None or reason is None or reason != error.code:
        return Told(seen=True, alive=alive)
    ready = condition(status, ConditionType.READY)
    dead = reason is Reason.REVOKED and ready is not None and ready.status is ConditionStatus.FALSE
    trouble = Trouble(reason, error.message, parse_time(error.time).timestamp(), dead=dead)
    return Told(trouble, seen=True)


def _state(
    document: OAuthDocument, now: float, trouble: Trouble | None, consent_ends: float | None, *, alive: bool
) -> GrantState:
    if trouble is not None:
        return _STATES.get(trouble.reason, GrantState.REFRESH_FAILING)
    if consent_warning(consent_ends, now) is not None:
        return GrantState.EXPIRING
    if document.expires_at is None:
        return GrantState.ACTIVE if alive else GrantState.UNKNOWN
    return GrantState.ACTIVE  # for as long as `next_status` finds that it does not end soon


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else _text(seconds)


def _text(seconds: float) -> str:
    return format_time(datetime.fromtimestamp(seconds, UTC))
