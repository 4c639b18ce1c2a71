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
    path = f"/metadata/finalizers/{finalizers.index(names.FINALIZER)}"
    operations: list[dict[str, Any]] = [
        {"op": "test", "path": path, "value": names.FINALIZER},
        {"op": "remove", "path": path},
    ]
    where = paths.credential(meta["namespace"], meta["name"])
    try:
        await client.patch(where, operations, content_type=JSON_PATCH)
    except NotFound:
        return 0
    except Unprocessable:
        # Somebody else's finalizer went meanwhile, and ours has another place.
        fresh = (await client.get(where))["metadata"]
        if fresh["resourceVersion"] == meta["resourceVersion"]:
            raise
        return await _release(client, fresh)
    return 1
