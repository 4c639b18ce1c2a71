"""The secrets service: every value that the operator reads or writes goes through here.

It answers from memory while a value is fresh, asks the store once for many who ask, and serves the last known value,
marked as stale, while the store is down, throttles or does not know the operator. What it says of one secret (there is
none, or no access) is never papered over. Writes are seen at once by the next read.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from tolstoy_operator.domain.documents import Document, MalformedSecret, parse_document, quoted
from tolstoy_operator.domain.errors import SecretNotFound, StoreError
from tolstoy_operator.domain.refreshids import NEXT_LABEL
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.observability import audit
from tolstoy_operator.observability.audit import Actor, Entry, Operation
from tolstoy_operator.services.cache import CacheEntry, VersionCache
from tolstoy_operator.services.coalesce import WINDOW_S, Answer, Coalescer, Flight, Settled
from tolstoy_operator.stores.base import CURRENT, SecretStore, SecretVersion

MAX_BYTES: Final = 64 * 1024 * 1024

Upcoming = Callable[[], Iterable[tuple[str, Actor]]]
"""Names that are about to be asked for, each with who will ask."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A version as it was served.

    `stale`: the store could not be asked. `age`: seconds since it last confirmed the version; `read_at`: that moment
    in epoch seconds.
    """

    version: SecretVersion
    stale: bool
    age: float
    read_at: float

    def document(self) -> Document:
        """The parsed value. Raises `MalformedSecret`."""
        return parse_document(self.version.value)


@dataclass(frozen=True, slots=True)
class SecretsStats:
    """Figures since the start.

    `entries`, `bytes`: values in memory now. `hits`: answered from memory. `joined`: answered by a read that was under
    way. `reads`: secrets read; `calls`: store calls that took. `failures`: secrets whose read failed. `stale_served`:
    answered with a stale value. `evictions`: values that had to go for room.
    """

    entries: int
    bytes: int
    hits: int
    joined: int
    reads: int
    calls: int
    failures: int
    stale_served: int
    evictions: int


class SecretsService:
    """Cached reads and writes on a store.

    `cache_ttl`: seconds for which a value is served unread, 0 = none. `stale_max_age`: seconds since the last
    confirmation after which a value is not served any more. `max_bytes`: room for values. `clock`: monotonic seconds;
    `wall`: epoch seconds. `window`: seconds that a read waits for company. `record`: takes the audit entries.
    """

    def __init__(
        self,
        store: SecretStore,
        *,
        cache_ttl: float,
        stale_max_age: float,
        max_bytes: int = MAX_BYTES,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        window: float = WINDOW_S,
        record: Callable[[Entry], None] = audit.record,
    ) -> None:
        self._store = store
        self._stale_max_age = stale_max_age
        self._wall = wall
        self._record = record
        self._cache = VersionCache(ttl=cache_ttl, max_bytes=max_bytes, clock=clock, wall=wall)
        self._reads = Coalescer(store, settle=self._settle, upcoming=self._unread, clock=clock, window=window)
        self._upcoming: Upcoming = lambda: ()
        self._hits = self._read = self._failures = self._stale_served = 0

    def read_ahead(self, upcoming: Upcoming) -> None:
        """Say who is going to ask for what: it is read along where that costs no further call."""
        self._upcoming = upcoming

    async def get(self, name: str, *, actor: Actor | None = None) -> Fetched:
        """The current version. Raises `StoreError`; a transient one only when there is no value to stand in."""
        entry = self._cache.fresh(name)
        if entry is not None:
            self._hits += 1
            return self._fetched(entry)
        answer = await self._reads.read(name, actor)
        if isinstance(answer, CacheEntry):
            return self._fetched(answer)
        last = self._cache.get(name)
        if not answer.transient or last is None or self._cache.age(last) > self._stale_max_age:
            raise type(answer)(answer.name, answer.cause)
        self._stale_served += 1
        return self._fetched(last, stale=True)

    async def get_key(self, name: str, key: str, *, actor: Actor | None = None) -> SecretValue:
        """One member of the document as text. Raises `StoreError`, and `MalformedSecret` also when it is missing."""
        document = (await self.get(name, actor=actor)).document()
        if key not in document:
            raise MalformedSecret(f"the secret has no member {quoted(key)}")
        return document.text(key)

    async def create(self, name: str, value: SecretValue, *, actor: Actor | None = None) -> str:
        """Create the secret and return its version id. Raises `StoreError`, `AlreadyExists` among them."""
        version_id = str(uuid.uuid4())
        await self._write(Operation.CREATE, name, value, version_id, actor)
        await self._publish_confirmed(name, version_id, parent=None)
        return version_id

    async def update(self, name: str, value: SecretValue, *, actor: Actor | None = None) -> str:
        """Write a new current version, whatever is current, and return its id. Raises `StoreError`."""
        chosen = str(uuid.uuid4())
        parent = self._cache.known.get(name)
        await self._write(Operation.WRITE, name, value, chosen, actor)
        last = self._cache.get(name)
        if last is not None and last.version.version_id == parent:
            written = SecretVersion(name, last.version.arn, chosen, frozenset({CURRENT}), value, self._wall())
            self._publish(written, parent)
        else:
            await self._publish_confirmed(name, chosen, parent)
        return chosen

    async def replace(
        self, name: str, value: SecretValue, *, parent: str, version_id: str, actor: Actor | None = None
    ) -> None:
        """Write a new version that becomes current in place of `parent`, and of nothing else. Raises `StoreError`.

        `LabelMoved`: another version is current, and stays. `version_id`: 32 to 64 characters of the caller's choice,
        which make a repetition of the call harmless: the same value is a success, another one `AlreadyExists`.
        """
        await self._write(Operation.WRITE, name, value, version_id, actor, parent)
        await self._publish_confirmed(name, version_id, parent)

    async def exists(self, name: str) -> bool:
        """Whether the secret exists and is not about to be deleted. Raises `StoreError`."""
        if self._cache.fresh(name) is not None:
            return True
        try:
            return not (await self._store.describe(name)).pending_deletion
        except SecretNotFound:
            return False

    async def validate_access(self) -> None:
        """Prove that the store answers and lets us in. Raises `StoreError`."""
        await self._store.validate_access()

    def adopt(self, name: str, version_id: str, value: SecretValue, *, ahead: float = 0.0) -> None:
        """Serve a version that this process has just made current by other means than `update`.

        `ahead`: seconds for which the store does not have it yet.
        """
        before = self._cache.get(name)
        if before is None:
            self.invalidate(name)
        else:
            labels = frozenset({CURRENT})
            written = SecretVersion(name, before.version.arn, version_id, labels, value, self._wall())
            self._publish(written, self._cache.known.get(name), ahead)

    def invalidate(self, name: str) -> None:
        """Have the store asked at the next read. The value can still stand in as a stale one."""
        self._cache.invalidate(name)
        self._reads.supersede(name)

    def clear(self, name: str | None = None) -> None:
        """Forget one secret, or all."""
        for one in [name] if name is not None else {*self._cache.known, *self._reads.under_way()}:
            self._reads.supersede(one)
            self._cache.drop(one)

    def note_version(self, name: str, version_id: str | None, *, previous: str | None = None) -> bool:
        """Take in what somebody else saw as the current version (None: no version is current).

        The version that is known counts as confirmed, without a read. Any other one is news, also for a secret of which
        nothing is known: True is returned, and the next read asks the store. A version that is known to have been
        replaced is no news for an hour, unless `previous`, the version before it by the same look, shows that it was
        moved back.
        """
        news = self._cache.note(name, version_id, previous)
        if news:
            self._reads.supersede(name)
        return news

    def versions_known(self) -> Mapping[str, str]:
        """Version id by name, as last seen."""
        return dict(self._cache.known)

    def stats(self) -> SecretsStats:
        """Figures for `/status/detailed` and metrics."""
        return SecretsStats(
            entries=len(self._cache),
            bytes=self._cache.bytes,
            hits=self._hits,
            joined=self._reads.joined,
            reads=self._read,
            calls=self._reads.calls,
            failures=self._failures,
            stale_served=self._stale_served,
            evictions=self._cache.evictions,
        )

    def _fetched(self, entry: CacheEntry, *, stale: bool = False) -> Fetched:
        return Fetched(entry.version, stale, self._cache.age(entry), entry.read_at)

    def _unread(self) -> Iterator[tuple[str, Actor]]:
        return ((name, actor) for name, actor in self._upcoming() if self._cache.fresh(name) is None)

    def _settle(self, flight: Flight, answer: Answer) -> Settled:
        """Once a read: keep what it brought, and audit it for each who asked."""
        self._read += 1
        failed = isinstance(answer, StoreError)
        version_id = None if isinstance(answer, StoreError) else answer.version_id
        outcome = type(answer).__name__ if failed else audit.OK
        for actor in flight.actors:
            self._record(Entry(Operation.READ, flight.name, outcome, actor, version_id))
        if isinstance(answer, StoreError):
            self._failures += 1
            if not answer.transient and not flight.superseded:
                self._cache.drop(flight.name)
            return answer
        entry = self._cache.entry_of(answer, asked_at=flight.asked_at)
        if not flight.superseded:
            self._cache.keep(entry)
        return entry

    async def _write(
        self,
        operation: Operation,
        name: str,
        value: SecretValue,
        version_id: str,
        actor: Actor | None,
        parent: str | None = None,
    ) -> None:
        try:
            if operation is Operation.CREATE:
                await self._store.create(name, value, version_id=version_id)
            elif parent is not None:
                await self._swap(name, value, parent, version_id)
            else:
                await self._store.put(name, value, version_id=version_id)
        except (StoreError, asyncio.CancelledError) as error:
            self.invalidate(name)  # it may have been written all the same
            self._record(Entry(operation, name, type(error).__name__, actor, version_id))
            raise
        self._record(Entry(operation, name, audit.OK, actor, version_id))

    async def _swap(self, name: str, value: SecretValue, parent: str, version_id: str) -> None:
        await self._store.put(name, value, version_id=version_id, labels=[NEXT_LABEL])
        try:
            await self._store.move_label(name, CURRENT, from_version=parent, to_version=version_id)
        finally:
            with suppress(StoreError):  # whoever parks there next takes it along
                await self._store.move_label(name, NEXT_LABEL, from_version=version_id, to_version=None)

    async def _publish_confirmed(self, name: str, version_id: str, parent: str | None) -> None:
        """Publish our version if it is still the current one: somebody else may have written meanwhile."""
        try:
            version = await self._store.get(name, version_id=version_id, label=CURRENT)
        except StoreError:
            self.invalidate(name)
        else:
            self._publish(version, parent)

    def _publish(self, version: SecretVersion, parent: str | None, ahead: float = 0.0) -> None:
        self._reads.supersede(version.name)
        self._cache.publish(version, parent=parent, ahead=ahead)
