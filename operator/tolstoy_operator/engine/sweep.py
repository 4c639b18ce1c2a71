"""Following upstream versions without reading values: a listing of what changed lately, compared with what we know.

One or two `ListSecrets` pages a minute tell which secrets have a new current version; only those are read. A listing
may lag five minutes behind, so each sweep looks back further than the last one. How far is reckoned in the store's own
time, which its listings tell: our clock may be wrong by hours, or be set while we run. A sweep of everything, a few
times a day, finds what no incremental listing can show: secrets that are gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from tolstoy_operator.api import names
from tolstoy_operator.domain.errors import AccessDenied, StoreError
from tolstoy_operator.engine.inventory import Inventory
from tolstoy_operator.engine.records import Key
from tolstoy_operator.engine.upstream import UpstreamHealth
from tolstoy_operator.services.secrets import SecretsService
from tolstoy_operator.stores.base import SecretListing, SecretStore

_log = logging.getLogger(__name__)

OVERLAP = 600.0
"""Seconds that a sweep looks back beyond the last one; listings may lag 300 (AWS API reference, ListSecrets)."""
RETRY_PAUSE = 5.0
MOST_PREFIXES = 5
"""Listings by prefix in one sweep; with more platform secrets than that, everything is listed at once."""


class _StoreTime:
    """What time it is at the store, at the least: that of a change that it tells of, and what has passed since."""

    def __init__(self) -> None:
        self._ahead: float | None = None

    def saw(self, changed_at: float, now: float) -> None:
        """A change at `changed_at` by the store's clock was told at `now` by ours."""
        ahead = changed_at - now
        self._ahead = ahead if self._ahead is None else max(self._ahead, ahead)

    def at(self, moment: float) -> float | None:
        """The store's time at a moment of ours; None when it has never told any."""
        return None if self._ahead is None else moment + self._ahead


class Sweep:
    """`changed`: told which credentials have news, `look_later`: which to look at all the same. Intervals: seconds.
    `on_success`: told of each sweep that worked, its kind ("changed" or "full") and the time. `clock`: monotonic
    seconds; `wall`: epoch seconds.

    Without the right to list, all credentials are looked at every `poll_interval` instead.
    """

    def __init__(
        self,
        *,
        store: SecretStore,
        secrets: SecretsService,
        inventory: Inventory,
        health: UpstreamHealth,
        changed: Callable[[Iterable[Key]], None],
        look_later: Callable[[Iterable[Key]], None],
        on_success: Callable[[str, float], None],
        clock: Callable[[], float],
        wall: Callable[[], float],
        interval: float,
        full_interval: float,
        poll_interval: float,
    ) -> None:
        self._store = store
        self._secrets = secrets
        self._inventory = inventory
        self._health = health
        self._changed = changed
        self._look_later = look_later
        self._on_success = on_success
        self._clock = clock
        self._wall = wall
        self._interval = interval
        self._full_interval = full_interval
        self._poll_interval = poll_interval
        self._told: dict[str, str] = {}
        self._store_time = _StoreTime()
        self._swept_at = clock()
        self._full_at = clock()

    async def run(self) -> None:
        """Sweep until cancelled. Nothing has been read before, so that earlier changes are no news."""
        self._swept_at = self._clock()
        while True:
            try:
                pause = await self.step()
            except Exception:
                _log.exception("sweep failed")
                pause = self._interval
            await asyncio.sleep(pause)

    async def step(self) -> float:
        """Sweep once. Returns seconds until the next time."""
        started = self._clock()
        full = started - self._full_at >= self._full_interval
        try:
            await self._sweep(full=full)
        except AccessDenied:
            _log.warning("the operator may not list secrets: every credential is read every few minutes instead")
            self._health.succeeded()  # it answers, which is what health is about
            self._look_at_all()
            return self._poll_interval
        except StoreError as error:
            return self._failed(error)
        self._swept_at = started
        self._full_at = started if full else self._full_at
        self._on_success("full" if full else "changed", self._wall())
        self._succeeded()
        return self._interval

    async def _sweep(self, *, full: bool) -> None:
        wanted = self._inventory.upstream_names()
        for name in self._secrets.versions_known().keys() - wanted:
            self._secrets.clear(name)  # nobody uses it any more, so its value is not kept
            self._told.pop(name, None)
        seen: set[str] = set()
        for prefix in _prefixes(wanted):
            since = None if full else self._store_time.at(self._swept_at - OVERLAP)
            async for listing in self._store.list_changed(prefix=prefix, since=since):
                self._store_time.saw(listing.changed_at, self._clock())
                if since is None and not full:  # the first one: only now it is known what time it is
                    since = self._store_time.at(self._swept_at - OVERLAP)
                if since is not None and listing.changed_at < since:
                    break
                if listing.name in wanted:
                    seen.add(listing.name)
                    self._note(listing)
        if full:
            for name in wanted - seen:
                self._news(name)

    def _note(self, listing: SecretListing) -> None:
        if listing.pending_deletion or listing.current_version_id is None:
            self._news(listing.name)
        elif self._secrets.note_version(listing.name, listing.current_version_id, previous=listing.previous_version_id):
            self._changed(self._inventory.users_of(listing.name))
        elif self._told.get(listing.name) != listing.current_version_id:
            # Whoever read the new version first has told nobody else. Once is enough: a listing repeats it for minutes,
            # and a credential that cannot use the version would be tried each time.
            self._changed(self._inventory.behind(listing.name, listing.current_version_id))
        if listing.current_version_id is not None:
            self._told[listing.name] = listing.current_version_id

    def _news(self, name: str) -> None:
        self._secrets.invalidate(name)
        self._changed(self._inventory.users_of(name))

    def _failed(self, error: StoreError) -> float:
        if self._health.failed():
            _log.error("the store of secrets does not answer: %s", type(error).__name__)
            self._look_at_all()
        return min(RETRY_PAUSE, self._interval)

    def _succeeded(self) -> None:
        if self._health.succeeded():
            _log.info("the store of secrets answers again")
            self._look_at_all()

    def _look_at_all(self) -> None:
        self._look_later([item.key for item in self._inventory.credentials()])


def _prefixes(wanted: set[str]) -> list[str]:
    organisations = f"{names.UPSTREAM_PREFIX}/"
    prefixes = {organisations, *(name for name in wanted if not name.startswith(organisations))}
    return sorted(prefixes) if len(prefixes) <= MOST_PREFIXES else [""]
