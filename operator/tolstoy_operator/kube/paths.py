"""Paths of the API that we use."""

from __future__ import annotations

from tolstoy_operator.api import names

NAMESPACES = "/api/v1/namespaces"
SECRETS = "/api/v1/secrets"
CREDENTIALS = f"/apis/{names.GROUP}/{names.VERSION}/{names.PLURAL}"
TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"  # noqa: S105 - a path
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


def secrets(namespace: str, name: str | None = None) -> str:
    """The Secrets of a namespace, or one of them."""
    return _join(f"{NAMESPACES}/{namespace}/secrets", name)


def credential(namespace: str, name: str) -> str:
    """One ToolCredential."""
    return f"/apis/{names.GROUP}/{names.VERSION}/namespaces/{namespace}/{names.PLURAL}/{name}"


def events(namespace: str) -> str:
    """The Events of a namespace."""
    return f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"


def leases(namespace: str, name: str | None = None) -> str:
    """The Leases of a namespace, or one of them."""
    return _join(f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases", name)


def _join(collection: str, name: str | None) -> str:
    return f"{collection}/{name}" if name else collection
