"""Kubernetes objects as the API server sends them, for unit tests."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from tolstoy_operator.api import names


def credential_object(
    name: str = "github",
    *,
    namespace: str = "shop",
    uid: str = "uid-1",
    version: int = 10,
    generation: int = 1,
    spec: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
    created: str = "2026-01-01T00:00:00Z",
    **meta: Any,
) -> dict[str, Any]:
    """A ToolCredential for `tolstoy/github/org-abc123`, unless `spec` says otherwise."""
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid,
            "resourceVersion": str(version),
            "generation": generation,
            "creationTimestamp": created,
            **meta,
        },
        "spec": dict(spec or {"tool": "github", "orgId": "org-abc123"}),
        **({"status": dict(status)} if status is not None else {}),
    }


def namespace_object(
    name: str = "shop", *, version: int = 1, terminating: bool = False, **annotations: str
) -> dict[str, Any]:
    """A Namespace; annotations are given without their prefix, with underscores for hyphens."""
    meta: dict[str, Any] = {
        "name": name,
        "uid": f"uid-{name}",
        "resourceVersion": str(version),
        "annotations": {f"{names.GROUP}/{key.replace('_', '-')}": value for key, value in annotations.items()},
    }
    return {"metadata": {**meta, **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if terminating else {})}}


def secret_object(
    name: str = "github",
    data: Mapping[str, str] | None = None,
    *,
    namespace: str = "shop",
    uid: str = "secret-uid-1",
    version: int = 20,
    labels: Mapping[str, str] | None = None,
    owner: str | None = "uid-1",
    secret_type: str = "Opaque",
    immutable: bool = False,
    **meta: Any,
) -> dict[str, Any]:
    """A Secret that belongs to the credential with UID `owner`."""
    reference = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": "github",
        "uid": owner,
        "controller": True,
    }
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid,
            "resourceVersion": str(version),
            "labels": dict(labels if labels is not None else {names.MANAGED_LABEL: names.MANAGED_VALUE}),
            **({"ownerReferences": [reference]} if owner else {}),
            **meta,
        },
        "type": secret_type,
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in (data or {}).items()},
        **({"immutable": True} if immutable else {}),
    }
