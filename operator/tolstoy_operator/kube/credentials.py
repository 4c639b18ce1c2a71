"""Questions about ToolCredentials whose answer must not be an old one."""

from __future__ import annotations

from tolstoy_operator.kube import paths
from tolstoy_operator.kube.client import KubeClient


class CredentialsApi:
    """Live reads."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def uids(self, namespace: str) -> set[str]:
        """The UIDs of all ToolCredentials of the namespace, as of now. Raises `KubeError`."""
        found: set[str] = set()
        async for page in self._client.list_pages(paths.credentials(namespace)):
            found.update(item["metadata"]["uid"] for item in page.get("items") or ())
        return found
