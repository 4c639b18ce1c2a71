"""The one Lease of this installation, as the elector wants it."""

from __future__ import annotations

from tolstoy_operator.kube import paths
from tolstoy_operator.kube.client import KubeClient, Object
from tolstoy_operator.kube.errors import NotFound


class LeasesApi:
    """Reads and guarded writes of `namespace`/`name`."""

    def __init__(self, client: KubeClient, namespace: str, name: str) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name

    async def get(self) -> Object | None:
        """The Lease, None when there is none."""
        try:
            return await self._client.get(paths.leases(self._namespace, self._name))
        except NotFound:
            return None

    async def create(self, body: Object) -> Object:
        """Raises `Conflict` when there is one already."""
        return await self._client.create(paths.leases(self._namespace), body)

    async def replace(self, body: Object) -> Object:
        """Raises `Conflict` when its resourceVersion is not current."""
        return await self._client.replace(paths.leases(self._namespace, self._name), body)
