"""Writes of a ToolCredential's status."""

from __future__ import annotations

from typing import Any

from tolstoy_operator.kube import paths
from tolstoy_operator.kube.client import MERGE_PATCH, KubeClient, Object


class StatusApi:
    """Patches on the status subresource."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def write(self, namespace: str, name: str, resource_version: int, status: dict[str, Any]) -> Object:
        """Merge-patch the status of the object as it was read at `resource_version`.

        Raises `Conflict` when it has changed since, `NotFound` when it is gone.
        """
        body = {"metadata": {"resourceVersion": str(resource_version)}, "status": status}
        return await self._client.patch(f"{paths.credential(namespace, name)}/status", body, content_type=MERGE_PATCH)
