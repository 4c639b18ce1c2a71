"""Tools take turns at the workers that refresh, so that one slow provider delays its own tokens only."""

from __future__ import annotations

from collections import Counter, defaultdict

from tolstoy_operator.engine.records import Key
from tolstoy_operator.engine.workqueue import Priority, WorkQueue


class Turns:
    """How many workers each tool has. `share`: at most so many; further keys of the tool wait here for one to end.

    A key waits once, in the order in which the keys came, and never while a worker has it: so a place that gets free
    goes to somebody who has none.
    """

    def __init__(self, queue: WorkQueue, *, share: int) -> None:
        self._queue = queue
        self._share = share
        self._busy: Counter[str] = Counter()
        self._waiting: defaultdict[str, dict[Key, None]] = defaultdict(dict)

    def knows(self, key: Key) -> bool:
        """Whether the key comes to a worker without anybody's doing: it waits here, or the queue knows it."""
        return key in self._waiting[key[0]] or self._queue.knows(key)

    def take(self, key: Key) -> bool:
        """Whether a worker may go on with this key; if not, it comes again later."""
        if self._busy[key[0]] >= self._share:
            self._waiting[key[0]].setdefault(key)
            return False
        self._busy[key[0]] += 1
        self._waiting[key[0]].pop(key, None)
        return True

    def give_back(self, key: Key) -> None:
        """A worker has finished with the key."""
        self._busy[key[0]] -= 1
        if waiting := self._waiting[key[0]]:
            first = next(iter(waiting))
            del waiting[first]
            self._queue.add(first, Priority.BACKGROUND)
