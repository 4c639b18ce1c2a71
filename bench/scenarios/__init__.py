"""What can be measured, by name, in the order in which it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from bench.bed import open_bed
from bench.report import Figure
from bench.scenarios.burst import burst, live

Scenario = Callable[[bool], Awaitable[list[Figure]]]
"""Called with whether it shall be quick."""


async def _burst(quick: bool) -> list[Figure]:
    figures: list[Figure] = []
    for count in (40,) if quick else (1000, 5000):
        async with open_bed() as bed:
            figures += await burst(bed, count)
    return figures


async def _live(quick: bool) -> list[Figure]:
    async with open_bed() as bed:
        return await live(bed, 40 if quick else 2000)


ALL: dict[str, Scenario] = {"burst": _burst, "live": _live}
