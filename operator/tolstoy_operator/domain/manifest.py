"""The Secret that a credential wants, and the smallest write that gets an existing one there."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tolstoy_operator.api import names
from tolstoy_operator.api.v1 import DeletionPolicy, ToolCredentialSpec
from tolstoy_operator.domain.existing import ExistingSecret, Fingerprint

Operation = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Identity:
    """The credential a Secret is written for."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class DesiredSecret:
    """A whole Secret. `data` holds the values themselves, so it has no repr and lives for one reconciliation."""

    owner: Identity
    name: str
    type: str
    data: Mapping[str, bytes]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    garbage_collected: bool

    def __repr__(self) -> str:
        return f"DesiredSecret({self.owner.namespace}/{self.name})"


def desired_secret(
    owner: Identity, spec: ToolCredentialSpec, name: str, data: Mapping[str, bytes], version_id: str
) -> DesiredSecret:
    """The Secret for a credential whose projected upstream value (version `version_id`) is `data`."""
    ours = {
        names.CREDENTIAL_ANNOTATION: owner.name,
        names.CREDENTIAL_UID_ANNOTATION: owner.uid,
        names.UPSTREAM_VERSION_ANNOTATION: version_id,
    }
    return DesiredSecret(
        owner=owner,
        name=name,
        type=spec.target.type,
        data=data,
        labels={**spec.target.labels, names.MANAGED_LABEL: names.MANAGED_VALUE},
        annotations={**spec.target.annotations, **ours},
        garbage_collected=spec.target.deletion_policy is DeletionPolicy.DELETE,
    )


def manifest(desired: DesiredSecret) -> dict[str, Any]:
    """The object to create."""
    meta: dict[str, Any] = {
        "name": desired.name,
        "namespace": desired.owner.namespace,
        "labels": dict(desired.labels),
        "annotations": dict(desired.annotations),
    }
    if desired.garbage_collected:
        meta["ownerReferences"] = [_owner_reference(desired.owner)]
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": meta,
        "type": desired.type,
        "data": encoded(desired.data),
    }


def data_differs(existing: ExistingSecret, desired: DesiredSecret, fingerprint: Fingerprint) -> bool:
    """Whether the existing Secret holds other data than is wanted."""
    return existing.keys != {key: fingerprint(value) for key, value in desired.data.items()}


def rewrite(existing: ExistingSecret, desired: DesiredSecret, fingerprint: Fingerprint) -> list[Operation]:
    """The JSON patch from `existing` to `desired`; empty when nothing differs.

    It tests the resourceVersion: what was decided by looking at a Secret is never done to another one, nor to this one
    once somebody else has changed it, and the answer holds nothing that nobody has looked at. Labels and annotations of
    others stay; ours that are no longer wanted go. Data is ours alone: keys that others added go.
    """
    operations: list[Operation] = []
    if data_differs(existing, desired, fingerprint):
        operations.append({"op": "add", "path": "/data", "value": encoded(desired.data)})
    operations += _map_operations("labels", existing.labels, desired.labels, existing.owned_labels)
    wanted = {key: fingerprint(value.encode()) for key, value in desired.annotations.items()}
    operations += _map_operations(
        "annotations", existing.annotations, wanted, existing.owned_annotations, texts=desired.annotations
    )
    operations += _owner_operations(existing, desired)
    test = {"op": "test", "path": "/metadata/resourceVersion", "value": str(existing.version)}
    return [test, *operations] if operations else []


def removal(existing: ExistingSecret, keys: Iterable[str]) -> list[Operation]:
    """The JSON patch that takes keys, which it has, out of a Secret as it was looked at."""
    test = {"op": "test", "path": "/metadata/resourceVersion", "value": str(existing.version)}
    return [test, *({"op": "remove", "path": f"/data/{key}"} for key in keys)]


def merge_manager(credential_uid: str) -> str:
    """The field manager under which a credential merges its keys."""
    return f"{names.MERGE_MANAGER_PREFIX}{credential_uid}"


def merged(existing: ExistingSecret, data: Mapping[str, bytes]) -> dict[str, Any]:
    """The server-side apply body that puts `data` into a Secret that invites us; without data it takes ours out.

    It names the UID, so that applying it never creates a Secret, and the version that was looked at.
    """
    meta: dict[str, Any] = {
        "name": existing.name,
        "namespace": existing.namespace,
        "uid": existing.uid,
        "resourceVersion": str(existing.version),
    }
    if data:
        meta["labels"] = {names.MANAGED_LABEL: names.MERGED_VALUE}
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "Secret", "metadata": meta}
    return {**body, "data": encoded(data)} if data else body


def is_merged(
    existing: ExistingSecret, credential_uid: str, data: Mapping[str, bytes], fingerprint: Fingerprint
) -> bool:
    """Whether the Secret already holds exactly these keys of that credential."""
    return (
        existing.managed == names.MERGED_VALUE
        and existing.merged_keys.get(credential_uid) == frozenset(data)
        and all(existing.keys.get(key) == fingerprint(value) for key, value in data.items())
    )


def encoded(data: Mapping[str, bytes]) -> dict[str, str]:
    """Values as the API wants them: base64."""
    return {key: base64.b64encode(value).decode() for key, value in data.items()}


def _owner_reference(owner: Identity) -> dict[str, Any]:
    # No blockOwnerDeletion: a credential's deletion must never wait for its Secret.
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
    }


def _map_operations(
    part: str,
    existing: Mapping[str, Any],
    wanted: Mapping[str, Any],
    owned: frozenset[str],
    *,
    texts: Mapping[str, str] | None = None,
) -> list[Operation]:
    values = texts if texts is not None else wanted
    changed = {key: values[key] for key, value in wanted.items() if existing.get(key) != value}
    if changed and not existing:
        return [{"op": "add", "path": f"/metadata/{part}", "value": changed}]
    adds = [{"op": "add", "path": _pointer(part, key), "value": value} for key, value in changed.items()]
    stale = sorted((owned & existing.keys()) - wanted.keys())
    return adds + [{"op": "remove", "path": _pointer(part, key)} for key in stale]


def _pointer(part: str, key: str) -> str:
    return f"/metadata/{part}/{key.replace('~', '~0').replace('/', '~1')}"


def _owner_operations(existing: ExistingSecret, desired: DesiredSecret) -> list[Operation]:
    path = "/metadata/ownerReferences"
    present = desired.owner.uid in existing.owner_uids
    if desired.garbage_collected and not present:
        reference = _owner_reference(desired.owner)
        if existing.owner_uids:
            return [{"op": "add", "path": f"{path}/-", "value": reference}]
        return [{"op": "add", "path": path, "value": [reference]}]
    if present and not desired.garbage_collected:
        return [{"op": "remove", "path": f"{path}/{existing.owner_uids.index(desired.owner.uid)}"}]
    return []
