"""What is kept of a Secret that exists: enough to tell whether it is ours and whether it is right, and no value.

Values are kept as keyed fingerprints. The key is random for each process, so a fingerprint says nothing outside of it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from sys import intern
from typing import Any

from tolstoy_operator.api import names
from tolstoy_operator.domain.ownership import Holder

Fingerprint = Callable[[bytes], bytes]


def fingerprint_with(key: bytes) -> Fingerprint:
    """A keyed 128-bit digest."""

    def fingerprint(value: bytes) -> bytes:
        return hashlib.blake2b(value, digest_size=16, key=key).digest()

    return fingerprint


@dataclass(frozen=True, slots=True)
class ExistingSecret:
    """A Secret as last seen.

    `version`: the resourceVersion. `managed`: the value of our label. `keys` and `annotations`: fingerprints by name.
    `owned_labels` and `owned_annotations`: names that we set before and nobody took over. `merged_keys`: data keys
    by the UID of the credential that merged them. `owner_uids`: all ownerReferences, in their order. `allow_merge`:
    the credential that this Secret invites.
    """

    namespace: str
    name: str
    uid: str
    version: int
    type: str
    immutable: bool
    managed: str | None
    holder: Holder
    keys: Mapping[str, bytes]
    labels: Mapping[str, str]
    annotations: Mapping[str, bytes]
    owned_labels: frozenset[str]
    owned_annotations: frozenset[str]
    merged_keys: Mapping[str, frozenset[str]]
    owner_uids: tuple[str, ...]
    allow_merge: str | None

    @property
    def written_by_us(self) -> bool:
        """Whether it was us who labelled it. A copy that a person made of one of our Secrets says otherwise."""
        return names.MANAGED_LABEL in self.owned_labels


def existing_secret(body: Mapping[str, Any], fingerprint: Fingerprint) -> ExistingSecret:
    """Summarise a Secret as the API server sent it."""
    meta = body["metadata"]
    labels: dict[str, str] = meta.get("labels") or {}
    annotations: dict[str, str] = meta.get("annotations") or {}
    owned = dict(_owned_fields(meta, names.FIELD_MANAGER))
    return ExistingSecret(
        namespace=intern(meta["namespace"]),
        name=meta["name"],
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        type=body.get("type") or "Opaque",
        immutable=bool(body.get("immutable")),
        managed=labels.get(names.MANAGED_LABEL),
        holder=_holder(meta, labels, annotations),
        keys={intern(key): fingerprint(_decoded(value)) for key, value in (body.get("data") or {}).items()},
        labels={intern(key): intern(value) for key, value in labels.items()},
        annotations={intern(key): fingerprint(value.encode()) for key, value in annotations.items()},
        owned_labels=owned.get("labels", frozenset()),
        owned_annotations=owned.get("annotations", frozenset()),
        merged_keys=_merged_keys(meta),
        owner_uids=tuple(reference["uid"] for reference in meta.get("ownerReferences") or ()),
        allow_merge=annotations.get(names.ALLOW_MERGE),
    )


def _holder(meta: Mapping[str, Any], labels: Mapping[str, str], annotations: Mapping[str, str]) -> Holder:
    controller = next((item for item in meta.get("ownerReferences") or () if item.get("controller")), None)
    marked = labels.get(names.MANAGED_LABEL) == names.MANAGED_VALUE
    return Holder(
        controller_uid=controller["uid"] if controller else None,
        controller_name=f"{controller['kind']} {controller['name']}" if controller else None,
        marked_uid=annotations.get(names.CREDENTIAL_UID_ANNOTATION) if marked else None,
        marked_name=annotations.get(names.CREDENTIAL_ANNOTATION) if marked else None,
    )


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return value.encode()


def _owned_fields(meta: Mapping[str, Any], manager: str) -> Iterator[tuple[str, frozenset[str]]]:
    for part in ("labels", "annotations"):
        found: set[str] = set()
        for entry in meta.get("managedFields") or ():
            if entry.get("manager") == manager:
                found.update(_field_names(entry, "f:metadata", f"f:{part}"))
        yield part, _kept_once(frozenset(found))


def _merged_keys(meta: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    return {
        entry["manager"].removeprefix(names.MERGE_MANAGER_PREFIX): frozenset(_field_names(entry, "f:data"))
        for entry in meta.get("managedFields") or ()
        if entry.get("operation") == "Apply" and entry.get("manager", "").startswith(names.MERGE_MANAGER_PREFIX)
    }


def _field_names(entry: Mapping[str, Any], *path: str) -> Iterator[str]:
    node: Mapping[str, Any] = entry.get("fieldsV1") or {}
    for step in path:
        node = node.get(step) or {}
    for field in node:
        if field.startswith("f:"):
            yield intern(field[2:])


@lru_cache(maxsize=1024)
def _kept_once(fields: frozenset[str]) -> frozenset[str]:
    """Nearly all Secrets have the same fields of ours, and there are thousands of Secrets."""
    return fields
