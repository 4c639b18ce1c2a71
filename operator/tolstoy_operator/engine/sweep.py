"""Following upstream versions without reading values: a listing of what changed lately, compared with what we know.

One or two `ListSecrets` pages a minute tell which secrets have a new current version; only those are read. A listing
may lag five minutes behind, so each sweep looks back further than the last one. A sweep of everything, a few times a
day, finds what no incremental listing can show: secrets that are gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from tolstoy_operator.api import names
from tolstoy_operator.domain.errors import AccessDenied, StoreError
from tolstoy_operator.engine.inventory import Inventory, Key
from tolstoy_operator.services.secrets import SecretsService
from tolstoy_operator.stores.base import SecretListing, SecretStore

_log = logging.getLogger(__name__)

OVERLAP = 600.0
"""Seconds that a sweep looks back beyond the last one; listings may lag 300 (AWS API reference, ListSecrets)."""
RETRY_PAUSE = 5.0
_FAILURES_UNTIL_DOWN = 2


class Sweep:
    """`changed`: told which credentials to look at. `interval`, `full_interval`, `poll_interval`: seconds.

    Without the right to list, all credentials are looked at every `poll_interval` instead.
    """

    def __init__(
        self,
        *,
        store: SecretStore,
        secrets: SecretsService,
        inventory: Inventory,
        changed: Callable[[Iterable[Key]], None],
        clock: Callable[[], float],
        interval: float,
        full_interval: float,
        poll_interval: float,
    ) -> None:
        self._store = store
        self._secrets = secrets
        self._inventory = inventory
        self._changed = changed
        self._clock = clock
        self._interval = interval
        self._full_interval = full_interval
        self._poll_interval = poll_interval
        self._watermark = clock()
        self._full_at = clock()
        self._failures = 0
        self._down_since: datetime | None = None
        self.last_success: float | None = None
        """Epoch seconds of the last sweep that worked; None before the first."""

    @property
    def unavailable_since(self) -> datetime | None:
        """When the store stopped answering; None while it answers."""
        return self._down_since

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(await self.step())

    async def step(self) -> float:
        """Sweep once. Returns seconds until the next time."""
        started = self._clock()
        full = started - self._full_at >= self._full_interval
        try:
            await self._sweep(full=full)
        except AccessDenied:
            _log.warning("the operator may not list secrets: every credential is read every few minutes instead")
            self._changed([item.key for item in self._inventory.credentials()])
            return self._poll_interval
        except StoreError as error:
            return self._failed(error)
        self._watermark = started
        self._full_at = started if full else self._full_at
        self._succeeded()
        return self._interval

    async def _sweep(self, *, full: bool) -> None:
        wanted = self._inventory.upstream_names()
        organisations = f"{names.UPSTREAM_PREFIX}/"
        since = None if full else self._watermark - OVERLAP
        seen: set[str] = set()
        platform = {name for name in wanted if not name.startswith(organisations)}
        for prefix in sorted({organisations, *platform}):
            async for listing in self._store.list_changed(prefix=prefix, since=since):
                if listing.name in wanted:
                    seen.add(listing.name)
                    self._note(listing)
        if full:
            for name in wanted - seen:
                self._news(name)

    def _note(self, listing: SecretListing) -> None:
        if listing.pending_deletion or listing.current_version_id is None:
            self._news(listing.name)
        elif self._secrets.note_version(listing.name, listing.current_version_id):
            self._changed(self._inventory.users_of(listing.name))

    def _news(self, name: str) -> None:
        self._secrets.invalidate(name)
        self._changed(self._inventory.users_of(name))

    def _failed(self, error: StoreError) -> float:
        self._failures += 1
        if self._failures >= _FAILURES_UNTIL_DOWN and self._down_since is None:
            _log.error("the store of secrets does not answer: %s", type(error).__name__)
            self._down_since = datetime.fromtimestamp(self._clock(), UTC)
            self._changed([item.key for item in self._inventory.credentials()])
        return min(RETRY_PAUSE, self._interval)

    def _succeeded(self) -> None:
        self._failures = 0
        self.last_success = self._clock()
        if self._down_since is not None:
            _log.info("the store of secrets answers again")
            self._down_since = None
            self._changed([item.key for item in self._inventory.credentials()])
