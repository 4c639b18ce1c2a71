"""What is read along with what is asked for: the secrets of those whose turn comes next.

A batch holds twenty reads and costs as much as one, and quotas count batches. In a burst, workers ask a few at a time;
with the free seats given to who comes next, reading thousands takes the fewest calls, and most workers find their
value in memory. What could not be asked for is not read ahead either: bindings and `suspend` are respected.
"""

from __future__ import annotations

from collections.abc import Iterator

from tolstoy_operator.engine.inventory import Inventory
from tolstoy_operator.engine.workqueue import WorkQueue
from tolstoy_operator.observability.audit import Actor

_LOOK_AHEAD = 100
"""Keys of the queue that are looked at for a batch: some of them have been read ahead before."""


class ReadAhead:
    """Upstream names that are about to be asked for, each with the credential that will ask."""

    def __init__(self, inventory: Inventory, queue: WorkQueue) -> None:
        self._inventory = inventory
        self._queue = queue

    def __call__(self) -> Iterator[tuple[str, Actor]]:
        """In the order of the queue. Use it up before anything else happens."""
        for key in self._queue.upcoming(_LOOK_AHEAD):
            credential = self._inventory.credential(key)
            namespace = self._inventory.namespace(key[0])
            if credential is None or credential.deleting or credential.spec is None or namespace is None:
                continue
            upstream = credential.upstream
            allowed = namespace.binding.allows(credential.spec) and not namespace.terminating
            if upstream is not None and allowed and not credential.spec.suspend:
                yield upstream, credential.actor
