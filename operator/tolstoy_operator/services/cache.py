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

from tolstoy_operator.domain.publication import is_news
from tolstoy_operator.stores.base import SecretVersion

_ANCESTORS: Final = 6
"""How many versions are remembered as replaced: more than come in the hour for which a read may still show them."""
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
class _Succession:
    """`since`: seconds of the monotonic clock at which the known version followed those `before` it, latest first."""

    since: float
    before: tuple[str, ...]


class VersionCache:
    """Entries by secret name. `ttl`: seconds. `clock`: monotonic seconds; `wall`: epoch seconds."""

    def __init__(self, *, ttl: float, max_bytes: int, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self._ttl = ttl
        self._max_bytes = max_bytes
        self._clock = clock
        self._wall = wall
        self._entries: OrderedDict[str, CacheEntry] = OrderedDict()
        self._known: dict[str, str] = {}
        self._successions: dict[str, _Succession] = {}
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

        What is known to have been replaced a short while ago is not news: the known entry counts as confirmed instead.
        """
        known = self._entries.get(version.name)
        read_at = self._wall() - (self._clock() - asked_at)
        if known is not None and not self._is_news(version.name, version.version_id):
            return replace(known, confirmed_at=asked_at, read_at=read_at, valid=True)
        return CacheEntry(version, asked_at, read_at)

    def keep(self, entry: CacheEntry) -> None:
        """Keep an entry, and let the least recently used ones go when there is no more room."""
        name = entry.version.name
        self._succeed(name, entry.version.version_id, self._known.get(name))
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
        self._succeed(version.name, version.version_id, parent, ahead)
        self.keep(CacheEntry(version, self._clock(), self._wall()))

    def note(self, name: str, version_id: str | None, previous: str | None = None) -> bool:
        """Take in that a version is current now (None: no version is). Returns whether that is news.

        `previous`: the version before it, by the same look.
        """
        if version_id is not None and self._known.get(name) == version_id:
            entry = self._entries.get(name)
            if entry is not None:
                self._entries[name] = replace(entry, confirmed_at=self._clock(), read_at=self._wall())
            return False
        if version_id is not None and not self._is_news(name, version_id, previous):
            return False
        succession = self._successions.get(name)
        if succession is not None:  # should it have been moved back, the next read of it is believed
            before = tuple(one for one in succession.before if one != version_id)
            self._successions[name] = replace(succession, before=before)
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
        self._successions.pop(name, None)

    def _is_news(self, name: str, version_id: str, previous: str | None = None) -> bool:
        succession = self._successions.get(name) or _Succession(float("-inf"), ())
        return is_news(
            version_id,
            published=self._known.get(name),
            ancestors=succession.before,
            previous=previous,
            published_for=self._clock() - succession.since,
        )

    def _succeed(self, name: str, version_id: str, parent: str | None, ahead: float = 0.0) -> None:
        """Remember that a version has replaced another one."""
        if parent is None or parent == version_id:
            return
        earlier = self._successions.get(name)
        before = dict.fromkeys((parent, *(earlier.before if earlier else ())))
        before.pop(version_id, None)
        self._successions[name] = _Succession(self._clock() + ahead, tuple(before)[:_ANCESTORS])
        self._known[name] = version_id

    def _forget_value(self, name: str) -> None:
        entry = self._entries.pop(name, None)
        if entry is not None:
            self.bytes -= entry.size
