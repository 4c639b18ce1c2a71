"""Paths of the API that we use.

Names come from objects that the API server has accepted, and are quoted all the same: a name must never be a path.
"""

from __future__ import annotations

from urllib.parse import quote

from tolstoy_operator.api import names

NAMESPACES = "/api/v1/namespaces"
SECRETS = "/api/v1/secrets"
GROUP_VERSION = f"/apis/{names.GROUP}/{names.VERSION}"
CREDENTIALS = f"{GROUP_VERSION}/{names.PLURAL}"
TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"  # noqa: S105 - a path
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


def namespace(name: str) -> str:
    """One Namespace."""
    return f"{NAMESPACES}/{quote(name, safe='')}"


def secrets(namespace: str, name: str | None = None) -> str:
    """The Secrets of a namespace, or one of them."""
    return _namespaced("/api/v1", namespace, "secrets", name)


def credentials(namespace: str, name: str | None = None) -> str:
    """The ToolCredentials of a namespace, or one of them."""
    return _namespaced(GROUP_VERSION, namespace, names.PLURAL, name)


def credential(namespace: str, name: str) -> str:
    """One ToolCredential."""
    return credentials(namespace, name)


def events(namespace: str) -> str:
    """The Events of a namespace."""
    return _namespaced("/apis/events.k8s.io/v1", namespace, "events")


def events_of_core(namespace: str) -> str:
    """The same Events under their older name, which is the one that the built-in roles for people let read."""
    return _namespaced("/api/v1", namespace, "events")


def pods(namespace: str, name: str | None = None) -> str:
    """The Pods of a namespace, or one of them."""
    return _namespaced("/api/v1", namespace, "pods", name)


def apps(namespace: str, plural: str, name: str | None = None) -> str:
    """The workloads of one kind in a namespace (`deployments`, `replicasets`, …), or one of them."""
    return _namespaced("/apis/apps/v1", namespace, plural, name)


def batch(namespace: str, plural: str, name: str | None = None) -> str:
    """The same for `jobs` and `cronjobs`."""
    return _namespaced("/apis/batch/v1", namespace, plural, name)


def leases(namespace: str, name: str | None = None) -> str:
    """The Leases of a namespace, or one of them."""
    return _namespaced("/apis/coordination.k8s.io/v1", namespace, "leases", name)


def _namespaced(api: str, namespace: str, plural: str, name: str | None = None) -> str:
    collection = f"{api}/namespaces/{quote(namespace, safe='')}/{plural}"
    return f"{collection}/{quote(name, safe='')}" if name else collection
