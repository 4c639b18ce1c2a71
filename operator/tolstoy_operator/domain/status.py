"""From what the reconciler found to what the status says.

A status is a function of the previous status, the finding and the time, and the time only enters where a condition
changes. So the same finding twice gives the same status, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tolstoy_operator.api.reasons import GRANT_REASONS, MEANINGS, SOUND_REASONS, Progress, Reason, message
from tolstoy_operator.api.v1 import (
    Condition,
    ConditionStatus,
    ConditionType,
    CredentialType,
    GrantState,
    GrantStatus,
    TargetStatus,
    ToolCredentialStatus,
    UpstreamStatus,
)
from tolstoy_operator.domain.schedule import expiring_lead

_FAR_ENOUGH = timedelta(days=31)
"""What is added to a time of a status, or taken off, at most; the calendar must reach so far."""
_MIRRORED = SOUND_REASONS | GRANT_REASONS
_REASONS = {reason.value: reason for reason in Reason}
_PLAIN_SUCCESS = "the Secret holds the current upstream value"


@dataclass(frozen=True, slots=True)
class Finding:
    """How one reconciliation of a credential ended. `cause`: names and positions, never a value.

    `token_valid`: for reasons about the grant, whether the token in the Secret still works. `mirrored`: whether the
    Secret is as upstream says.
    """

    reason: Reason
    cause: str = _PLAIN_SUCCESS
    token_valid: bool = False
    mirrored: bool = True


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known beside the finding. None in `credential_type`, `grant`, `upstream`: nothing new, keep the last.

    `target`: the Secret as it is now, None when there is none. `force_sync`: the annotation that was handled.
    """

    generation: int
    target: TargetStatus | None
    credential_type: CredentialType | None = None
    grant: GrantStatus | None = None
    upstream: UpstreamStatus | None = None
    force_sync: str | None = None


def next_status(
    previous: ToolCredentialStatus, finding: Finding, facts: Facts, *, now: datetime, stall_after: timedelta
) -> ToolCredentialStatus:
    """The status to write; equal to `previous` when there is nothing to say."""
    grant = _aged(facts.grant or previous.grant, now)
    expired = grant is not None and _left(grant, now) <= timedelta(0)
    conditions = [
        _ready(previous, finding, facts, expired=expired),
        _synced(finding),
        *_token_healthy(previous, finding, facts, expired=expired),
        *_progress(previous, finding, now=now, stall_after=stall_after),
    ]
    stamped = [_stamp(previous, item, generation=facts.generation, now=now) for item in conditions]
    return ToolCredentialStatus(
        observed_generation=facts.generation,
        conditions=stamped,
        credential_type=facts.credential_type or previous.credential_type,
        grant=grant,
        upstream=facts.upstream or previous.upstream,
        target=facts.target,
        last_handled_force_sync=facts.force_sync,
    )


def stalls_at(status: ToolCredentialStatus, stall_after: timedelta) -> datetime | None:
    """When a patient reason turns from reconciling into stalled; None when it does not."""
    waiting = condition(status, ConditionType.RECONCILING)
    reason = _REASONS.get(waiting.reason) if waiting is not None else None
    if waiting is None or reason is None or MEANINGS[reason].progress is not Progress.PATIENT:
        return None
    return parse_time(waiting.last_transition_time) + stall_after


def condition(status: ToolCredentialStatus, kind: ConditionType) -> Condition | None:
    """The condition of that type, if there is one."""
    return next((item for item in status.conditions if item.type is kind), None)


def reason_of(status: ToolCredentialStatus) -> Reason | None:
    """The reason that the status gives as its summary; None before the first one, or when it is not one of ours."""
    ready = condition(status, ConditionType.READY)
    return _REASONS.get(ready.reason) if ready is not None else None


def parse_status(raw: Any) -> ToolCredentialStatus:
    """Read a status as found on an object. Anything that is not ours reads as no status, and so gets written anew."""
    try:
        status = ToolCredentialStatus.model_validate(raw or {})
        for text in _times(status):
            parse_time(text) + _FAR_ENOUGH, parse_time(text) - _FAR_ENOUGH
    except (ValueError, OverflowError):
        return ToolCredentialStatus()
    return status


def is_news(before: ToolCredentialStatus, after: ToolCredentialStatus) -> bool:
    """Whether a change is worth an Event: another reason than before, and each of the warnings about one consent.

    The first success is no transition: the status says it, and 10,000 of them would cost 10,000 more writes.
    """
    was, now = reason_of(before), reason_of(after)
    if was is now:
        return now is Reason.CONSENT_EXPIRING and _text_of(before) != _text_of(after)
    return was is not None or now is not Reason.SYNCED


def status_patch(status: ToolCredentialStatus) -> dict[str, Any]:
    """The merge patch value: absent members become null, so that an older value goes away."""
    return status.model_dump(mode="json", by_alias=True)


def format_time(moment: datetime) -> str:
    """A moment in UTC in RFC 3339 in whole seconds, as Kubernetes writes it."""
    return moment.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def parse_time(text: str) -> datetime:
    """The inverse of `format_time`; also takes fractions and offsets. Raises `ValueError`."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def moment(text: str | None) -> datetime | None:
    """A time out of an object of others, None when there is none or when it cannot be read."""
    try:
        return parse_time(text or "")
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class _Draft:
    type: ConditionType
    status: ConditionStatus
    reason: str
    message: str


def _text_of(status: ToolCredentialStatus) -> str:
    ready = condition(status, ConditionType.READY)
    return ready.message if ready is not None else ""


def _times(status: ToolCredentialStatus) -> Iterator[str]:
    """The times that are read again."""
    for item in status.conditions:
        yield item.last_transition_time
    if status.grant is not None and status.grant.expires_at is not None:
        yield status.grant.expires_at
    if status.grant is not None and status.grant.last_error is not None:
        yield status.grant.last_error.time


def expires_soon_at(grant: GrantStatus) -> datetime | None:
    """From when on the access token counts as expiring; None when it does not end."""
    if grant.expires_at is None:
        return None
    ends, issued = parse_time(grant.expires_at), moment(grant.last_refresh_time)
    lifetime = (ends - issued).total_seconds() if issued is not None else 0.0
    return ends - timedelta(seconds=expiring_lead(lifetime))


def _left(grant: GrantStatus, now: datetime) -> timedelta:
    return parse_time(grant.expires_at) - now if grant.expires_at is not None else timedelta.max


def _aged(grant: GrantStatus | None, now: datetime) -> GrantStatus | None:
    """A token ends whether or not anybody could look at its document."""
    soon = expires_soon_at(grant) if grant is not None and grant.state is GrantState.ACTIVE else None
    if grant is None or soon is None or now < soon:
        return grant
    return grant.model_copy(update={"state": GrantState.EXPIRING})


def _ready(previous: ToolCredentialStatus, finding: Finding, facts: Facts, *, expired: bool) -> _Draft:
    before = condition(previous, ConditionType.READY)
    was_ready = before is not None and before.status is ConditionStatus.TRUE
    still = MEANINGS[finding.reason].keeps_ready and was_ready and facts.target is not None and not expired
    usable = finding.reason in GRANT_REASONS and finding.token_valid
    good = finding.reason in SOUND_REASONS or usable or still
    status = ConditionStatus.TRUE if good else ConditionStatus.FALSE
    return _Draft(ConditionType.READY, status, finding.reason, message(finding.reason, finding.cause))


def _synced(finding: Finding) -> _Draft:
    if finding.reason in _MIRRORED and finding.mirrored:
        text = message(Reason.SYNCED, _PLAIN_SUCCESS)
        return _Draft(ConditionType.SYNCED, ConditionStatus.TRUE, Reason.SYNCED, text)
    unknown = finding.reason is Reason.UPSTREAM_UNAVAILABLE
    status = ConditionStatus.UNKNOWN if unknown else ConditionStatus.FALSE
    return _Draft(ConditionType.SYNCED, status, finding.reason, message(finding.reason, finding.cause))


def _token_healthy(previous: ToolCredentialStatus, finding: Finding, facts: Facts, *, expired: bool) -> list[_Draft]:
    """Only for OAuth credentials. What says nothing about the token leaves the condition as it was, until it ends."""
    before = condition(previous, ConditionType.TOKEN_HEALTHY)
    kind = facts.credential_type or previous.credential_type
    if kind is not CredentialType.OAUTH2:
        return []
    if finding.reason in SOUND_REASONS:
        text = "the access token is valid"
        return [_Draft(ConditionType.TOKEN_HEALTHY, ConditionStatus.TRUE, GrantState.ACTIVE, text)]
    if finding.reason in GRANT_REASONS:
        text = message(finding.reason, finding.cause)
        return [_Draft(ConditionType.TOKEN_HEALTHY, ConditionStatus.FALSE, finding.reason, text)]
    if before is None:
        return []
    if expired and before.status is ConditionStatus.TRUE:
        text = "the access token has expired, and the reason of Ready tells why there is no newer one"
        return [_Draft(ConditionType.TOKEN_HEALTHY, ConditionStatus.FALSE, Reason.TOKEN_EXPIRED, text)]
    return [_Draft(before.type, before.status, before.reason, before.message)]


def _progress(
    previous: ToolCredentialStatus, finding: Finding, *, now: datetime, stall_after: timedelta
) -> list[_Draft]:
    progress = MEANINGS[finding.reason].progress
    if progress is Progress.DONE:
        return []
    kind = ConditionType.STALLED
    if progress is Progress.RECONCILING or (
        progress is Progress.PATIENT and not _patience_over(previous, finding.reason, now, stall_after)
    ):
        kind = ConditionType.RECONCILING
    return [_Draft(kind, ConditionStatus.TRUE, finding.reason, message(finding.reason, finding.cause))]


def _patience_over(previous: ToolCredentialStatus, reason: Reason, now: datetime, stall_after: timedelta) -> bool:
    stalled = condition(previous, ConditionType.STALLED)
    if stalled is not None and stalled.reason == reason:
        return True
    waiting = condition(previous, ConditionType.RECONCILING)
    if waiting is None or waiting.reason != reason:
        return False
    return now >= parse_time(waiting.last_transition_time) + stall_after


def _stamp(previous: ToolCredentialStatus, draft: _Draft, *, generation: int, now: datetime) -> Condition:
    before = condition(previous, draft.type)
    # Progress conditions are only ever True, so a new reason is what their transition is.
    progress = draft.type in (ConditionType.RECONCILING, ConditionType.STALLED)
    same = before is not None and before.status is draft.status and (not progress or before.reason == draft.reason)
    since = before.last_transition_time if before is not None and same else format_time(now)
    return Condition(
        type=draft.type,
        status=draft.status,
        reason=draft.reason,
        message=draft.message,
        last_transition_time=since,
        observed_generation=generation,
    )
