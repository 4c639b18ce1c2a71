"""Writes of Secrets. What to write is decided in `domain.manifest`; here is only how."""

from __future__ import annotations

from tolstoy_operator.api import names
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.client import APPLY_PATCH, JSON_PATCH, KubeClient, Object


class SecretsApi:
    """Each write says what it expects to find, and returns the object as it is afterwards."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def read(self, namespace: str, name: str) -> Object:
        """Raises `NotFound`."""
        return await self._client.get(paths.secrets(namespace, name))

    async def create(self, namespace: str, manifest: Object) -> Object:
        """Raises `Conflict` when the name is taken, `Unprocessable` when the API server refuses the object."""
        return await self._client.create(
            paths.secrets(namespace), manifest, query={"fieldManager": names.FIELD_MANAGER}
        )

    async def rewrite(self, namespace: str, name: str, operations: list[Object]) -> Object:
        """JSON patch. Raises `NotFound`, or `Unprocessable` when a test does not hold or the result is not valid."""
        return await self._client.patch(
            paths.secrets(namespace, name),
            operations,
            content_type=JSON_PATCH,
            query={"fieldManager": names.FIELD_MANAGER},
        )

    async def merge(self, namespace: str, name: str, body: Object, *, manager: str) -> Object:
        """Server-side apply of our keys. Raises `Conflict` when the Secret is gone, was recreated or has changed."""
        return await self._client.patch(
            paths.secrets(namespace, name),
            body,
            content_type=APPLY_PATCH,
            query={"fieldManager": manager, "force": "true"},
        )

    async def delete(self, namespace: str, name: str, uid: str, version: int) -> None:
        """Delete this very Secret as it was at `version`. Raises `NotFound` or, when it has changed, `Conflict`."""
        expected = {"uid": uid, "resourceVersion": str(version)}
        await self._client.delete(paths.secrets(namespace, name), {"preconditions": expected})
