"""The life of one operator process: what starts in what order, and how it stops.

Start: a full list into the inventory, kopf's streams, then the Lease decides who dispatches. Stop (SIGTERM): take no
more work, finish what is in hand, give the Lease up, close. Losing the Lease while leading ends the process: a fresh
standby is simpler to trust than one that remembers having led. Either way a token request that is under way is heard
out: it is safe beside another leader, and its answer may be the only copy of a refresh token.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import Iterable

import kopf

from tolstoy_operator import handlers
from tolstoy_operator.assembly import Parts, assemble
from tolstoy_operator.kube import finalizers
from tolstoy_operator.kube.client import KubeClient, load_configuration
from tolstoy_operator.kube.errors import KubeError
from tolstoy_operator.settings import Settings

_log = logging.getLogger(__name__)

DRAIN_TIMEOUT = 6.0
"""Seconds for work in hand when told to stop; with the rest of the way out it stays under ten."""
REFRESH_TIMEOUT = 45.0
"""Seconds for token requests in hand and for storing their answers. The chart's termination grace has room for it."""
BINDINGS_PAUSE = 10.0
"""Seconds between looks at bindings where Namespaces cannot be watched."""
_KOPF_TIMEOUT = 2.0
_FIRST_LIST_PAUSE = 2.0


class Ended(Exception):
    """A part that must run has ended; the process ends with it and is started anew."""


class Operator:
    """One process. `run` it once."""

    def __init__(self, settings: Settings, parts: Parts, lease_lost: asyncio.Event) -> None:
        self._settings = settings
        self._parts = parts
        self._lease_lost = lease_lost
        self._stop = asyncio.Event()
        self._kopf_stop = asyncio.Event()
        self._kopf_ready = asyncio.Event()

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT. Raises `Ended` when it cannot go on."""
        parts = self._parts
        self._take_signals()
        await parts.http.start()
        tasks: dict[str, asyncio.Task[None]] = {}
        try:
            if await self._fill():
                # All but kopf start before it: on its way out it cancels every task that is younger than itself.
                tasks["lead"] = asyncio.create_task(self._lead(), name="lead")
                tasks["lease"] = asyncio.create_task(self._hold_lease(), name="lease")
                tasks["resync"] = asyncio.create_task(self._resync_regularly(), name="resync")
                if self._settings.watch_namespaces:
                    tasks["bindings"] = asyncio.create_task(self._read_bindings(), name="bindings")
                tasks["kopf"] = asyncio.create_task(self._watch(), name="kopf")
                await self._until_stopped(tasks)
        finally:
            await self._shut_down(tasks)

    async def _fill(self) -> bool:
        """The first list, for as long as it takes. False when told to stop meanwhile."""
        while not self._stop.is_set():
            try:
                await self._parts.learn_cluster()
                await self._parts.resync.run()
            except KubeError as error:
                _log.warning("waiting for the API server: %s", error)
                await self._pause(_FIRST_LIST_PAUSE)
            else:
                # What is there by now stays. Looking through it for cycles was a fifth of all work, in long pauses.
                gc.collect()
                gc.freeze()
                self._parts.health.filled()
                return True
        return False

    async def _lead(self) -> None:
        parts = self._parts
        await parts.elector.wait_leader()
        beside = (parts.sweep, parts.janitor, parts.journal, parts.clock_watch)
        running = [asyncio.create_task(part.run()) for part in beside]
        try:
            await asyncio.gather(
                parts.dispatcher.lead(), parts.grants.run(), parts.departures.run(), parts.followers.run()
            )
        finally:
            await _cancel(running)

    async def _hold_lease(self) -> None:
        candidate = asyncio.create_task(self._parts.elector.run())
        try:
            await self._lease_lost.wait()
        finally:
            candidate.cancel()

    async def _resync_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._settings.resync_interval_s)
            self._parts.health.list_tried()
            try:
                changed = await self._parts.resync.run()
            except KubeError as error:
                _log.warning("not listed, the next list comes later: %s", error)
            else:
                self._parts.health.listed(news=bool(changed))
                self._parts.dispatcher.changed(changed)
                self._parts.janitor.wake()

    async def _read_bindings(self) -> None:
        while True:
            await asyncio.sleep(BINDINGS_PAUSE)
            try:
                self._parts.dispatcher.changed(await self._parts.resync.bindings())
            except KubeError as error:
                _log.warning("bindings not read, they are read again soon: %s", error)

    async def _watch(self) -> None:
        registry = kopf.OperatorRegistry()
        namespaces = self._settings.watch_namespaces
        handlers.register(registry, self._parts.dispatcher, namespaced=bool(namespaces))
        await kopf.operator(
            registry=registry,
            settings=handlers.settings(namespaced=bool(namespaces)),
            memories=handlers.NoMemories(),
            clusterwide=not namespaces,
            namespaces=namespaces,
            stop_flag=self._kopf_stop,
            ready_flag=self._kopf_ready,
        )

    async def _until_stopped(self, tasks: dict[str, asyncio.Task[None]]) -> None:
        ready = asyncio.create_task(self._kopf_ready.wait())
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({ready, stop, *tasks.values()}, return_when=asyncio.FIRST_COMPLETED)
            self._take_signals()  # kopf has put its own handlers there, which would skip the drain
            await asyncio.wait({stop, *tasks.values()}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
            stop.cancel()
        for name, task in tasks.items():
            if task.done() and not self._stop.is_set():
                raise Ended(f"{name} has ended") from task.exception()

    async def _shut_down(self, tasks: dict[str, asyncio.Task[None]]) -> None:
        parts = self._parts
        parts.dispatcher.stop()
        parts.grants.stop()
        parts.departures.stop()
        parts.followers.stop()
        lead = tasks.get("lead")
        if lead is not None and parts.elector.is_leader:
            await asyncio.wait({lead}, timeout=DRAIN_TIMEOUT)
        await parts.elector.release()
        await parts.grants.finish(REFRESH_TIMEOUT)
        self._kopf_stop.set()
        if "kopf" in tasks:
            await asyncio.wait({tasks["kopf"]}, timeout=_KOPF_TIMEOUT)
        await _cancel(tasks.values())
        await parts.close()
        _log.info("stopped")

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def run(settings: Settings) -> None:
    """Run an operator with these settings until it is told to stop. Raises `Ended`."""
    lease_lost = asyncio.Event()
    parts = await assemble(settings, on_lease_lost=lease_lost.set)
    await Operator(settings, parts, lease_lost).run()


async def release_finalizers(settings: Settings) -> None:
    """What the chart's hook runs after an uninstall. Raises `KubeError`."""
    client = KubeClient(await load_configuration())
    try:
        await finalizers.release_finalizers(client, settings.watch_namespaces)
    finally:
        await client.close()
