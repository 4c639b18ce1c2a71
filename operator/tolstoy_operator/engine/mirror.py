"""Bringing a Secret to where its credential wants it, and taking it away. Decisions are the domain's; this acts."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from tolstoy_operator.api import names
from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.domain import manifest
from tolstoy_operator.domain.existing import ExistingSecret, Fingerprint, existing_secret
from tolstoy_operator.domain.manifest import DesiredSecret, Identity
from tolstoy_operator.domain.ownership import holder_uid, winner
from tolstoy_operator.engine.inventory import Credential, Inventory
from tolstoy_operator.engine.problem import Problem
from tolstoy_operator.kube.errors import Conflict, Forbidden, KubeError, NotFound, Unprocessable
from tolstoy_operator.kube.secrets import SecretsApi
from tolstoy_operator.observability import audit

_log = logging.getLogger(__name__)


class Mirror:
    """Secrets in the cluster, written for credentials."""

    def __init__(self, inventory: Inventory, api: SecretsApi, fingerprint: Fingerprint) -> None:
        self._inventory = inventory
        self._api = api
        self._fingerprint = fingerprint

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

    async def apply(
        self, credential: Credential, name: str, data: Mapping[str, bytes], *, upstream: str, version_id: str
    ) -> bool:
        """Write `data` where the credential wants it, if it is not there. Returns whether something was written.

        Raises `Problem` when the target cannot be ours, and `KubeError` when the API server does not answer.
        """
        if credential.spec is None:
            raise AssertionError
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
            self._audit(audit.Operation.MIRROR, credential, name, upstream, version_id)
        return written

    async def withdraw(self, credential: Credential, *, except_name: str | None = None) -> None:
        """Take away what the credential has in the cluster; `except_name`: leave that Secret alone."""
        for existing in self._inventory.secrets_of(credential.uid):
            if existing.name == except_name:
                continue
            if self._holder(existing) == credential.uid:
                await self._delete(existing)
            elif credential.uid in existing.merged_keys:
                await self.release(existing, credential.uid)
            else:
                continue
            self._audit(audit.Operation.WITHDRAW, credential, existing.name, credential.upstream or "", None)

    async def release(self, existing: ExistingSecret, credential_uid: str) -> None:
        """Take the keys that a credential merged out of a Secret of somebody else."""
        body = manifest.merged(existing, {})
        try:
            await self._api.merge(
                existing.namespace, existing.name, body, manager=manifest.merge_manager(credential_uid)
            )
        except (NotFound, Conflict):
            _log.debug("nothing to release: the Secret is gone", extra={"namespace": existing.namespace})

    async def _own(self, desired: DesiredSecret) -> bool:
        namespace, name = desired.owner.namespace, desired.name
        existing = self._inventory.secret((namespace, name))
        if existing is None:
            try:
                self._inventory.observe_secret(await self._api.create(namespace, manifest.manifest(desired)))
            except Conflict:
                existing = await self._read_ours(desired)
            else:
                return True
        return await self._rewrite(existing, desired)

    async def _read_ours(self, desired: DesiredSecret) -> ExistingSecret:
        """The name is taken by a Secret that we do not watch: it is ours without its label, or not ours."""
        body = await self._api.read(desired.owner.namespace, desired.name)
        existing = existing_secret(body, self._fingerprint)
        if self._holder(existing) != desired.owner.uid:
            raise _conflict(desired.name, f"exists and belongs to {_describe(existing)}")
        return existing

    async def _rewrite(self, existing: ExistingSecret, desired: DesiredSecret) -> bool:
        if existing.type != desired.type:
            raise _conflict(
                desired.name, f"exists with type {existing.type}, and the type of a Secret cannot change: delete it"
            )
        operations = manifest.rewrite(existing, desired, self._fingerprint)
        if not operations:
            return False
        if existing.immutable and manifest.data_differs(existing, desired, self._fingerprint):
            raise _conflict(desired.name, "is immutable and holds another value: delete it")
        try:
            body = await self._api.rewrite(existing.namespace, existing.name, operations)
        except Unprocessable:
            # A test of the patch did not hold: what we know is older than what is there.
            fresh = existing_secret(await self._api.read(existing.namespace, existing.name), self._fingerprint)
            if fresh.version == existing.version:
                raise
            return await self._rewrite_once_more(fresh, desired)
        self._inventory.observe_secret(body)
        return True

    async def _rewrite_once_more(self, fresh: ExistingSecret, desired: DesiredSecret) -> bool:
        if self._holder(fresh) != desired.owner.uid:
            raise _conflict(desired.name, f"belongs to {_describe(fresh)}")
        operations = manifest.rewrite(fresh, desired, self._fingerprint)
        if operations:
            self._inventory.observe_secret(await self._api.rewrite(fresh.namespace, fresh.name, operations))
        return bool(operations)

    async def _merge(self, credential: Credential, name: str, data: Mapping[str, bytes]) -> bool:
        existing = await self._invited(credential, name)
        if manifest.is_merged(existing, credential.uid, data, self._fingerprint):
            return False
        taken = sorted(
            key
            for uid, keys in existing.merged_keys.items()
            for key in keys & data.keys()
            if uid != credential.uid and self._inventory.is_live(uid)
        )
        if taken:
            raise _conflict(name, f'has key "{taken[0]}" from another ToolCredential')
        body = manifest.merged(existing, data)
        manager = manifest.merge_manager(credential.uid)
        try:
            fresh = await self._api.merge(existing.namespace, name, body, manager=manager)
        except Conflict:
            raise _conflict(name, "was recreated meanwhile") from None
        self._inventory.observe_secret(fresh)
        return True

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

    async def _delete(self, existing: ExistingSecret) -> None:
        try:
            await self._api.delete(existing.namespace, existing.name, existing.uid)
        except (NotFound, Conflict):
            _log.debug("nothing to delete: the Secret is gone", extra={"namespace": existing.namespace})

    def _holder(self, existing: ExistingSecret) -> str | None:
        claims = self._inventory.claims((existing.namespace, existing.name))
        return holder_uid(existing.holder, claims=claims, live_uids=self._inventory.live_uids)

    def _audit(
        self, operation: audit.Operation, credential: Credential, target: str, upstream: str, version: str | None
    ) -> None:
        actor = audit.Actor(*credential.key, credential.uid)
        audit.record(audit.Entry(operation, upstream, actor=actor, version=version, target=target))


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
