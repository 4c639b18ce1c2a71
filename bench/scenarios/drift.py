"""Somebody edits a Secret: how long until it is as it was. From the answer to the edit to the answer to the repair.

The baseline is a watch that sends a patch as soon as it sees the edit, knowing beforehand what to look for.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from bench.bed import Bed, say, settle, synced
from bench.fleet import Fleet, Member
from bench.report import Figure, milliseconds

_KEY = "edited-by-hand"
_MANAGED = "tolstoy.dev/managed"
_TIMEOUT = 30.0


async def drift(bed: Bed, count: int, edits: int) -> list[Figure]:
    """`edits` edits, one after the other, among `count` credentials."""
    fleet = Fleet("drift", count)
    await bed.set_up(fleet)
    log = bed.log()
    with bed.operator() as operator:
        await synced(log, count)
        settle(operator)
        say(f"{edits} edits beside the operator")
        seen = bed.log()

        async def repaired(member: Member) -> float:
            def found() -> list[float]:
                return [item.at for item in seen.of("secrets") if (item.namespace, item.name) == _key(member)]

            await seen.until(lambda _: bool(found()), what="the repair", timeout=_TIMEOUT, pause=0.01)
            return found()[-1]

        measured = await _edit(bed, fleet, edits, repaired)
    say(f"{edits} edits beside a bare watch")
    baseline = await _bare_watch(bed, fleet, edits)
    return [
        Figure(
            "drift", "edit → repaired", milliseconds(measured), f"bare watch {milliseconds(baseline)}", "p99 ≤ 50 ms"
        )
    ]


async def _edit(bed: Bed, fleet: Fleet, edits: int, repaired: Callable[[Member], Awaitable[float]]) -> list[float]:
    took = []
    for member in random.sample(fleet.members, edits):
        waiting = asyncio.ensure_future(repaired(member))
        await bed.admin.merge(member.secret_path, {"data": {_KEY: "eA=="}})
        edited = time.time()
        took.append(await waiting - edited)
        await asyncio.sleep(random.uniform(0, 0.1))
    return took


async def _bare_watch(bed: Bed, fleet: Fleet, edits: int) -> list[float]:
    repairs: dict[tuple[str, str], asyncio.Future[float]] = {}

    async def watch() -> None:
        async for event in bed.peer.watch("/api/v1/secrets", selector=_MANAGED):
            body = event["object"]
            if _KEY in body["data"]:
                meta = body["metadata"]
                path = f"/api/v1/namespaces/{meta['namespace']}/secrets/{meta['name']}"
                await bed.peer.merge(path, {"data": {_KEY: None}})
                repairs[meta["namespace"], meta["name"]].set_result(time.time())

    async def repaired(member: Member) -> float:
        future = repairs[_key(member)] = asyncio.get_running_loop().create_future()
        return await asyncio.wait_for(future, _TIMEOUT)

    watching = asyncio.create_task(watch())
    try:
        await asyncio.sleep(1)
        return await _edit(bed, fleet, edits, repaired)
    finally:
        watching.cancel()


def _key(member: Member) -> tuple[str, str]:
    return member.namespace, member.name
