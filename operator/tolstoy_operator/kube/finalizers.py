"""Our finalizer: on single ToolCredentials, and off all of them before the operator that honours it is uninstalled."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from tolstoy_operator.api import names
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.client import JSON_PATCH, KubeClient, Object
from tolstoy_operator.kube.errors import Conflict, NotFound, Unprocessable

_log = logging.getLogger(__name__)


async def release_finalizers(client: KubeClient, namespaces: Sequence[str] = ()) -> int:
    """Remove the finalizer wherever it is in `namespaces` (none: in the cluster); nothing is revoked.

    Returns how many objects had it.

    Raises `KubeError` when the API server does not answer; what is done stays done.
    """
    released = 0
    for path in [paths.credentials(name) for name in namespaces] or [paths.CREDENTIALS]:
        async for page in client.list_pages(path):
            for item in page.get("items") or ():
                released += await _release(client, item["metadata"])
    _log.info("finalizers released: %d", released)
    return released


class FinalizersApi:
    """Our finalizer on single ToolCredentials, by JSON patches that test what they were decided on."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def add(self, namespace: str, name: str, uid: str, finalizers: Sequence[str], version: int) -> Object | None:
        """Put it on the object that had these finalizers at resourceVersion `version`. None when the object is gone.

        Raises `Conflict` when it has changed since.
        """
        place: dict[str, Any] = {"path": "/metadata/finalizers/-", "value": names.FINALIZER}
        if not finalizers:
            place = {"path": "/metadata/finalizers", "value": [names.FINALIZER]}
        operations = [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "test", "path": "/metadata/resourceVersion", "value": str(version)},
            {"op": "add", **place},
        ]
        return await self._patch(namespace, name, operations)

    async def remove(
        self, namespace: str, name: str, uid: str, finalizers: Sequence[str], version: int
    ) -> Object | None:
        """Take it off, whatever else has changed since `version`. The rest as for `add`."""
        path = f"/metadata/finalizers/{list(finalizers).index(names.FINALIZER)}"
        operations = [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "test", "path": path, "value": names.FINALIZER},
            {"op": "remove", "path": path},
        ]
        return await self._patch(namespace, name, operations)

    async def _patch(self, namespace: str, name: str, operations: list[dict[str, Any]]) -> Object | None:
        try:
            return await self._client.patch(paths.credential(namespace, name), operations, content_type=JSON_PATCH)
        except NotFound:
            return None
        except Unprocessable:
            raise Conflict(reason="Overtaken") from None


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
        if fresh["uid"] != meta["uid"]:
            return 0
        if fresh["resourceVersion"] == meta["resourceVersion"]:
            raise
        return await _release(client, fresh)
    return 1
