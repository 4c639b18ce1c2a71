"""`kubectl tolstoy revoke`: ends a grant, by deleting the last credential that uses it.

Nothing is deleted before the operator has taken the revocation on, which its finalizer shows: a credential that goes
without it leaves a grant behind that nobody ends. When it does not, the object is left as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from tolstoy_operator.api import names
from tolstoy_operator.api.reasons import Reason, Told
from tolstoy_operator.api.v1 import CredentialType, GrantState, RevocationPolicy
from tolstoy_operator.cli.clocks import Clocks, finish
from tolstoy_operator.cli.errors import CliError
from tolstoy_operator.cli.text import clean
from tolstoy_operator.cli.view import JSON_VERSION, CredentialView, view
from tolstoy_operator.cli.why import seen_at
from tolstoy_operator.kube.client import Object

_TOLD: Final = frozenset(reason.value for reason in Told)
_REVOKE: Final = RevocationPolicy.REVOKE.value


class Grantor(Protocol):
    """The part of `Cluster` that a revocation takes."""

    async def credentials(self, namespace: str | None) -> list[Object]:
        """The ToolCredentials of a namespace, or of all (None)."""
        ...

    async def credential(self, namespace: str, name: str) -> Object:
        """One ToolCredential."""
        ...

    async def find_credential(self, namespace: str, name: str, uid: str) -> Object | None:
        """The one with that UID; None when it is gone."""
        ...

    async def change_spec(self, namespace: str, name: str, uid: str, spec: Object) -> Object:
        """Merge members into a spec."""
        ...

    async def delete_credential(self, namespace: str, name: str, uid: str) -> None:
        """Delete the one with that UID."""
        ...

    async def events(self, namespace: str, uid: str) -> list[Object]:
        """The Events of the credential with that UID."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What a revocation is going to do. `others`: who else uses the grant; `everywhere`: they were looked for in all
    namespaces, and not only in this one.
    """

    body: Object
    credential: CredentialView
    others: Sequence[str]
    everywhere: bool

    def lines(self) -> Iterator[str]:
        """The plan for people."""
        item = self.credential
        kept = (self.body["spec"].get("target") or {}).get("deletionPolicy") == "Retain"
        yield clean(f"{item.namespace}/{item.name} will be deleted; its Secret {'stays' if kept else 'goes with it'}")
        if self.others:
            yield clean(f"the grant in {item.upstream} stays, because {', '.join(self.others)} use it too")
            return
        yield clean(
            f"the grant of {item.org_id} at {item.tool} ends, in {item.upstream}, for everybody who uses it, in other "
            "clusters too; only a new consent brings it back"
        )
        if not self.everywhere:
            yield "you may not look into other namespaces: if it is used in one of them, the grant stays"


@dataclass(frozen=True, slots=True)
class Ended:
    """The credential is gone. `event`: what the operator says of its grant; None when nobody can read that."""

    credential: CredentialView
    event: Mapping[str, Any] | None

    @property
    def revoked(self) -> bool:
        """Whether the provider has ended the grant."""
        return self.event is not None and self.event.get("reason") == Told.REVOKED

    def to_json(self, now: datetime) -> dict[str, Any]:
        """The documented form."""
        told = {"reason": self.event.get("reason"), "message": self.event.get("message")} if self.event else None
        return {
            "apiVersion": JSON_VERSION,
            "kind": "Revocation",
            "revoked": self.revoked,
            "event": told,
            "credential": self.credential.to_json(now),
        }

    def lines(self) -> Iterator[str]:
        """The outcome for people."""
        item = self.credential
        told = "no Event that you may read says what became of its grant"
        if self.event is not None:
            told = f"{self.event.get('reason')}: {self.event.get('message')}"
        yield clean(f"{item.namespace}/{item.name} is deleted; {told}")


async def plan(cluster: Grantor, namespace: str, name: str) -> Plan:
    """Look at what is there. Raises `CliError` when there is no grant to end."""
    body = await cluster.credential(namespace, name)
    item = view(body)
    _check(item)
    everywhere = True
    try:
        found = await cluster.credentials(None)
    except CliError:
        everywhere, found = False, await cluster.credentials(namespace)
    users = [view(other) for other in found]
    others = sorted(
        f"{user.namespace}/{user.name}"
        for user in users
        if user.upstream == item.upstream and user.uid != item.uid and not user.deleting
    )
    return Plan(body, item, others, everywhere)


async def revoke(cluster: Grantor, planned: Plan, *, timeout: float, clocks: Clocks) -> Ended:
    """Do it. Raises `CliError`: nothing was deleted, or it goes on after `timeout` seconds."""
    item = planned.credential
    deadline = clocks.elapsed() + timeout
    before = planned.body["spec"].get("oauth") or {}
    changed = before.get("revocationPolicy") != _REVOKE
    try:
        if changed:
            wish = {"oauth": {"revocationPolicy": _REVOKE}}
            await finish(cluster.change_spec(item.namespace, item.name, item.uid, wish))
        await _until_accepted(cluster, item, timeout=timeout, deadline=deadline, clocks=clocks)
        await finish(cluster.delete_credential(item.namespace, item.name, item.uid))
    except BaseException:
        if changed:
            await _put_back(cluster, item, before)
        raise
    if await clocks.until(lambda: _gone(cluster, item), deadline) is None:
        raise await _pending(cluster, item)
    return Ended(item, await _last_event(cluster, item))


def _check(item: CredentialView) -> None:
    where = f"{item.namespace}/{item.name}"
    if item.deleting:
        raise CliError(f"{where} is being deleted already", "kubectl get events shows what becomes of its grant")
    if item.tool is None or item.status.credential_type not in (None, CredentialType.OAUTH2):
        raise CliError(f"{where} has no OAuth grant that could be ended", f"kubectl delete tc {item.name} deletes it")
    if item.state == GrantState.REVOKED:
        raise CliError(f"the grant of {where} is revoked already", f"kubectl delete tc {item.name} deletes it")


async def _until_accepted(
    cluster: Grantor, item: CredentialView, *, timeout: float, deadline: float, clocks: Clocks
) -> None:
    if await clocks.until(lambda: _accepted(cluster, item), deadline) is None:
        raise CliError(
            f"the operator has not looked at {item.namespace}/{item.name} within {timeout:g} s",
            "nothing was deleted; ask the platform team, whether the operator's pods run",
        )


async def _accepted(cluster: Grantor, before: CredentialView) -> bool | None:
    """True when the operator has taken the revocation on, None when it has not looked yet."""
    body = await cluster.find_credential(before.namespace, before.name, before.uid)
    if body is None:
        raise CliError(f"somebody else has deleted {before.namespace}/{before.name}", "kubectl get events shows more")
    item = view(body)
    if not item.observed:
        return None
    if names.FINALIZER in body["metadata"].get("finalizers", ()):
        return True
    raise _refused(item)


def _refused(item: CredentialView) -> CliError:
    where = f"{item.namespace}/{item.name}"
    if item.reason in (Reason.REVOCATION_NOT_GRANTED, Reason.REVOCATION_UNSUPPORTED):
        cause = f"{item.reason}: {item.explanation.cause}"
    else:
        cause = (
            f"namespace {item.namespace} is not granted {names.ALLOW_REVOKE}, or the platform does not allow it, or no "
            f"way to revoke grants of {item.tool} is known (its status tells of {item.reason} first)"
        )
    return CliError(
        f"the operator would not end the grant of {where}, so nothing was deleted: {cause}",
        f"ask the platform team; kubectl delete tc {item.name} deletes it and leaves the grant",
    )


async def _put_back(cluster: Grantor, item: CredentialView, before: Mapping[str, Any]) -> None:
    """Have the policy as it was, unless the deletion has begun."""
    try:
        body = await cluster.find_credential(item.namespace, item.name, item.uid)
        if body is None or view(body).deleting or (body["spec"].get("oauth") or {}).get("revocationPolicy") != _REVOKE:
            return
        oauth = {"revocationPolicy": before.get("revocationPolicy")} if before else None
        await cluster.change_spec(item.namespace, item.name, item.uid, {"oauth": oauth})
    except CliError as error:
        raise CliError(
            f"{error.message}; {item.namespace}/{item.name} may be left with revocationPolicy {_REVOKE}",
            "set spec.oauth.revocationPolicy to Orphan, unless its deletion is to end the grant",
        ) from None


async def _gone(cluster: Grantor, item: CredentialView) -> bool | None:
    return True if await cluster.find_credential(item.namespace, item.name, item.uid) is None else None


async def _pending(cluster: Grantor, item: CredentialView) -> CliError:
    event = await _last_event(cluster, item)
    told = f" ({event.get('reason')}: {event.get('message')})" if event else ""
    return CliError(
        f"{item.namespace}/{item.name} is being deleted and waits for the revocation{told}",
        "it goes on by itself, and ends in any case: kubectl get events shows how",
    )


async def _last_event(cluster: Grantor, item: CredentialView) -> Mapping[str, Any] | None:
    found = [event for event in await cluster.events(item.namespace, item.uid) if event.get("reason") in _TOLD]
    return max(found, key=lambda event: str(event.get("eventTime") or seen_at(event) or ""), default=None)
