"""Refreshing ten thousand tokens: what each refresh costs, and what comes when all tokens were imported at once.

How many a second is AWS' to say: it takes 50 writes a second, of which the operator allows itself half unless told
otherwise (docs/aws.md), and a refresh takes one to three. Ten thousand tokens that live an hour need three refreshes a
second.

Elsewhere than in `import`, time runs faster than in production, and the protocol's own times with it
(`REFRESH_TIME_SCALE`): ten thousand tokens that live an hour and ten thousand that live ten minutes differ in nothing
but how long one has to watch.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp

from bench.bed import Bed, say, settle
from bench.fleet import Fleet
from bench.machine import cpu_seconds, peak_megabytes, resident_megabytes
from bench.report import Figure
from dev.testbed import OperatorProcess
from tolstoy_operator.domain.refresh import RefreshRules
from tolstoy_operator.domain.schedule import FIRST_SPREAD, USUAL_LEAD, refresh_lead

_HOUR: Final = 3600.0
_TAKE_OVER_RATE: Final = 5.0
_EXCLUSIVE = {"EXCLUSIVE_REFRESH": "true", "CLUSTER_ID": "bench", "SECRETS_WRITES_PER_SECOND": "50"}
MODES: Final[dict[str, dict[str, str]]] = {
    "exclusive": _EXCLUSIVE,
    "sole writer": {**_EXCLUSIVE, "SOLE_WRITER": "true"},
}
_WRITES = ("PutSecretValue", "UpdateSecretVersionStage")


@dataclass(frozen=True, slots=True)
class Provider:
    """The token server, as this process talks to it."""

    url: str
    session: aiohttp.ClientSession

    async def grants(self, lifetime: float, ends: Mapping[str, float], first: Mapping[str, float]) -> None:
        """Forget all grants and know these."""
        body = {"lifetime": lifetime, "ends": ends, "first": first}
        async with self.session.post(f"{self.url}/grants", json=body) as answer:
            answer.raise_for_status()

    async def figures(self) -> dict[str, Any]:
        """Arrivals, and how many were late or used a token twice."""
        async with self.session.get(f"{self.url}/figures") as answer:
            figures: dict[str, Any] = await answer.json()
            return figures


@dataclass(frozen=True, slots=True)
class Tokens:
    """A fleet of grants, and how long their access tokens live here. `time_scale`: of the protocol's own times."""

    bed: Bed
    fleet: Fleet
    provider: Provider
    lifetime: float
    time_scale: float

    @property
    def settings(self) -> dict[str, str]:
        """For an operator that may send tokens there, at the time of this scenario."""
        return {
            "TOKEN_ENDPOINT_ORIGINS": self.provider.url,
            "REFRESH_TIME_SCALE": f"{self.time_scale:.6f}",
        }

    async def issue(self, ends: list[float], first: Mapping[str, float] | None = None) -> None:
        """The credentials, and a grant for each, whose access token ends then (epoch seconds)."""
        pairs = list(zip(self.fleet.members, ends, strict=True))
        await self.provider.grants(self.lifetime, {member.name: end for member, end in pairs}, first or {})
        self.bed.testbed.aws.seed({member.upstream: self._document(member.name, end) for member, end in pairs})
        await self.fleet.apply(self.bed.admin)

    def _document(self, grant: str, end: float) -> str:
        return json.dumps(
            {
                "accessToken": f"at-{grant}-0-" + "a" * 1000,
                "refreshToken": f"{grant}.0",
                "expiresAt": int(end * 1000),
                "tokenType": "Bearer",
                "clientId": "client",
                "clientSecret": "c" * 40,
                "tokenEndpoint": f"{self.provider.url}/token",
                "lastUpdated": datetime.fromtimestamp(end - self.lifetime, UTC).isoformat(),
            }
        )


async def shared(bed: Bed, count: int, rate: float, seconds: float, *, start_up: float) -> list[Figure]:
    """`count` tokens whose refreshes are due evenly over time, `rate` a second; watched for `seconds`.

    `start_up`: seconds that setting up and the operator's start may take.
    """
    lifetime = count / rate / (1 - 1 / 3 - 1 / 20)  # what is left of it at a refresh, on average, but for the first one
    async with _tokens(bed, "refresh", count, lifetime=lifetime, time_scale=min(1.0, lifetime / _HOUR)) as tokens:
        base = time.time() + start_up
        await tokens.issue(_ends(tokens, base, rate))
        with bed.operator(**tokens.settings) as operator:
            _ready(operator, base)
            return await _watch(tokens, operator, "shared", rate, base, seconds)


async def owned(bed: Bed, mode: str, rate: float, seconds: float, *, start_up: float) -> list[Figure]:
    """Secrets that this cluster alone refreshes, one refresh of each, `rate` a second; watched for `seconds`.

    Before that each is taken over, which costs more writes and is done more slowly. What it brings lives just so long
    that the refreshes of interest are due evenly.
    """
    count, pause = int(rate * seconds), 60.0
    taken_over, shortest = count / _TAKE_OVER_RATE, pause + seconds
    time_scale = shortest / RefreshRules().shortest_shared_s  # none is so short that it does not go upstream at once
    async with _tokens(bed, "refresh", count, lifetime=_HOUR, time_scale=time_scale) as tokens:
        base = time.time() + start_up
        first = {
            member.name: _lifetime(member.upstream, taken_over + pause + number / rate - number / _TAKE_OVER_RATE)
            for number, member in enumerate(tokens.fleet.members)
        }
        await tokens.issue(_ends(tokens, base, _TAKE_OVER_RATE), first)
        with bed.operator(**tokens.settings, **MODES[mode]) as operator:
            _ready(operator, base)
            say(f"each of {count} tokens once, to take its secret over")
            return await _watch(tokens, operator, mode, rate, base + taken_over + pause, seconds)


def _ends(tokens: Tokens, base: float, rate: float) -> list[float]:
    """When access tokens end, whose refreshes are due evenly from `base` on."""
    return [
        base + number / rate + refresh_lead(member.upstream, tokens.lifetime, spread=FIRST_SPREAD)
        for number, member in enumerate(tokens.fleet.members)
    ]


def _lifetime(upstream: str, due_in: float) -> float:
    """The lifetime of an access token whose refresh is due after so many seconds."""
    lifetime = due_in
    for _ in range(20):
        lifetime = due_in + refresh_lead(upstream, lifetime)
    return lifetime


def _ready(operator: OperatorProcess, base: float) -> None:
    settle(operator)
    if time.time() > base:
        raise RuntimeError(f"the operator was ready {time.time() - base:.0f} s too late: give it more time")


async def imported(bed: Bed, count: int, lifetime: float, *, within: float, start_up: float) -> list[Figure]:
    """`count` tokens that were issued within so many seconds, and live equally long; in production's time and settings.

    Watched from when the first of them is due until all have been refreshed.
    """
    async with _tokens(bed, "import", count, lifetime=lifetime, time_scale=1.0) as tokens:
        earliest = time.time() + start_up
        first = earliest + USUAL_LEAD + FIRST_SPREAD.seconds
        await tokens.issue([first + within * number / count for number in range(count)])
        with bed.operator(**tokens.settings) as operator:
            _ready(operator, earliest)
            say(f"{count} tokens of {lifetime:.0f} s, issued within {within:.0f} s")
            seen = await tokens.provider.figures()
            while len(seen["arrivals"]) < count and time.time() < first + within:
                await asyncio.sleep(1.0)
                seen = await tokens.provider.figures()
    arrivals = seen["arrivals"][:count]
    took = arrivals[-1] - arrivals[0]
    busiest = max(Counter(int(at) for at in arrivals).values())
    mean = len(arrivals) / took
    name = f"import {count:,}"
    return [
        Figure(
            name, "refreshed, late, used twice", f"{len(arrivals):,}, {seen['late']}, {seen['reused']}", aim="all, 0, 0"
        ),
        Figure(name, "spread over", f"{took:.0f} s", f"issued within {within:.0f} s"),
        Figure(name, "busiest second against the mean", f"{busiest} / {mean:.0f} = {busiest / mean:.1f}"),
    ]


async def _watch(
    tokens: Tokens, operator: OperatorProcess, mode: str, rate: float, base: float, seconds: float
) -> list[Figure]:
    bed, aws = tokens.bed, tokens.bed.testbed.aws
    await asyncio.sleep(max(0.0, base - time.time()))
    say(f"{mode}: refreshes for {seconds:.0f} s")
    aws.reset_calls()
    log, used = bed.log(), cpu_seconds(operator.pid)
    await asyncio.sleep(seconds)
    used = cpu_seconds(operator.pid) - used
    calls, writes = aws.calls(), len(log.writes())
    seen = await tokens.provider.figures()
    done = [at for at in seen["arrivals"] if at >= base]
    memory = f"{resident_megabytes(operator.pid):.0f} MB, at most {peak_megabytes(operator.pid):.0f} MB"
    number = max(len(done), 1)
    name = f"refresh {mode}"
    aims = {"shared": "≤ 3", "exclusive": "2", "sole writer": "1"}
    return [
        Figure(name, "refreshes a second", f"{len(done) / seconds:.1f}", f"due {rate:.1f}"),
        Figure(name, "late, used twice", f"{seen['late']}, {seen['reused']}", aim="0, 0"),
        Figure(name, "AWS writes a refresh", f"{sum(calls[name] for name in _WRITES) / number:.2f}", aim=aims[mode]),
        Figure(name, "AWS calls a refresh", f"{sum(calls.values()) / number:.2f}"),
        Figure(name, "writes to the API server a refresh", f"{writes / number:.2f}", "Secret and status: 2"),
        Figure(name, "operator's CPU a refresh", f"{used / number * 1000:.1f} ms"),
        Figure(name, f"memory, {len(tokens.fleet):,} OAuth credentials", memory),
    ]


@asynccontextmanager
async def _tokens(bed: Bed, prefix: str, count: int, *, lifetime: float, time_scale: float) -> AsyncIterator[Tokens]:
    """A fleet and a token server for it."""
    fleet = Fleet(prefix, count)
    await fleet.bind(bed.admin)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.tokenserver", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = int(await process.stdout.readline())
        async with aiohttp.ClientSession() as session:
            provider = Provider(f"http://127.0.0.1:{port}", session)
            yield Tokens(bed, fleet, provider, lifetime, time_scale)
    finally:
        process.stdin.close()
        await process.wait()
