"""What can be measured, by name, in the order in which it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, Self

from bench.bed import Bed, open_bed
from bench.report import Figure
from bench.scenarios import large, refresh
from bench.scenarios.burst import burst, live
from bench.scenarios.drift import drift


class Run:
    """One run of some scenarios. `quick`: small numbers, and one cluster for all. An async context manager."""

    def __init__(self, *, quick: bool) -> None:
        self._quick = quick
        self._shared: Bed | None = None
        self._large: large.Large | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def burst(self) -> list[Figure]:
        figures: list[Figure] = []
        for count in (40,) if self._quick else (1000, 5000):
            async with self._bed() as bed:
                figures += await burst(bed, count)
        return figures

    async def live(self) -> list[Figure]:
        async with self._bed() as bed:
            return await live(bed, 40 if self._quick else 2000)

    async def drift(self) -> list[Figure]:
        async with self._bed() as bed:
            return await drift(bed, *((20, 10) if self._quick else (200, 100)))

    async def memory(self) -> list[Figure]:
        return (await self._large_cluster()).memory

    async def restart(self) -> list[Figure]:
        return await large.restart(await self._large_cluster())

    async def idle(self) -> list[Figure]:
        cluster = await self._large_cluster()
        if self._quick:
            return await large.idle(cluster, 5, beside=0, SECRETS_SWEEP_INTERVAL_S="2")
        return await large.idle(cluster, 600, beside=120)

    async def latency(self) -> list[Figure]:
        sweeps, changes = ((1.0,), 3) if self._quick else ((60.0, 5.0), 20)
        return await large.latency(await self._large_cluster(), sweeps, changes)

    async def refresh(self) -> list[Figure]:
        if self._quick:
            async with open_bed() as bed:
                return await refresh.shared(bed, 200, 5.0, seconds=3.0, start_up=90.0)
        async with open_bed() as bed:  # each of its own: the tokens of others would be refreshed, too
            figures = await refresh.shared(bed, 10_000, 4.0, seconds=60.0, start_up=140.0)
        for mode, rate in (("exclusive", 14.0), ("sole writer", 28.0)):
            async with open_bed() as bed:
                figures += await refresh.owned(bed, mode, rate, seconds=60.0, start_up=45.0)
        return figures

    async def imported(self) -> list[Figure]:
        if self._quick:  # it takes twenty minutes, however many there are
            return []
        async with open_bed() as bed:
            return await refresh.imported(bed, 10_000, 3600.0, within=60.0, start_up=180.0)

    async def _large_cluster(self) -> large.Large:
        if self._large is None:
            bed = await self._kept()
            self._large = await large.grow(bed, 40 if self._quick else 10_000)
        return self._large

    async def _kept(self) -> Bed:
        if self._shared is None:
            self._shared = await self._stack.enter_async_context(open_bed())
        return self._shared

    @asynccontextmanager
    async def _bed(self) -> AsyncIterator[Bed]:
        if self._quick:
            yield await self._kept()
            return
        async with open_bed() as bed:
            yield bed


Scenario = Callable[[Run], Awaitable[list[Figure]]]

ALL: Final[dict[str, Scenario]] = {
    "burst": Run.burst,
    "live": Run.live,
    "drift": Run.drift,
    "memory": Run.memory,
    "restart": Run.restart,
    "idle": Run.idle,
    "latency": Run.latency,
    "refresh": Run.refresh,
    "import": Run.imported,
}
