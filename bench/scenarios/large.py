"""What a large installation costs: memory, a restart, idle minutes, changes upstream, and how soon they arrive.

All of these share one cluster, since it takes minutes to make.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass, field

from bench.bed import Bed, open_bed, say, settle, summary, synced
from bench.fleet import Fleet, Member
from bench.machine import cpu_seconds, peak_megabytes, resident_megabytes
from bench.report import Figure
from bench.writes import Log
from dev.testbed import OperatorProcess, eventually

_CHANGES = 100
_TIMEOUT = 600.0
_PUT_ACROSS = 120.0
_WEEK = 7 * 86400.0


@dataclass(slots=True)
class Large:
    """A cluster with many credentials that an operator has synced, and that no operator watches now."""

    bed: Bed
    fleet: Fleet
    memory: list[Figure] = field(default_factory=list)
    revision: int = 0

    def change(self, members: list[Member]) -> None:
        """New values upstream."""
        self.revision += 1
        self.bed.testbed.aws.seed({member.upstream: member.document(self.revision) for member in members})


async def grow(bed: Bed, count: int) -> Large:
    """Bring a cluster to `count` credentials, and look at the operator's memory at none, half and all of them."""
    fleet = Fleet("large", count)
    half = count // 2
    fleet.seed(bed.testbed.aws)
    await fleet.bind(bed.admin)
    log = bed.log()
    large = Large(bed, fleet)
    bed.testbed.aws.spread(_WEEK)  # in its first minutes a sweep lists again what changed together
    with bed.operator() as operator:
        settle(operator)
        empty = resident_megabytes(operator.pid)
        for upto in (half, count):
            say(f"up to {upto:,} credentials")
            await fleet.apply(bed.admin, 0 if upto == half else half, upto)
            await synced(log, upto)
            settle(operator)
            measured = f"{resident_megabytes(operator.pid):.0f} MB, at most {peak_megabytes(operator.pid):.0f} MB"
            large.memory.append(
                Figure(
                    "memory",
                    f"{upto:,} credentials, all new to this process",
                    measured,
                    f"none: {empty:.0f} MB",
                    "≤ 200 MB" if upto == 10_000 else "",
                )
            )
    return large


async def restart(large: Large) -> list[Figure]:
    """An operator starts where nothing has changed."""
    bed, count = large.bed, len(large.fleet)
    say("the raw client lists the same objects")
    listing = await _list_all(bed)
    say("restart")
    bed.testbed.aws.reset_calls()
    log, started = bed.log(), time.monotonic()
    with bed.operator() as operator:
        ready = time.monotonic() - started
        checked = await _checked(operator) - started
        cpu = settle(operator)
        writes = len(log.writes())
        reads = sum(item.verb in ("get", "list") for item in log.requests())
        calls = bed.testbed.aws.calls()
        memory = f"{resident_megabytes(operator.pid):.0f} MB, at most {peak_megabytes(operator.pid):.0f} MB"
    name = f"restart {count:,}"
    return [
        Figure(name, "writes", str(writes), aim="0"),
        Figure(name, "time to ready, from the start of the process", f"{ready:.1f} s", f"raw lists {listing:.1f} s"),
        Figure(name, "time until all are checked against upstream", f"{checked:.1f} s"),
        Figure(name, "AWS calls", _calls(calls), f"one each: {count:,}"),
        Figure(name, "other requests to the API server", f"{reads} lists and reads", f"one each: {count:,}"),
        Figure(name, "operator's CPU", f"{cpu:.1f} s"),
        Figure(name, "memory afterwards", memory, aim="≤ 200 MB" if count == 10_000 else ""),
    ]


async def idle(large: Large, seconds: float, *, beside: float, **settings: str) -> list[Figure]:
    """Nothing changes for `seconds`; then a hundred secrets do. `beside`: seconds for a process without
    credentials, which needs a cluster of its own; 0: leave that out.
    """
    bed, name = large.bed, f"idle {len(large.fleet):,}"
    empty = await _empty_load(beside) if beside else None
    with bed.operator(**settings) as operator:
        await _checked(operator)
        before = settle(operator)
        log = bed.log()
        bed.testbed.aws.reset_calls()
        say(f"{seconds:.0f} s without a change")
        await asyncio.sleep(seconds)
        load = (cpu_seconds(operator.pid) - before) / seconds
        calls = bed.testbed.aws.calls()
        writes = len(log.writes())
        say(f"{_CHANGES} changes")
        changed, arrived = await _change_many(large)
    polls = len(large.fleet) * seconds / 300
    return [
        Figure(name, f"AWS calls in {seconds:.0f} s", _calls(calls), f"each once per 5 min, computed: {polls:,.0f}"),
        Figure(name, "CPU", f"{load:.1%} of a core", "" if empty is None else f"no credentials: {empty:.1%}"),
        Figure(name, "writes", str(writes), aim="0"),
        Figure(name, f"AWS calls for {changed} changes at once", _calls(arrived), f"one each: {changed}"),
    ]


async def latency(large: Large, sweeps: tuple[float, ...], changes: int) -> list[Figure]:
    """From a new value upstream to the Secret that holds it, at several pauses between sweeps (seconds)."""
    floor = await _by_hand(large)
    figures = []
    for sweep in sweeps:
        say(f"{changes} changes, a sweep each {sweep:g} s")
        with large.bed.operator(SECRETS_SWEEP_INTERVAL_S=f"{sweep:g}") as operator:
            await _checked(operator)
            settle(operator)
            took = sorted(await _one_by_one(large, sweep, changes))
        middle = took[len(took) // 2]
        figures.append(
            Figure(
                "latency",
                f"upstream → Secret, a sweep each {sweep:g} s",
                f"median {middle:.1f} s, max {took[-1]:.1f} s",
                f"read and patch alone {floor * 1000:.0f} ms",
                f"≤ {sweep + 2:g} s",
            )
        )
    return figures


async def _checked(operator: OperatorProcess) -> float:
    """Wait until it has begun and its queue is empty. Returns when, in monotonic seconds."""

    def is_done() -> bool:
        figures = summary(operator)
        queue = figures["queue"]
        resting: bool = queue["depth"] == queue["running"] == 0
        has_read: bool = figures["secrets"]["cache"]["reads"] > 0
        return resting and has_read

    await asyncio.to_thread(lambda: eventually(is_done, what="all are checked", timeout=_TIMEOUT, pause=0.25))
    return time.monotonic()


async def _list_all(bed: Bed) -> float:
    started = time.monotonic()
    for path, selector in (
        ("/api/v1/namespaces", ""),
        ("/api/v1/secrets", "tolstoy.dev/managed"),
        ("/apis/tolstoy.dev/v1/toolcredentials", ""),
    ):
        async for _ in bed.peer.items(path, selector=selector):
            pass
    return time.monotonic() - started


async def _empty_load(seconds: float) -> float:
    say(f"an operator without credentials, {seconds:.0f} s")
    async with open_bed() as bed:
        with bed.operator() as operator:
            before = settle(operator)
            await asyncio.sleep(seconds)
            return (cpu_seconds(operator.pid) - before) / seconds


async def _change_many(large: Large) -> tuple[int, dict[str, int]]:
    members = random.sample(large.fleet.members, min(_CHANGES, len(large.fleet)))
    log, aws = large.bed.log(), large.bed.testbed.aws
    aws.reset_calls()
    large.change(members)
    await log.until(lambda seen: len(seen.of("secrets")) >= len(members), what="all have arrived", timeout=_PUT_ACROSS)
    return len(members), dict(aws.calls())


async def _one_by_one(large: Large, sweep: float, changes: int) -> list[float]:
    """Changes at moments that have nothing to do with the sweeps."""
    log: Log = large.bed.log()
    changed_at: dict[tuple[str, str], float] = {}
    for member in random.sample(large.fleet.members, changes):
        changed_at[member.namespace, member.name] = time.time()
        large.change([member])
        await asyncio.sleep(random.uniform(0, 2 * sweep / 10))

    def arrivals() -> dict[tuple[str, str], float]:
        return {(item.namespace, item.name): item.at for item in log.of("secrets")}

    await log.until(lambda _: arrivals().keys() >= changed_at.keys(), what="all have arrived", timeout=_PUT_ACROSS)
    return [at - changed_at[key] for key, at in arrivals().items()]


async def _by_hand(large: Large) -> float:
    """Seconds for one read upstream and one patch, by who knows what has changed."""
    client = large.bed.testbed.aws.client()
    took = []
    for member in random.sample(large.fleet.members, 10):
        started = time.monotonic()
        value = await asyncio.to_thread(client.get_secret_value, SecretId=member.upstream)
        annotation = {"metadata": {"annotations": {"bench": str(len(json.loads(value["SecretString"])))}}}
        await large.bed.peer.merge(member.secret_path, annotation)
        took.append(time.monotonic() - started)
    return sorted(took)[len(took) // 2]


def _calls(calls: dict[str, int]) -> str:
    return ", ".join(f"{count} {operation}" for operation, count in sorted(calls.items())) or "none"
