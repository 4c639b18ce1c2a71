"""Workers that take keys from the queue and reconcile them; the queue of a standby stays empty.

The inventory is kept warm by every replica. Only the one that `lead`s dispatches, and it starts with everything:
what its predecessor left half done is found by looking, not by asking.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from tolstoy_operator.api.reasons import SOUND_REASONS, Reason
from tolstoy_operator.domain.schedule import backoff
from tolstoy_operator.engine.bindings import Unbound
from tolstoy_operator.engine.inventory import Inventory
from tolstoy_operator.engine.janitor import Janitor
from tolstoy_operator.engine.records import Key
from tolstoy_operator.engine.workqueue import Priority, WorkQueue
from tolstoy_operator.kube.errors import Conflict, KubeError

_log = logging.getLogger(__name__)

LONGEST_RECONCILIATION = 180.0
"""Seconds. Every call in it has its own, shorter limit; this one is for what nobody has thought of."""


class Reconcile(Protocol):
    """What a worker calls: see `Reconciler.reconcile`."""

    async def __call__(self, key: Key, failures: int) -> tuple[Reason | None, float | None]:
        """Reconcile one credential."""
        ...


OnSync = Callable[[str, float], None]
"""Told of each reconciliation: its outcome (a reason or an error class) and the seconds that it took."""


class Dispatcher:
    """Takes in what the watches see, and works on what follows from it."""

    def __init__(
        self,
        *,
        inventory: Inventory,
        queue: WorkQueue,
        reconcile: Reconcile,
        unbound: Unbound,
        janitor: Janitor,
        workers: int,
        uniform: Callable[[float, float], float],
        on_sync: OnSync,
        on_gone: Callable[[Key], None],
    ) -> None:
        self._inventory = inventory
        self._queue = queue
        self._reconcile = reconcile
        self._unbound = unbound
        self._janitor = janitor
        self._workers = workers
        self._uniform = uniform
        self._on_sync = on_sync
        self._on_gone = on_gone
        self._failures: Counter[Key] = Counter()
        self._leading = False
        self.last_finished = time.monotonic()
        """Monotonic seconds at which a worker last finished something."""
        self.last_observed = float("-inf")
        """Monotonic seconds at which a watch last told anything."""

    def failures(self, key: Key) -> int:
        """How often in a row the credential did not end well."""
        return self._failures.get(key, 0)

    def observe_credential(self, body: Mapping[str, Any], *, deleted: bool) -> None:
        """A ToolCredential was seen, or seen to go."""
        self.last_observed = time.monotonic()
        if deleted:
            meta = body["metadata"]
            self.credential_gone((meta["namespace"], meta["name"]), meta["uid"])
        else:
            self.changed(self._inventory.observe_credential(body))

    def observe_secret(self, body: Mapping[str, Any], *, deleted: bool) -> None:
        """A Secret with our label was seen, or seen to go (or to lose the label)."""
        self.last_observed = time.monotonic()
        if deleted:
            meta = body["metadata"]
            key, version = (meta["namespace"], meta["name"]), int(meta["resourceVersion"])
            self.changed(self._inventory.forget_secret(key, meta["uid"], version))
        else:
            self.changed(self._inventory.observe_secret(body))

    def observe_namespace(self, body: Mapping[str, Any], *, deleted: bool) -> None:
        """A Namespace was seen, or seen to go."""
        self.last_observed = time.monotonic()
        if deleted:
            meta = body["metadata"]
            self._inventory.forget_namespace(meta["name"], int(meta["resourceVersion"]))
        else:
            self.changed(self._inventory.observe_namespace(body))

    def credential_gone(self, key: Key, uid: str) -> None:
        """A ToolCredential does not exist any more. Its successor of the same name may be known already."""
        self.changed(self._inventory.forget_credential(key, uid))
        self._unbound.forget(uid)
        self._janitor.wake()
        if self._inventory.credential(key) is None:
            self._queue.forget(key)
            self._failures.pop(key, None)
            self._on_gone(key)

    def changed(self, keys: Iterable[Key]) -> None:
        """These credentials need a look now."""
        if self._leading:
            for key in keys:
                self._queue.add(key, self._priority(key))

    def look_later(self, keys: Iterable[Key]) -> None:
        """These credentials need a look when nothing more urgent waits."""
        if self._leading:
            for key in keys:
                self._queue.add(key, Priority.BACKGROUND)

    async def lead(self) -> None:
        """Work until `stop`. Returns when the work in hand is finished."""
        self._leading = True
        for credential in list(self._inventory.credentials()):
            never = credential.reason is None
            self._queue.add(credential.key, Priority.NEVER_SYNCED if never else Priority.BACKGROUND)
        self._janitor.wake()
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())

    def stop(self) -> None:
        """Take no more work; `lead` returns when what is in hand is finished."""
        self._leading = False
        self._queue.close()

    async def _work(self) -> None:
        while (key := await self._queue.get()) is not None:
            await self._work_on(key)

    async def _work_on(self, key: Key) -> None:
        started = time.monotonic()
        try:
            outcome, pause = await self._try(key)
        finally:
            self._queue.done(key)
        if self._inventory.credential(key) is not None and pause is not None:
            self._queue.schedule(key, pause)
        self.last_finished = time.monotonic()
        self._on_sync(outcome, self.last_finished - started)

    async def _try(self, key: Key) -> tuple[str, float | None]:
        try:
            async with asyncio.timeout(LONGEST_RECONCILIATION):
                reason, pause = await self._reconcile(key, self._failures[key])
        except TimeoutError:
            _log.error("reconciliation takes too long", extra={"namespace": key[0], "credential": key[1]})
            return "Timeout", self._after_failure(key)
        except Conflict:
            # Somebody wrote the credential at the same moment; the watch is about to say what.
            return "Conflict", self._after_failure(key)
        except KubeError as error:
            _log.warning("not reconciled: %s", error, extra={"namespace": key[0], "credential": key[1]})
            return type(error).__name__, self._after_failure(key)
        except Exception:
            # One credential's trouble is never another's: log it, come back to it later, go on.
            _log.exception("reconciliation failed", extra={"namespace": key[0], "credential": key[1]})
            return "InternalError", self._after_failure(key)
        if reason is None or reason in SOUND_REASONS:
            self._failures.pop(key, None)
        else:
            self._failures[key] += 1
        return str(reason or "Nothing"), pause

    def _after_failure(self, key: Key) -> float:
        self._failures[key] += 1
        return backoff(self._failures[key], self._uniform)

    def _priority(self, key: Key) -> Priority:
        credential = self._inventory.credential(key)
        never = credential is not None and credential.reason is None
        return Priority.NEVER_SYNCED if never else Priority.CHANGE
