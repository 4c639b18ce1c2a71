"""What was last read of each secret, and until when it can be believed.

A version never changes, so the only news about a secret is another version id. An entry is fresh for a while after the
store confirmed it; after that, or when it was invalidated, it waits to be confirmed again and can still stand in while
the store does not answer. The least recently used values go when memory runs short; which version of them was last
seen is remembered all the same. Documents are not kept: parsing one takes microseconds, and would double the memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from tolstoy_operator.stores.base import SecretVersion

OWN_WRITE_LAG: Final = 60.0
"""Seconds in which a read may still show what we ourselves have replaced: Secrets Manager is eventually consistent."""

_OVERHEAD: Final = 1024  # objects around a value, roughly


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A version, and when the store last confirmed it as current.

    `confirmed_at`: seconds of the monotonic clock. `read_at`: the same moment in epoch seconds.
    """

    version: SecretVersion
    confirmed_at: float
    read_at: float
    valid: bool = True

    @property
    def size(self) -> int:
        """Bytes of memory, roughly."""
        return _OVERHEAD + len(self.version.value or "")


@dataclass(frozen=True, slots=True)
class _OwnWrite:
    superseded: frozenset[str]
    until: float


class VersionCache:
    """Entries by secret name. `ttl`: seconds. `clock`: monotonic seconds; `wall`: epoch seconds."""

    def __init__(self, *, ttl: float, max_bytes: int, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self._ttl = ttl
        self._max_bytes = max_bytes
        self._clock = clock
        self._wall = wall
        self._entries: OrderedDict[str, CacheEntry] = OrderedDict()
        self._known: dict[str, str] = {}
        self._own: dict[str, _OwnWrite] = {}
        self.bytes = 0
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def known(self) -> Mapping[str, str]:
        """Version id by name, as last seen; of values that had to go, too."""
        return self._known

    def get(self, name: str) -> CacheEntry | None:
        """The entry, whatever its age."""
        entry = self._entries.get(name)
        if entry is not None:
            self._entries.move_to_end(name)
        return entry

    def fresh(self, name: str) -> CacheEntry | None:
        """The entry, if it can be served without asking the store."""
        entry = self.get(name)
        return entry if entry is not None and entry.valid and self.age(entry) < self._ttl else None

    def age(self, entry: CacheEntry) -> float:
        """Seconds since the store confirmed the entry."""
        return self._clock() - entry.confirmed_at

    def entry_of(self, version: SecretVersion, *, asked_at: float) -> CacheEntry:
        """An entry for what the store answered to a question asked at `asked_at`, not kept yet.

        What we have replaced ourselves a moment ago is not news: our own entry counts as confirmed instead.
        """
        known = self._entries.get(version.name)
        read_at = self._wall() - (self._clock() - asked_at)
        if known is not None and (
            known.version.version_id == version.version_id or self._superseded(version.name, version.version_id)
        ):
            return replace(known, confirmed_at=asked_at, read_at=read_at, valid=True)
        return CacheEntry(version, asked_at, read_at)

    def keep(self, entry: CacheEntry) -> None:
        """Keep an entry, and let the least recently used ones go when there is no more room."""
        name = entry.version.name
        self._forget_value(name)
        self._entries[name] = entry
        self._known[name] = entry.version.version_id
        self.bytes += entry.size
        while self.bytes > self._max_bytes and len(self._entries) > 1:
            self._forget_value(next(iter(self._entries)))
            self.evictions += 1

    def publish(self, version: SecretVersion, *, parent: str | None, ahead: float = 0.0) -> None:
        """Keep what we have just written in place of `parent`; reads of its predecessors are not news for a while.

        `ahead`: seconds until the store has it as well.
        """
        name, now = version.name, self._clock()
        self._own = {other: write for other, write in self._own.items() if write.until > now}
        earlier = self._own[name].superseded if name in self._own else frozenset()
        before = {parent} if parent is not None else set()
        self._own[name] = _OwnWrite(earlier | before - {version.version_id}, now + ahead + OWN_WRITE_LAG)
        self.keep(CacheEntry(version, now, self._wall()))

    def note(self, name: str, version_id: str | None) -> bool:
        """Take in that a version is current now (None: no version is). Returns whether that is news."""
        if version_id is not None and self._known.get(name) == version_id:
            entry = self._entries.get(name)
            if entry is not None:
                self._entries[name] = replace(entry, confirmed_at=self._clock(), read_at=self._wall())
            return False
        if version_id is not None and self._superseded(name, version_id):
            return False
        self.invalidate(name)
        return True

    def invalidate(self, name: str) -> None:
        """Have the entry confirmed before it is served again."""
        entry = self._entries.get(name)
        if entry is not None:
            self._entries[name] = replace(entry, valid=False)

    def drop(self, name: str) -> None:
        """Forget everything about a secret."""
        self._forget_value(name)
        self._known.pop(name, None)
        self._own.pop(name, None)

    def _superseded(self, name: str, version_id: str) -> bool:
        write = self._own.get(name)
        return write is not None and version_id in write.superseded and self._clock() < write.until

    def _forget_value(self, name: str) -> None:
        entry = self._entries.pop(name, None)
        if entry is not None:
            self.bytes -= entry.size
