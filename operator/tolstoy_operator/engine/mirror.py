"""Bringing a Secret to where its credential wants it, and taking it away. Decisions are the domain's; this acts.

Every write is made from a version of the Secret that was looked at, and tells the API server which: when somebody else
was faster, it is refused, and what is there now is looked at before anything else is done.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from enum import IntEnum
from typing import NamedTuple, TypeVar

from tolstoy_operator.api import names
from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.domain import manifest
from tolstoy_operator.domain.existing import ExistingSecret, Fingerprint, existing_secret
from tolstoy_operator.domain.manifest import DesiredSecret, Identity, Operation
from tolstoy_operator.domain.ownership import holder_uid, winner
from tolstoy_operator.engine.inventory import Inventory
from tolstoy_operator.engine.problem import Problem
from tolstoy_operator.engine.records import Credential, Key
from tolstoy_operator.kube.errors import Conflict, Forbidden, KubeError, NotFound, Unprocessable
from tolstoy_operator.kube.secrets import SecretsApi
from tolstoy_operator.observability import audit
from tolstoy_operator.observability.audit import Actor, Entry

_log = logging.getLogger(__name__)
_ATTEMPTS = 3

T = TypeVar("T")


class Written(IntEnum):
    """What a write changed. `MARKS`: labels, annotations or owner."""

    NOTHING = 0
    MARKS = 1
    DATA = 2


class _Merged(NamedTuple):
    """Which keys a credential has merged into which Secret, and from where they are."""

    secret_uid: str
    keys: frozenset[str]
    upstream: str | None
    version_id: str | None


class Mirror:
    """Secrets in the cluster, written for credentials. `record`: audits each write, however it ends."""

    def __init__(
        self,
        inventory: Inventory,
        api: SecretsApi,
        fingerprint: Fingerprint,
        *,
        record: Callable[[Entry], None] = audit.record,
    ) -> None:
        self._inventory = inventory
        self._api = api
        self._fingerprint = fingerprint
        self._record = record
        self._merged: dict[str, _Merged] = {}
        """By the UID of the credential."""

    def check_claim(self, credential: Credential) -> None:
        """Raises `Problem` (TargetConflict) when another credential or somebody else has the target."""
        target = credential.target
        if target is None or not credential.owns:
            return
        existing = self._inventory.secret(target)
        current = self._holder(existing) if existing else None
        won = winner(self._inventory.claims(target), current)
        if won.uid != credential.uid:
            raise _conflict(target[1], f"is claimed by ToolCredential {won.name}, which has it first")
        if existing is not None and current != credential.uid:
            raise _conflict(target[1], f"belongs to {_describe(existing)}")

    def current(self, credential: Credential) -> ExistingSecret | None:
        """The target as it is, if it is the credential's or holds keys of it."""
        existing = self._inventory.secret(credential.target) if credential.target else None
        return existing if existing is not None and self._is_of(existing, credential) else None

    def holdings(self, credential: Credential) -> list[ExistingSecret]:
        """What `withdraw` would take away.

        Not a copy that a person made of one of our Secrets, marks and all, under another name.
        """
        return [
            existing
            for existing in self._inventory.secrets_of(credential.uid)
            if self._is_of(existing, credential)
            and (existing.written_by_us or not credential.owns or _key(existing) == credential.target)
        ]

    async def look(self, credential: Credential) -> None:
        """Look for the Secret that the status tells of when no watch shows it: its label may have been taken off.

        It is gone, or somebody else's now, or it still is the credential's and is known again. Raises `KubeError`.
        """
        target, told = credential.target, credential.status.target
        if target is None or told is None or told.name != target[1] or self._inventory.secret(target) is not None:
            return
        try:
            body = await self._api.read(*target)
        except NotFound:
            return
        if self._is_of(existing_secret(body, self._fingerprint), credential):
            self._inventory.observe_secret(body)

    async def apply(
        self, credential: Credential, name: str, data: Mapping[str, bytes], *, upstream: str, version_id: str
    ) -> Written:
        """Write `data` where the credential wants it, if it is not there. Returns what was written.

        Raises `Problem` when the target cannot be ours, and `KubeError` when the API server does not answer.
        """
        if credential.spec is None:
            raise AssertionError
        if not self._inventory.is_live(credential.uid):
            return Written.NOTHING  # it went while its value was read
        entry = Entry(audit.Operation.MIRROR, upstream, actor=credential.actor, version=version_id, target=name)
        try:
            if credential.owns:
                owner = Identity(credential.key[0], credential.key[1], credential.uid)
                desired = manifest.desired_secret(owner, credential.spec, name, data, version_id)
                return await self._audited(entry, self._own(desired))
            return await self._audited(entry, self._merge(credential, name, data, version_id))
        except (Forbidden, Unprocessable) as error:
            raise _refused(name, error) from None

    async def withdraw(self, credential: Credential, *, except_name: str | None = None) -> None:
        """Take away what the credential has in the cluster; `except_name`: leave that Secret alone.

        What has changed since it was looked at stays, and the watch that shows the change gives the next occasion.
        """
        for existing in self.holdings(credential):
            if existing.name == except_name:
                continue
            if credential.owns:
                await self._delete(existing, credential)
            else:
                await self._release(existing, credential.uid, _withdrawal(credential, existing.name))

    async def strip(self, credential: Credential, keys: frozenset[str]) -> None:
        """Take keys out of what the credential has in the cluster: it may not have them any more.

        A Secret that cannot be without them, by its type or because it is immutable, goes as a whole.
        Raises `KubeError`.
        """
        for existing in self.holdings(credential):
            ours = existing.keys if credential.owns else existing.merged_keys.get(credential.uid, frozenset())
            going = sorted(keys.intersection(ours))
            if not going:
                continue
            rewrite = self._api.rewrite(existing.namespace, existing.name, manifest.removal(existing, going))
            try:
                body = await self._audited(_withdrawal(credential, existing.name), rewrite)
            except Unprocessable:
                if not credential.owns:
                    raise
                await self._delete(existing, credential)  # not when it is refused because somebody changed it
            else:
                self._inventory.observe_secret(body)

    async def release(self, existing: ExistingSecret, actor: Actor) -> None:
        """Take the keys of a credential that is gone out of a Secret of somebody else.

        Where they are from is remembered by the process that merged them, and told nowhere else.
        """
        known = self._merged.get(actor.uid)
        upstream, version = (known.upstream, known.version_id) if known else (None, None)
        entry = Entry(audit.Operation.WITHDRAW, upstream, actor=actor, version=version, target=existing.name)
        await self._release(existing, actor.uid, entry)

    async def _audited(self, entry: Entry, write: Awaitable[T]) -> T:
        """Write, and record how that ended, unless there was nothing to write."""
        try:
            done = await write
        except BaseException as error:  # one that was cancelled may have been carried out, too
            outcome = str(error.reason) if isinstance(error, Problem) else type(error).__name__
            self._record(replace(entry, outcome=outcome))
            raise
        if done is not Written.NOTHING:
            self._record(entry)
        return done

    async def _own(self, desired: DesiredSecret) -> Written:
        """Returns what it was, or may have been, us who changed."""
        existing = self._inventory.secret((desired.owner.namespace, desired.name))
        for attempt in range(_ATTEMPTS):
            operations = self._operations(existing, desired) if existing else []
            if existing and not operations:
                return Written.DATA if attempt else Written.NOTHING  # an earlier attempt's answer may have been lost
            try:
                body = await self._write(existing, desired, operations)
            except (Conflict, NotFound, Unprocessable) as error:
                before, existing = existing, await self._read(desired)
                if (existing and existing.version) == (before and before.version):
                    raise error from None  # nobody was faster: it is refused as such
            else:
                self._inventory.observe_secret(body)
                same = existing and not manifest.data_differs(existing, desired, self._fingerprint)
                return Written.MARKS if same else Written.DATA
        raise Conflict(reason="Overtaken")

    async def _write(
        self, existing: ExistingSecret | None, desired: DesiredSecret, operations: list[Operation]
    ) -> dict[str, object]:
        if existing is None:
            return await self._api.create(desired.owner.namespace, manifest.manifest(desired))
        return await self._api.rewrite(existing.namespace, existing.name, operations)

    async def _read(self, desired: DesiredSecret) -> ExistingSecret | None:
        try:
            body = await self._api.read(desired.owner.namespace, desired.name)
        except NotFound:
            return None
        return existing_secret(body, self._fingerprint)

    def _operations(self, existing: ExistingSecret, desired: DesiredSecret) -> list[Operation]:
        if self._holder(existing) != desired.owner.uid:
            raise _conflict(desired.name, f"exists and belongs to {_describe(existing)}")
        if existing.type != desired.type:
            raise _conflict(
                desired.name, f"exists with type {existing.type}, and the type of a Secret cannot change: delete it"
            )
        if existing.immutable and manifest.data_differs(existing, desired, self._fingerprint):
            raise _conflict(desired.name, "is immutable and holds another value: delete it")
        return manifest.rewrite(existing, desired, self._fingerprint)

    async def _merge(self, credential: Credential, name: str, data: Mapping[str, bytes], version_id: str) -> Written:
        existing = await self._invited(credential, name)
        merged = _Merged(existing.uid, frozenset(data), credential.upstream, version_id)
        if manifest.is_merged(existing, credential.uid, data, self._fingerprint):
            self._merged[credential.uid] = merged
            return Written.NOTHING
        # What was ours and was edited by hand belongs to the hand now. That we had put it there is remembered, and not
        # looked up in the status, which somebody else may have written.
        known = self._merged.get(credential.uid)
        ours = existing.merged_keys.get(credential.uid, frozenset())
        ours |= known.keys if known and known.secret_uid == existing.uid else frozenset()
        foreign = sorted((data.keys() & existing.keys.keys()) - ours)
        if foreign:
            raise _conflict(name, f'has a key "{foreign[0]}" that is not from this ToolCredential')
        body, manager = manifest.merged(existing, data), manifest.merge_manager(credential.uid)
        self._inventory.observe_secret(await self._api.merge(existing.namespace, name, body, manager=manager))
        self._merged[credential.uid] = merged
        return Written.DATA

    async def _invited(self, credential: Credential, name: str) -> ExistingSecret:
        existing = self._inventory.secret((credential.key[0], name))
        if existing is None:
            try:
                existing = existing_secret(await self._api.read(credential.key[0], name), self._fingerprint)
            except NotFound:
                raise _conflict(name, "does not exist, and creationPolicy Merge never creates it") from None
        if existing.managed == names.MANAGED_VALUE:
            raise _conflict(name, f"belongs to {_describe(existing)}")
        if existing.allow_merge != credential.key[1]:
            raise _conflict(name, f"lacks the annotation {names.ALLOW_MERGE}: {credential.key[1]}")
        if existing.immutable:
            raise _conflict(name, "is immutable")
        return existing

    async def _release(self, existing: ExistingSecret, uid: str, entry: Entry) -> None:
        body, manager = manifest.merged(existing, {}), manifest.merge_manager(uid)
        try:
            merge = self._api.merge(existing.namespace, existing.name, body, manager=manager)
            self._inventory.observe_secret(await self._audited(entry, merge))
        except Conflict:
            _log.debug("not released: the Secret is gone, or has changed", extra={"namespace": existing.namespace})
        else:
            known = self._merged.get(uid)
            if known and known.secret_uid == existing.uid:
                del self._merged[uid]

    async def _delete(self, existing: ExistingSecret, credential: Credential) -> None:
        delete = self._api.delete(existing.namespace, existing.name, existing.uid, existing.version)
        try:
            await self._audited(_withdrawal(credential, existing.name), delete)
        except (NotFound, Conflict):
            _log.debug("not deleted: the Secret is gone, or has changed", extra={"namespace": existing.namespace})

    def _is_of(self, existing: ExistingSecret, credential: Credential) -> bool:
        if credential.owns:
            return self._holder(existing) == credential.uid
        return credential.uid in existing.merged_keys

    def _holder(self, existing: ExistingSecret) -> str | None:
        claims = self._inventory.claims(_key(existing))
        return holder_uid(existing.holder, claims=claims, live_uids=self._inventory.live_uids)


def _withdrawal(credential: Credential, target: str) -> Entry:
    """The status tells which version was mirrored last."""
    shown, upstream = credential.status.upstream, credential.upstream
    version = shown.version_id if shown and shown.name == upstream else None
    return Entry(audit.Operation.WITHDRAW, upstream, actor=credential.actor, version=version, target=target)


def _key(existing: ExistingSecret) -> Key:
    return existing.namespace, existing.name


def _conflict(name: str, cause: str) -> Problem:
    return Problem(Reason.TARGET_CONFLICT, f"Secret {name} {cause}")


def _refused(name: str, error: KubeError) -> Problem:
    if isinstance(error, Forbidden):
        return _conflict(name, "may not be written: a quota, an admission policy or the operator's RBAC forbids it")
    return Problem(Reason.INVALID_SPEC, f"the API server refuses Secret {name} as invalid")


def _describe(existing: ExistingSecret) -> str:
    holder = existing.holder
    if holder.controller_name is not None:
        return holder.controller_name
    if holder.marked_name is not None:
        return f"ToolCredential {holder.marked_name}"
    return "somebody else: it is not managed by this operator"
