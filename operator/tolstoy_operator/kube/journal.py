"""The journal of refreshes: Secrets in the operator's own namespace that are created once and never changed.

It is where new tokens are kept when Secrets Manager does not take them, and in exclusive mode where attempts are
reserved. A name is taken by creating it; the API server sees to it that only one replica of this cluster succeeds.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tolstoy_operator.api import names
from tolstoy_operator.domain.errors import AccessDenied, AlreadyExists, StoreError, StoreUnavailable
from tolstoy_operator.domain.refreshrecords import JournalEntry
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.client import METADATA_LIST, KubeClient, Object
from tolstoy_operator.kube.errors import Conflict, Forbidden, KubeError, NotFound

_PREFIX = "tolstoy-journal-"
_PAYLOAD = "payload"
_LABEL = f"{names.GROUP}/journal"
_SECRET = f"{names.GROUP}/upstream-secret"


class KubeJournal:
    """Objects of the journal in `namespace`. Raises `StoreError` subclasses and nothing else."""

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    async def create(self, key: str, payload: SecretValue, *, secret: str) -> None:
        """Raises `AlreadyExists`, whatever the payload of the existing object."""
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": _PREFIX + key, "labels": {_LABEL: "true"}, "annotations": {_SECRET: secret}},
            "type": "tolstoy.dev/journal",
            "immutable": True,
            "data": {_PAYLOAD: base64.b64encode(payload.reveal().encode()).decode()},
        }
        try:
            await self._client.create(paths.secrets(self._namespace), body)
        except Conflict:
            raise AlreadyExists(key, "the journal has an object of this name") from None
        except KubeError as error:
            raise _translated(key, error) from None

    async def read(self, key: str) -> SecretValue | None:
        """None when there is no such object."""
        try:
            body = await self._client.get(paths.secrets(self._namespace, _PREFIX + key))
        except NotFound:
            return None
        except KubeError as error:
            raise _translated(key, error) from None
        return SecretValue(base64.b64decode(body["data"][_PAYLOAD]).decode())

    async def list(self) -> Sequence[JournalEntry]:
        """All objects of the journal. What they hold stays where it is."""
        found: list[JournalEntry] = []
        pages = self._client.list_pages(paths.secrets(self._namespace), selector=_LABEL, accept=METADATA_LIST)
        try:
            async for page in pages:
                found += [_entry(item) for item in page.get("items") or ()]
        except KubeError as error:
            raise _translated("journal", error) from None
        return found

    async def delete(self, key: str) -> None:
        """A missing object is a success."""
        try:
            await self._client.delete(paths.secrets(self._namespace, _PREFIX + key), {})
        except NotFound:
            return
        except KubeError as error:
            raise _translated(key, error) from None


def _entry(item: Object) -> JournalEntry:
    meta: dict[str, Any] = item["metadata"]
    return JournalEntry(
        key=meta["name"].removeprefix(_PREFIX),
        secret=(meta.get("annotations") or {}).get(_SECRET, ""),
        created_at=datetime.fromisoformat(meta["creationTimestamp"]).timestamp(),
    )


def _translated(key: str, error: KubeError) -> StoreError:
    kind = AccessDenied if isinstance(error, Forbidden) else StoreUnavailable
    return kind(key, f"journal: {error}")
