"""What to do next: keys, each at most once, the most urgent first, and later ones by their due time.

Three lanes by priority, and within a lane the namespaces take turns, so that ten thousand objects of one tenant do not
keep the one object of another waiting. The more urgent lane goes first, and every eighth turn belongs to each of the
others: a tenant who makes new objects, or touches old ones, without end does not stop what is due elsewhere. A key
that is added while a worker has it runs once more afterwards. A key has at most one due time; a new one replaces it.
Due times are a heap with lazy removal.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from enum import IntEnum
from itertools import chain, islice, zip_longest

from tolstoy_operator.engine.records import Key

_SLACK = 100
"""Replaced due times that the heap may hold beside as many as there are valid ones."""


class Priority(IntEnum):
    """Smaller is sooner."""

    NEVER_SYNCED = 0
    CHANGE = 1
    BACKGROUND = 2


_TURNS = (
    *(Priority.NEVER_SYNCED,) * 3,
    Priority.CHANGE,
    *(Priority.NEVER_SYNCED,) * 3,
    Priority.BACKGROUND,
)
"""Which lane comes first at which turn. When it is empty, the most urgent one that is not."""


class WorkQueue:
    """Keys for the workers. `clock`: monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lanes = {priority: _Lane() for priority in Priority}
        self._turn = 0
        self._queued: dict[Key, tuple[Priority, float]] = {}
        self._running: set[Key] = set()
        self._again: dict[Key, Priority] = {}
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._closed = False

    def add(self, key: Key, priority: Priority) -> None:
        """Have the key worked on as soon as its turn comes."""
        self._due.pop(key, None)
        if key in self._running:
            self._again[key] = min(priority, self._again.get(key, priority))
            return
        queued = self._queued.get(key)
        if queued is not None:
            if queued[0] <= priority:
                return
            self._lanes[queued[0]].remove(key)
        self._queued[key] = (priority, queued[1] if queued else self._clock())
        self._lanes[priority].append(key)
        self._wake_one()

    def schedule(self, key: Key, seconds: float) -> None:
        """Have the key worked on after `seconds` instead of when it was due; a queued key keeps its place."""
        if key in self._queued or key in self._again:
            return
        due = self._clock() + seconds
        self._due[key] = due
        heapq.heappush(self._heap, (due, key))
        if len(self._heap) > 2 * len(self._due) + _SLACK:
            self._heap = [(at, due_key) for due_key, at in self._due.items()]
            heapq.heapify(self._heap)
        self._arm()

    def knows(self, key: Key) -> bool:
        """Whether the key is queued, in a worker's hands, or due some time."""
        return key in self._queued or key in self._running or key in self._due

    def forget(self, key: Key) -> None:
        """The key is gone: neither due nor queued any more."""
        self._due.pop(key, None)
        self._again.pop(key, None)
        queued = self._queued.pop(key, None)
        if queued is not None:
            self._lanes[queued[0]].remove(key)

    def upcoming(self, limit: int) -> Iterator[Key]:
        """Keys that `get` is about to give out, about in that order, and no more than `limit`."""
        lanes = (lane.upcoming(limit) for lane in self._lanes.values())
        return islice(chain.from_iterable(lanes), limit)

    async def get(self) -> Key | None:
        """The next key; waits for one. Call `done` with it afterwards. None once the queue is closed."""
        while not self._closed:
            key = self._pop()
            if key is not None:
                del self._queued[key]
                self._running.add(key)
                return key
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        return None

    def close(self) -> None:
        """Give out no more keys; all waiting `get` calls return None."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        while self._waiters:
            self._wake_one()

    def done(self, key: Key) -> None:
        """A worker has finished with the key."""
        self._running.discard(key)
        priority = self._again.pop(key, None)
        if priority is not None:
            self.add(key, priority)

    @property
    def depth(self) -> int:
        """How many keys wait for a worker."""
        return len(self._queued)

    @property
    def running(self) -> int:
        """How many keys workers have now."""
        return len(self._running)

    def oldest_overdue(self) -> float:
        """Seconds that the longest waiting key has waited: queued, or due and not yet queued. 0 when none waits."""
        now = self._clock()
        waiting = [since for _, since in self._queued.values()]
        next_due = self._next_due()
        if next_due is not None:
            waiting.append(next_due)
        return max(0.0, now - min(waiting, default=now))

    def _pop(self) -> Key | None:
        first = self._lanes[_TURNS[self._turn]]
        for lane in (first, *self._lanes.values()):
            key = lane.pop()
            if key is not None:
                self._turn = (self._turn + 1) % len(_TURNS)
                return key
        return None

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _arm(self) -> None:
        due = self._next_due()
        if due is None or self._closed or (self._timer is not None and self._timer_due <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = asyncio.get_running_loop().call_later(max(0.0, due - self._clock()), self._release_due)

    def _release_due(self) -> None:
        self._timer = None
        now = self._clock()
        while (due := self._next_due()) is not None and due <= now:
            _, key = heapq.heappop(self._heap)
            self.add(key, Priority.BACKGROUND)
        self._arm()

    def _next_due(self) -> float | None:
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None


class _Lane:
    """First in, first out within a namespace; the namespaces take turns."""

    def __init__(self) -> None:
        self._queues: OrderedDict[str, deque[Key]] = OrderedDict()
        self._gone: set[Key] = set()

    def append(self, key: Key) -> None:
        if key in self._gone:  # it still has its place from before it was removed
            self._gone.discard(key)
            return
        self._queues.setdefault(key[0], deque()).append(key)

    def remove(self, key: Key) -> None:
        self._gone.add(key)

    def pop(self) -> Key | None:
        while self._queues:
            namespace, queue = next(iter(self._queues.items()))
            key = queue.popleft()
            if queue:
                self._queues.move_to_end(namespace)
            else:
                del self._queues[namespace]
            if key not in self._gone:
                return key
            self._gone.discard(key)
        return None

    def upcoming(self, namespaces: int) -> Iterator[Key]:
        turns = zip_longest(*islice(self._queues.values(), namespaces))
        return (key for turn in turns for key in turn if key is not None and key not in self._gone)
