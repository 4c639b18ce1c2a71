"""Taking our keys out of Secrets of others when the credential that merged them is gone.

A Secret that a credential owns goes by garbage collection. Merged keys have no such owner, and we keep no finalizer
(nobody's deletion shall wait for us), so they are found by the field manager that carries the credential's UID.

Streams are unordered: a Secret may be seen with the keys of a credential that is not seen yet. So before anything is
taken out, the API server is asked which credentials there are.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict

from tolstoy_operator.domain.existing import ExistingSecret
from tolstoy_operator.engine.inventory import Inventory
from tolstoy_operator.engine.mirror import Mirror
from tolstoy_operator.kube.credentials import CredentialsApi
from tolstoy_operator.kube.errors import KubeError
from tolstoy_operator.observability.audit import Actor

_log = logging.getLogger(__name__)


class Janitor:
    """Woken when a credential went and after each resync."""

    def __init__(self, inventory: Inventory, mirror: Mirror, api: CredentialsApi) -> None:
        self._inventory = inventory
        self._mirror = mirror
        self._api = api
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look around soon."""
        self._wake.set()

    async def run(self) -> None:
        """Clean up whenever woken, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.clean()
            except Exception:
                _log.exception("cleaning failed")

    async def clean(self) -> None:
        """Release all keys of credentials that are gone. What fails is found again at the next resync."""
        orphans: defaultdict[str, list[tuple[ExistingSecret, str]]] = defaultdict(list)
        for secret in self._inventory.secrets():
            for uid in secret.merged_keys:
                if not self._inventory.is_live(uid):
                    orphans[secret.namespace].append((secret, uid))
        for namespace, found in orphans.items():
            try:
                await self._clean(namespace, found)
            except KubeError as error:
                _log.warning("merged keys not released: %s", error, extra={"namespace": namespace})

    async def _clean(self, namespace: str, orphans: list[tuple[ExistingSecret, str]]) -> None:
        live = await self._api.uids(namespace)
        for secret, uid in orphans:
            if uid not in live:
                await self._mirror.release(secret, Actor(namespace, secret.allow_merge or "", uid))
