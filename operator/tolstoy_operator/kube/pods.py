"""Pods: those that run in a namespace, and our annotation on them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from tolstoy_operator.api import names
from tolstoy_operator.domain.propagation import RUNNING, Touch, touched
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.client import MERGE_PATCH, KubeClient, Object

_RUNNING: Final = f"status.phase={RUNNING}"


class PodsApi:
    """Pods are listed when something has changed, and not watched: there may be a hundred for each credential."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def running(self, namespace: str) -> AsyncIterator[list[Object]]:
        """The running pods of a namespace, by pages. Raises `KubeError`."""
        async for page in self._client.list_pages(paths.pods(namespace), fields=_RUNNING):
            yield page.get("items") or []

    async def touch(self, namespace: str, touch: Touch) -> None:
        """Annotate a pod. Raises `NotFound` when it is gone, `Unprocessable` when another one has its name."""
        await self._client.patch(
            paths.pods(namespace, touch.name),
            touched(touch),
            content_type=MERGE_PATCH,
            query={"fieldManager": names.FIELD_MANAGER},
        )
