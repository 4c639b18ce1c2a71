"""One Lease, a link to it that fails as it is told, and electors on virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.virtualtime import run_virtual
from tolstoy_operator.kube.errors import Conflict, KubeUnavailable, NotFound
from tolstoy_operator.kube.lease import Lease, LeaseElector

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def virtual_time() -> float:
    return asyncio.get_running_loop().time()


class FakeServer:
    """One Lease behind optimistic concurrency, as the API server keeps it."""

    def __init__(self) -> None:
        self.lease: Lease | None = None
        self.writes = 0
        self._versions = itertools.count(1)

    def get(self) -> Lease | None:
        return copy.deepcopy(self.lease)

    def create(self, body: Lease) -> Lease:
        if self.lease is not None:
            raise Conflict(reason="AlreadyExists")
        return self._store(body)

    def replace(self, body: Lease) -> Lease:
        if self.lease is None:
            raise NotFound
        if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise Conflict
        return self._store(body)

    def _store(self, body: Lease) -> Lease:
        self.writes += 1
        metadata = {**body["metadata"], "resourceVersion": str(next(self._versions))}
        self.lease = {**copy.deepcopy(body), "metadata": metadata}
        return copy.deepcopy(self.lease)

    @property
    def spec(self) -> dict[str, Any]:
        assert self.lease is not None
        spec: dict[str, Any] = self.lease["spec"]
        return spec


class FakeLink:
    """One replica's way to the server. `fault` is asked before each request and may delay it, fail it, lose its answer.

    What reached the server takes effect even if the client has given up on it.
    """

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.requests = 0
        self.up = True
        self.fault: Callable[[], tuple[float, str, float]] = lambda: (0.0, "", 0.0)
        self._underway: set[asyncio.Task[Any]] = set()

    async def get(self) -> Lease | None:
        answer: Lease | None = await self._request(self.server.get)
        return answer

    async def create(self, body: Lease) -> Lease:
        answer: Lease = await self._request(lambda: self.server.create(body))
        return answer

    async def replace(self, body: Lease) -> Lease:
        answer: Lease = await self._request(lambda: self.server.replace(body))
        return answer

    async def _request(self, act: Callable[[], Any]) -> Any:
        self.requests += 1
        if not self.up:
            raise KubeUnavailable(reason="refused")
        there, fault, back = self.fault()
        if fault == "refused":
            raise ConnectionRefusedError(111, "refused")
        task = asyncio.create_task(self._travel(act, there, fault, back))
        self._underway.add(task)
        task.add_done_callback(self._underway.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    async def _travel(self, act: Callable[[], Any], there: float, fault: str, back: float) -> Any:
        await asyncio.sleep(there)
        answer = act()
        await asyncio.sleep(back)
        if fault == "answer lost":
            raise KubeUnavailable(503)
        return answer


class Replica:
    """An elector with what surrounds it: its own clock rate, a log of its callbacks, a way to stop and resume it."""

    def __init__(self, server: FakeServer, name: str, *, rate: float = 1.0, offset: float = 0.0, seed: int = 0) -> None:
        self.name = name
        self.link = FakeLink(server)
        self.changes: list[tuple[str, float]] = []
        self.frozen_until = 0.0
        self._rate = rate
        self._offset = offset
        self.elector = LeaseElector(
            self.link,
            name,
            name="tolstoy-operator",
            clock=self.clock,
            now=lambda: EPOCH + timedelta(seconds=self.clock()),
            sleep=self.sleep,
            jitter=random.Random(seed).random,
            on_started=lambda: self.changes.append(("started", virtual_time())),
            on_stopped=lambda: self.changes.append(("stopped", virtual_time())),
        )
        self.task = asyncio.create_task(self.elector.run())

    def clock(self) -> float:
        return virtual_time() * self._rate + self._offset

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._rate)
        while (left := self.frozen_until - virtual_time()) > 0:
            await asyncio.sleep(left)

    async def crash(self) -> None:
        """Gone, without a word."""
        self.link.up = False
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@contextlib.asynccontextmanager
async def replicas(*names: str) -> AsyncIterator[tuple[FakeServer, list[Replica]]]:
    server = FakeServer()
    made = [Replica(server, name) for name in names]
    yield server, made
    for replica in made:
        await replica.crash()


def virtual(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    async def main() -> None:
        await test()

    def run() -> None:
        run_virtual(main())

    run.__name__ = test.__name__
    return run
