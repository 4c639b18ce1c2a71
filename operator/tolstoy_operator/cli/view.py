"""A ToolCredential as people ask about it: is it fine, why not, who acts, when does its token end.

Everything comes from one object of the API server. A status that is not there, or speaks of an earlier spec, is said to
be so. The JSON form is API: scripts read it, and docs/cli.md describes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from tolstoy_operator.api import names
from tolstoy_operator.api.reasons import MEANINGS, Reason
from tolstoy_operator.api.v1 import ConditionStatus, ConditionType, GrantState, ToolCredentialStatus
from tolstoy_operator.cli.text import span, stamp
from tolstoy_operator.domain.forcesync import mark_of
from tolstoy_operator.domain.status import condition, moment, parse_status

JSON_VERSION: Final = f"cli.{names.GROUP}/v1"

OVERDUE: Final = timedelta(minutes=2)
"""A planned refresh that lies further back than this did not happen."""

UNSEEN: Final = "NotYetSeen"
"""Our word for a credential without a status; it is no reason of the API."""

_REASONS = {reason.value: reason for reason in Reason}


@dataclass(frozen=True, slots=True)
class Explanation:
    """A condition's message in its three parts; the last two are empty for a reason that this version does not know."""

    cause: str
    who_acts: str
    next_try: str


@dataclass(frozen=True, slots=True)
class CredentialView:
    """One ToolCredential. `observed`: the status speaks of the spec as it is now."""

    namespace: str
    name: str
    uid: str
    tool: str | None
    org_id: str | None
    secret_name: str | None
    ready: ConditionStatus
    reason: str
    explanation: Explanation
    observed: bool
    deleting: bool
    merges: bool
    force_sync: str | None
    status: ToolCredentialStatus

    @property
    def fine(self) -> bool:
        """Ready, and nothing is the matter."""
        return self.ready is ConditionStatus.TRUE and self.reason == Reason.SYNCED and self.observed

    @property
    def upstream(self) -> str:
        """The secret that the spec asks for, by whichever form: who names the same one uses the same grant."""
        return self.secret_name or f"{names.UPSTREAM_PREFIX}/{self.tool}/{self.org_id}"

    @property
    def to_do(self) -> str:
        """Who acts, or what to do; empty when nothing is the matter."""
        return "" if self.reason == Reason.SYNCED else self.explanation.who_acts

    @property
    def state(self) -> str:
        """The grant's state; empty when there is no grant."""
        grant = self.status.grant
        return "" if grant is None or grant.state is GrantState.NOT_APPLICABLE else grant.state.value

    @property
    def expires_at(self) -> datetime | None:
        """When the token in the Secret ends."""
        return moment(self.status.grant.expires_at) if self.status.grant else None

    @property
    def next_refresh(self) -> datetime | None:
        """When the operator refreshes it."""
        return moment(self.status.grant.next_refresh_time) if self.status.grant else None

    def neglect(self, now: datetime) -> str | None:
        """Why its token will not be there anew before it ends; None when it is being refreshed."""
        if self.reason != Reason.SYNCED:
            who = self.explanation.who_acts
            return f"{self.reason}: {who}" if who else self.reason
        planned = self.next_refresh
        if planned is None:
            return "no refresh is planned"
        if planned < now - OVERDUE:
            return f"the refresh is overdue by {span(now - planned)}: is the operator running?"
        ends = moment(self.status.grant.refresh_token_expires_at) if self.status.grant else None
        if ends is not None and ends <= planned:
            return "its refresh token ends before the next refresh"
        return None

    def to_json(self, now: datetime) -> dict[str, Any]:
        """The documented form; times are RFC 3339 in UTC, what is not known is null."""
        status = self.status
        return {
            "namespace": self.namespace,
            "name": self.name,
            "tool": self.tool,
            "orgId": self.org_id,
            "secretName": self.secret_name,
            "type": status.credential_type,
            "ready": self.ready,
            "reason": self.reason,
            "cause": self.explanation.cause,
            "whoActs": self.explanation.who_acts,
            "nextTry": self.explanation.next_try,
            "observed": self.observed,
            "grant": self._grant(now),
            "upstream": status.upstream.model_dump(mode="json", by_alias=True) if status.upstream else None,
            "target": status.target.model_dump(mode="json", by_alias=True) if status.target else None,
        }

    def _grant(self, now: datetime) -> dict[str, Any] | None:
        grant = self.status.grant
        if grant is None or not self.state:
            return None
        return {
            "state": grant.state,
            "expiresAt": stamp(self.expires_at),
            "lastRefreshTime": stamp(moment(grant.last_refresh_time)),
            "nextRefreshTime": stamp(self.next_refresh),
            "refreshTokenExpiresAt": stamp(moment(grant.refresh_token_expires_at)),
            "refreshed": self.neglect(now) is None,
        }


def view(body: Mapping[str, Any]) -> CredentialView:
    """The view of a ToolCredential as the API server sends it."""
    meta, spec = body["metadata"], body.get("spec") or {}
    status = parse_status(body.get("status"))
    ready = condition(status, ConditionType.READY)
    return CredentialView(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        tool=spec.get("tool"),
        org_id=spec.get("orgId"),
        secret_name=spec.get("secretName"),
        ready=ready.status if ready else ConditionStatus.UNKNOWN,
        reason=ready.reason if ready else UNSEEN,
        explanation=explain(ready.reason, ready.message) if ready else _NOT_SEEN,
        observed=status.observed_generation == meta.get("generation"),
        deleting="deletionTimestamp" in meta,
        merges=(spec.get("target") or {}).get("creationPolicy") == "Merge",
        force_sync=mark_of(meta),
        status=status,
    )


def explain(reason: str, message: str) -> Explanation:
    """Take a condition's message apart."""
    known = _REASONS.get(reason)
    if known is None:
        return Explanation(message, "", "")
    meaning = MEANINGS[known]
    ending = f"; {meaning.who_acts}; {meaning.next_try}"
    return Explanation(message.removesuffix(ending), meaning.who_acts, meaning.next_try)


_NOT_SEEN = Explanation(
    "the operator has not looked at it yet",
    "nobody needs to act unless it lasts; then the platform team must see whether the operator runs",
    "at once, when the operator runs",
)
