"""Taking our keys out of Secrets of others when the credential that merged them is gone.

A Secret that a credential owns goes by garbage collection. Merged keys have no such owner, and we keep no finalizer
(nobody's deletion shall wait for us), so they are found by the field manager that carries the credential's UID.
"""

from __future__ import annotations

import asyncio
import logging

from tolstoy_operator.engine.inventory import Inventory
from tolstoy_operator.engine.mirror import Mirror
from tolstoy_operator.kube.errors import KubeError

_log = logging.getLogger(__name__)


class Janitor:
    """Woken when a credential went and after each resync."""

    def __init__(self, inventory: Inventory, mirror: Mirror) -> None:
        self._inventory = inventory
        self._mirror = mirror
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look around soon."""
        self._wake.set()

    async def run(self) -> None:
        """Clean up whenever woken, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.clean()

    async def clean(self) -> None:
        """Release all keys of credentials that are gone. What fails is found again at the next resync."""
        orphans = [
            (secret, uid)
            for secret in self._inventory.secrets()
            for uid in secret.merged_keys
            if not self._inventory.is_live(uid)
        ]
        for secret, uid in orphans:
            try:
                await self._mirror.release(secret, uid)
            except KubeError as error:
                _log.warning("merged keys not released: %s", error, extra={"namespace": secret.namespace})
