"""Bringing a Secret to where its credential wants it, and taking it away. Decisions are the domain's; this acts.

Every write is made from a version of the Secret that was looked at, and tells the API server which: when somebody else
was faster, it is refused, and what is there now is looked at before anything else is done.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import IntEnum

from tolstoy_operator.api import names
from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.domain import manifest
from tolstoy_operator.domain.existing import ExistingSecret, Fingerprint, existing_secret
from tolstoy_operator.domain.manifest import DesiredSecret, Identity, Operation
from tolstoy_operator.domain.ownership import holder_uid, winner
from tolstoy_operator.engine.inventory import Credential, Inventory, Key
from tolstoy_operator.engine.problem import Problem
from tolstoy_operator.kube.errors import Conflict, Forbidden, KubeError, NotFound, Unprocessable
from tolstoy_operator.kube.secrets import SecretsApi
from tolstoy_operator.observability import audit

_log = logging.getLogger(__name__)
_ATTEMPTS = 3


class Written(IntEnum):
    """What a write changed. `MARKS`: labels, annotations or owner."""

    NOTHING = 0
    MARKS = 1
    DATA = 2


class Mirror:
    """Secrets in the cluster, written for credentials."""

    def __init__(self, inventory: Inventory, api: SecretsApi, fingerprint: Fingerprint) -> None:
        self._inventory = inventory
        self._api = api
        self._fingerprint = fingerprint
        self._merged: dict[str, tuple[str, frozenset[str]]] = {}
        """UID of the Secret and the keys that a credential has merged into it, by the credential's UID."""

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
        owner = Identity(credential.key[0], credential.key[1], credential.uid)
        try:
            if credential.owns:
                desired = manifest.desired_secret(owner, credential.spec, name, data, version_id)
                written = await self._own(desired)
            else:
                written = await self._merge(credential, name, data)
        except (Forbidden, Unprocessable) as error:
            raise _refused(name, error) from None
        if written:
            _audit(audit.Operation.MIRROR, audit.Actor(*credential.key, credential.uid), name, upstream, version_id)
        return written

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
                await self.release(existing, audit.Actor(*credential.key, credential.uid))

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
            try:
                body = await self._api.rewrite(existing.namespace, existing.name, manifest.removal(existing, going))
            except Unprocessable:
                if not credential.owns:
                    raise
                await self._delete(existing, credential)  # not when it is refused because somebody changed it
            else:
                self._inventory.observe_secret(body)
                _audit(audit.Operation.WITHDRAW, audit.Actor(*credential.key, credential.uid), existing.name)

    async def release(self, existing: ExistingSecret, actor: audit.Actor) -> None:
        """Take the keys that a credential merged out of a Secret of somebody else."""
        self._merged.pop(actor.uid, None)
        body, manager = manifest.merged(existing, {}), manifest.merge_manager(actor.uid)
        try:
            fresh = await self._api.merge(existing.namespace, existing.name, body, manager=manager)
        except Conflict:
            _log.debug("not released: the Secret is gone, or has changed", extra={"namespace": existing.namespace})
        else:
            self._inventory.observe_secret(fresh)
            _audit(audit.Operation.WITHDRAW, actor, existing.name)

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

    async def _merge(self, credential: Credential, name: str, data: Mapping[str, bytes]) -> Written:
        existing = await self._invited(credential, name)
        if manifest.is_merged(existing, credential.uid, data, self._fingerprint):
            self._merged[credential.uid] = existing.uid, frozenset(data)
            return Written.NOTHING
        # What was ours and was edited by hand belongs to the hand now. That we had put it there is remembered, and not
        # looked up in the status, which somebody else may have written.
        known_uid, known_keys = self._merged.get(credential.uid, ("", frozenset()))
        ours = existing.merged_keys.get(credential.uid, frozenset())
        ours |= known_keys if known_uid == existing.uid else frozenset()
        foreign = sorted((data.keys() & existing.keys.keys()) - ours)
        if foreign:
            raise _conflict(name, f'has a key "{foreign[0]}" that is not from this ToolCredential')
        body, manager = manifest.merged(existing, data), manifest.merge_manager(credential.uid)
        self._inventory.observe_secret(await self._api.merge(existing.namespace, name, body, manager=manager))
        self._merged[credential.uid] = existing.uid, frozenset(data)
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

    async def _delete(self, existing: ExistingSecret, credential: Credential) -> None:
        try:
            await self._api.delete(existing.namespace, existing.name, existing.uid, existing.version)
        except (NotFound, Conflict):
            _log.debug("not deleted: the Secret is gone, or has changed", extra={"namespace": existing.namespace})
        else:
            actor = audit.Actor(*credential.key, credential.uid)
            _audit(audit.Operation.WITHDRAW, actor, existing.name, credential.upstream or "")

    def _is_of(self, existing: ExistingSecret, credential: Credential) -> bool:
        if credential.owns:
            return self._holder(existing) == credential.uid
        return credential.uid in existing.merged_keys

    def _holder(self, existing: ExistingSecret) -> str | None:
        claims = self._inventory.claims(_key(existing))
        return holder_uid(existing.holder, claims=claims, live_uids=self._inventory.live_uids)


def _audit(
    operation: audit.Operation, actor: audit.Actor, target: str, upstream: str = "", version: str | None = None
) -> None:
    audit.record(audit.Entry(operation, upstream, actor=actor, version=version, target=target))


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
