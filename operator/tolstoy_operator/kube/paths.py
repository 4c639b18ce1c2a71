"""Paths of the API that we use.

Names come from objects that the API server has accepted, and are quoted all the same: a name must never be a path.
"""

from __future__ import annotations

from urllib.parse import quote

from tolstoy_operator.api import names

NAMESPACES = "/api/v1/namespaces"
SECRETS = "/api/v1/secrets"
CREDENTIALS = f"/apis/{names.GROUP}/{names.VERSION}/{names.PLURAL}"
TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"  # noqa: S105 - a path
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


def secrets(namespace: str, name: str | None = None) -> str:
    """The Secrets of a namespace, or one of them."""
    return _namespaced("/api/v1", namespace, "secrets", name)


def credentials(namespace: str, name: str | None = None) -> str:
    """The ToolCredentials of a namespace, or one of them."""
    return _namespaced(f"/apis/{names.GROUP}/{names.VERSION}", namespace, names.PLURAL, name)


def credential(namespace: str, name: str) -> str:
    """One ToolCredential."""
    return credentials(namespace, name)


def events(namespace: str) -> str:
    """The Events of a namespace."""
    return _namespaced("/apis/events.k8s.io/v1", namespace, "events")


def leases(namespace: str, name: str | None = None) -> str:
    """The Leases of a namespace, or one of them."""
    return _namespaced("/apis/coordination.k8s.io/v1", namespace, "leases", name)


def _namespaced(api: str, namespace: str, plural: str, name: str | None = None) -> str:
    collection = f"{api}/namespaces/{quote(namespace, safe='')}/{plural}"
    return f"{collection}/{quote(name, safe='')}" if name else collection
