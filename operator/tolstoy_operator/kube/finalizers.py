"""Taking our finalizer off every ToolCredential, before the operator that would honour it is uninstalled."""

from __future__ import annotations

import logging
from typing import Any

from tolstoy_operator.api import names
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.client import JSON_PATCH, KubeClient
from tolstoy_operator.kube.errors import NotFound, Unprocessable

_log = logging.getLogger(__name__)


async def release_finalizers(client: KubeClient) -> int:
    """Remove the finalizer wherever it is; nothing is revoked. Returns how many objects had it.

    Raises `KubeError` when the API server does not answer; what is done stays done.
    """
    released = 0
    async for page in client.list_pages(paths.CREDENTIALS):
        for item in page.get("items") or ():
            released += await _release(client, item["metadata"])
    _log.info("finalizers released: %d", released)
    return released


async def _release(client: KubeClient, meta: dict[str, Any]) -> int:
    finalizers = meta.get("finalizers") or []
    if names.FINALIZER not in finalizers:
        return 0
    position = finalizers.index(names.FINALIZER)
    path = f"/metadata/finalizers/{position}"
    operations: list[dict[str, Any]] = [
        {"op": "test", "path": path, "value": names.FINALIZER},
        {"op": "remove", "path": path},
    ]
    try:
        await client.patch(paths.credential(meta["namespace"], meta["name"]), operations, content_type=JSON_PATCH)
    except (NotFound, Unprocessable):
        return 0
    return 1
