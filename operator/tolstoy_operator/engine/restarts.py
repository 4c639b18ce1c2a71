"""Restarting the workloads that a credential names, once for changes that come together.

A sync leaves word and goes on. A restart waits for quiet, so that two credentials of one workload which change together
cost it one restart, and a value that changes on and on one a minute. When the operator is told to stop, what waits is
done at once. Each restart is an Event of the credential, and so is one that did not work.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tolstoy_operator.api.v1 import WorkloadKind
from tolstoy_operator.engine.change import Change
from tolstoy_operator.engine.records import Credential
from tolstoy_operator.kube.errors import KubeError, KubeUnavailable
from tolstoy_operator.kube.events import EventsApi, Transition
from tolstoy_operator.kube.workloads import WorkloadsApi

_log = logging.getLogger(__name__)

QUIET: Final = 10.0
"""Seconds without another change before a restart."""
LONGEST_WAIT: Final = 60.0
"""Seconds after the first change; then it is restarted, quiet or not."""
RETRY_PAUSE: Final = 15.0
TRIES: Final = 4

_Target = tuple[str, WorkloadKind, str]
"""Namespace, kind and name."""


@dataclass(slots=True)
class _Waiting:
    """A restart that is due; monotonic seconds. `credentials`: those that ask for it, by UID."""

    first: float
    due: float
    credentials: dict[str, Credential]
    tries: int = 0


class Restarts:
    """Restarts that wait for their time. `now`: wall clock in UTC; `clock`: monotonic seconds."""

    def __init__(
        self,
        *,
        workloads: WorkloadsApi,
        events: EventsApi,
        now: Callable[[], datetime],
        clock: Callable[[], float],
        on_restart: Callable[[str], None],
    ) -> None:
        self._workloads = workloads
        self._events = events
        self._now = now
        self._clock = clock
        self._on_restart = on_restart
        self._waiting: dict[_Target, _Waiting] = {}
        self._wake = asyncio.Event()
        self._stopping = False

    def data_changed(self, credential: Credential, change: Change) -> None:
        """The data of a credential's Secret has changed."""
        if credential.spec is None or not change.anew:
            return
        now = self._clock()
        for target in credential.spec.restart_targets:
            waiting = self._waiting.setdefault(
                (credential.key[0], target.kind, target.name), _Waiting(first=now, due=now, credentials={})
            )
            waiting.due = min(now + QUIET, waiting.first + LONGEST_WAIT)
            waiting.credentials[credential.uid] = credential
        self._wake.set()

    async def run(self) -> None:
        """Restart what is due, until `stop`. Returns when what waited then is done."""
        while not self._stopping:
            await self._until_due()
            await self._restart_due()
        await self._restart_due()

    def stop(self) -> None:
        """Wait for quiet no longer."""
        self._stopping = True
        self._wake.set()

    async def _until_due(self) -> None:
        self._wake.clear()
        if self._stopping:
            return
        due = min((waiting.due for waiting in self._waiting.values()), default=None)
        pause = None if due is None else max(0.0, due - self._clock())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), pause)

    async def _restart_due(self) -> None:
        now = self._clock()
        for target, waiting in list(self._waiting.items()):
            if self._stopping or waiting.due <= now:
                del self._waiting[target]
                await self._restart(target, waiting)

    async def _restart(self, target: _Target, waiting: _Waiting) -> None:
        namespace, kind, name = target
        about = {"namespace": namespace, "workload": f"{kind} {name}"}
        at, warning = self._now(), False
        try:
            await self._workloads.restart(namespace, kind, name, at)
        except KubeError as error:
            waiting.tries += 1
            self._on_restart(type(error).__name__)
            _log.warning("not restarted: %s", error, extra=about)
            if isinstance(error, KubeUnavailable) and waiting.tries < TRIES and not self._stopping:
                waiting.due = self._clock() + RETRY_PAUSE
                self._waiting.setdefault(target, waiting)
                return
            warning, reason, note = True, "RestartFailed", f"{kind} {name} could not be restarted: {error.reason}"
        else:
            self._on_restart("ok")
            _log.info("restarted", extra=about)
            reason, note = "Restarted", f"{kind} {name} is being restarted, since the Secret holds another value"
        for credential in waiting.credentials.values():
            await self._events.post(Transition(*credential.key, credential.uid, warning, reason, note), at=at)
