"""What happens to a grant when its last credential goes: the finalizer before, the revocation after.

A credential whose deletion shall end the grant carries our finalizer while, and only while, that is granted and can be
done; so nobody else's deletion ever waits for us. Deletions are worked on beside the reconciliations, because a
provider may be slow, and each has an end: what could not be revoked in time is let go, and an Event says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tolstoy_operator.api import names
from tolstoy_operator.api.reasons import Reason, Told
from tolstoy_operator.domain.revocation import Leave, leave
from tolstoy_operator.domain.schedule import backoff
from tolstoy_operator.domain.status import Finding, parse_time
from tolstoy_operator.engine.inventory import Inventory
from tolstoy_operator.engine.records import Credential, Key, Namespace
from tolstoy_operator.engine.workqueue import Priority, WorkQueue
from tolstoy_operator.kube.errors import Forbidden, KubeError
from tolstoy_operator.kube.events import EventsApi, Transition
from tolstoy_operator.kube.finalizers import FinalizersApi
from tolstoy_operator.services.revocation import Outcome, RevocationService

_log = logging.getLogger(__name__)

WORKERS: Final = 4
_LONGEST_PAUSE = 60.0
_UNKNOWN_NAMESPACE_PAUSE = 5.0


@dataclass(frozen=True, slots=True)
class _Farewell:
    """How a deletion ends. `pause`: not yet, look again after so many seconds.

    `settled`: the grant that was meant is gone, or another one has taken its place.
    """

    told: Told
    note: str
    warning: bool = True
    pause: float | None = None
    settled: bool = False


class Departures:
    """Deletions of credentials whose grant shall end.

    `allowed`: whether the platform lets this cluster end grants at all. `timeout`: how long a deletion waits for its
    revocation. `now`: wall clock in UTC; `clock`: monotonic seconds.
    """

    def __init__(
        self,
        *,
        inventory: Inventory,
        revocations: RevocationService,
        finalizers: FinalizersApi,
        events: EventsApi,
        queue: WorkQueue,
        allowed: bool,
        timeout: timedelta,
        now: Callable[[], datetime],
        clock: Callable[[], float],
        uniform: Callable[[float, float], float],
    ) -> None:
        self._inventory = inventory
        self._revocations = revocations
        self._finalizers = finalizers
        self._events = events
        self._queue = queue
        self._allowed = allowed
        self._timeout = timeout
        self._now = now
        self._clock = clock
        self._uniform = uniform
        self._failures: Counter[str] = Counter()
        self._since: dict[str, float] = {}
        self._stumbles: Counter[Key] = Counter()
        self._pending: dict[str, str] = {}
        self._over: set[str] = set()
        """UIDs of credentials that we have let go. The watch may show them for a moment more, as they were."""
        self._quit: set[str] = set()
        """UIDs of credentials that ask for nothing any more, whatever has become of it. Some are yet to be let go."""

    async def prepare(self, credential: Credential, namespace: Namespace) -> Finding | None:
        """Have a live credential carry the finalizer exactly while it is of use. Raises `KubeError`.

        Returns what the status has to say about that; None when all is as the spec wants it.
        """
        fate = self._fate(credential, namespace)
        if fate is None:
            return None
        try:
            await self._hold(credential, wanted=fate is Leave.REVOKE)
        except Forbidden:
            cause = "the operator may not set finalizers: its ClusterRole lacks patch on toolcredentials"
            return Finding(Reason.REVOCATION_NOT_GRANTED, cause)
        reason = _REASONS.get(fate)
        return Finding(reason, self._why(credential, fate)) if reason is not None else None

    def add(self, key: Key) -> None:
        """A credential with our finalizer is being deleted."""
        self._queue.add(key, Priority.CHANGE)

    async def run(self) -> None:
        """Work until `stop`. Returns when the work in hand is finished."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())

    def stop(self) -> None:
        """Begin nothing more."""
        self._queue.close()

    async def depart(self, key: Key) -> float | None:
        """Do what is next for one deletion. Returns seconds until the next look, None when it is over.

        Raises `KubeError`.
        """
        credential = self._inventory.credential(key)
        if credential is None or credential.deleted_at is None or names.FINALIZER not in credential.finalizers:
            return None
        if credential.uid in self._over:
            return None
        if credential.uid not in self._quit:
            namespace = self._inventory.namespace(key[0])
            if namespace is None:
                return _UNKNOWN_NAMESPACE_PAUSE
            farewell = await self._farewell(credential, namespace)
            if farewell.pause is not None:
                await self._tell_pending(credential, farewell)
                return farewell.pause
            await self._tell(credential, farewell)
            if not farewell.settled:
                await self._finish(credential)
        await self._hold(credential, wanted=False)
        self._over = self._live(self._over) | {credential.uid}
        await self._finish(credential)
        self._failures.pop(credential.uid, None)
        self._pending.pop(credential.uid, None)
        self._since.pop(credential.uid, None)
        return None

    async def _work(self) -> None:
        while (key := await self._queue.get()) is not None:
            try:
                pause = await self.depart(key)
                self._stumbles.pop(key, None)
            except KubeError as error:
                _log.warning("deletion not finished: %s", error, extra={"namespace": key[0], "credential": key[1]})
                self._stumbles[key] += 1
                pause = min(backoff(self._stumbles[key], self._uniform), _LONGEST_PAUSE)
            except Exception:
                _log.exception("deletion not finished", extra={"namespace": key[0], "credential": key[1]})
                pause = _LONGEST_PAUSE
            finally:
                self._queue.done(key)
            if pause is not None:
                self._queue.schedule(key, pause)

    async def _farewell(self, credential: Credential, namespace: Namespace) -> _Farewell:
        fate, upstream = self._fate(credential, namespace), credential.upstream
        if fate is not Leave.REVOKE or upstream is None:
            return _Farewell(Told.SKIPPED, f"the grant was not revoked: {self._why(credential, fate)}")
        if self._inventory.wishes(upstream):
            return _Farewell(Told.KEPT, f"other ToolCredentials use {upstream}, so its grant stays", warning=False)
        result = await self._revocations.revoke(upstream, actor=credential.actor)
        note = f"{upstream}: {result.cause}"
        match result.outcome:
            case Outcome.REVOKED:
                return _Farewell(Told.REVOKED, note, warning=False, settled=True)
            case Outcome.SUPERSEDED:
                return _Farewell(Told.KEPT, note, warning=False, settled=True)
            case Outcome.FOREIGN:
                return _Farewell(Told.SKIPPED, note)
            case Outcome.IMPOSSIBLE:
                return _Farewell(Told.UNSUPPORTED, f"nothing was revoked at the provider; {note}")
        return await self._later(credential, upstream, note, result.retry_after, failed=result.problem is not None)

    async def _later(
        self, credential: Credential, upstream: str, note: str, wanted: float | None, *, failed: bool
    ) -> _Farewell:
        left = self._left(credential)
        if left <= 0:
            return _Farewell(Told.FAILED, f"the grant may not be revoked, and the deletion goes on without; {note}")
        self._failures[credential.uid] += failed
        pause = wanted or min(backoff(self._failures[credential.uid], self._uniform), _LONGEST_PAUSE)
        return _Farewell(Told.PENDING, f"the deletion waits for the revocation; {note}", failed, min(pause, left))

    def _left(self, credential: Credential) -> float:
        """Seconds for which the deletion may wait yet: since it began, and not longer since we look at it.

        When it began is said by the API server's clock. With one of ours that is slow it would never be over.
        """
        since = self._since.setdefault(credential.uid, self._clock())
        at_most = since + self._timeout.total_seconds() - self._clock()
        return min(at_most, (parse_time(str(credential.deleted_at)) + self._timeout - self._now()).total_seconds())

    def _fate(self, credential: Credential, namespace: Namespace) -> Leave | None:
        spec, upstream = credential.spec, credential.upstream
        if spec is None or upstream is None:
            return None
        supports = self._revocations.supports
        return leave(spec, namespace.binding, allowed=self._allowed, supported=lambda: supports(upstream))

    def _why(self, credential: Credential, fate: Leave | None) -> str:
        if fate is None:
            return "the spec cannot be read"
        return _CAUSES[fate].format(namespace=credential.key[0], tool=credential.spec.tool if credential.spec else "")

    async def _finish(self, credential: Credential) -> None:
        """Of a settled grant this comes last: whoever is asked again after a crash must not take a new one for the old.

        Of one that lives on it comes first: it must not stay marked for ever. Of several deletions of one secret the
        last one does it: until then the others have to know which grant was meant.
        """
        if credential.uid in self._quit:
            return
        self._quit = self._live(self._quit) | {credential.uid}
        if credential.upstream is not None and not self._is_asked_for(credential.upstream):
            await self._revocations.finish(credential.upstream)

    def _is_asked_for(self, upstream: str) -> bool:
        """Whether a deletion is to end the grant, or has to be told what became of it."""
        users = (self._inventory.credential(key) for key in self._inventory.users_of(upstream))
        return any(
            user is not None and user.deleting and names.FINALIZER in user.finalizers and user.uid not in self._quit
            for user in users
        )

    def _live(self, uids: set[str]) -> set[str]:
        return {uid for uid in uids if self._inventory.is_live(uid)}

    async def _hold(self, credential: Credential, *, wanted: bool) -> None:
        if wanted == (names.FINALIZER in credential.finalizers):
            return
        change = self._finalizers.add if wanted else self._finalizers.remove
        body = await change(*credential.key, credential.uid, credential.finalizers, credential.version)
        if body is not None:
            self._inventory.note_credential(body)

    async def _tell_pending(self, credential: Credential, farewell: _Farewell) -> None:
        """One Event for each new trouble; that somebody has to be waited for is none."""
        if farewell.warning and self._pending.get(credential.uid) != farewell.note:
            self._pending[credential.uid] = farewell.note
            await self._tell(credential, farewell)

    async def _tell(self, credential: Credential, farewell: _Farewell) -> None:
        _log.log(
            logging.WARNING if farewell.warning else logging.INFO,
            "%s: %s",
            farewell.told,
            farewell.note,
            extra={"namespace": credential.key[0], "credential": credential.key[1]},
        )
        transition = Transition(*credential.key, credential.uid, farewell.warning, farewell.told, farewell.note)
        await self._events.post(transition, at=self._now())


_REASONS = {
    Leave.NOT_GRANTED: Reason.REVOCATION_NOT_GRANTED,
    Leave.NOT_ALLOWED: Reason.REVOCATION_NOT_GRANTED,
    Leave.UNSUPPORTED: Reason.REVOCATION_UNSUPPORTED,
}
_CAUSES = {
    Leave.ORPHAN: "revocationPolicy is Orphan",
    Leave.NOT_GRANTED: "namespace {namespace} is not granted " + names.ALLOW_REVOKE,
    Leave.NOT_ALLOWED: "the platform does not let this cluster revoke grants that other clusters may use",
    Leave.UNSUPPORTED: "no way to revoke grants of {tool} is known",
}
