"""Tools take turns at the workers that refresh, so that one slow provider delays its own tokens only."""

from __future__ import annotations

from collections import Counter, defaultdict, deque

from tolstoy_operator.engine.inventory import Key
from tolstoy_operator.engine.workqueue import Priority, WorkQueue


class Turns:
    """How many workers each tool has. `share`: at most so many; further keys of the tool wait here for one to end."""

    def __init__(self, queue: WorkQueue, *, share: int) -> None:
        self._queue = queue
        self._share = share
        self._busy: Counter[str] = Counter()
        self._waiting: defaultdict[str, deque[Key]] = defaultdict(deque)

    def take(self, key: Key) -> bool:
        """Whether a worker may go on with this key; if not, it comes again later."""
        if self._busy[key[0]] >= self._share:
            self._waiting[key[0]].append(key)
            return False
        self._busy[key[0]] += 1
        return True

    def give_back(self, key: Key) -> None:
        """A worker has finished with the key."""
        self._busy[key[0]] -= 1
        if self._waiting[key[0]]:
            self._queue.add(self._waiting[key[0]].popleft(), Priority.BACKGROUND)
