"""One replica of the operator: it refreshes when a token is due, and publishes what is current to its cluster."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from tests.simulation.journal import ClusterClient, Conflict
from tests.simulation.loop import Process
from tests.simulation.network import Network
from tests.simulation.provider import EndpointClient
from tests.simulation.store import NAME, StoreClient
from tolstoy_operator.domain.errors import StoreError
from tolstoy_operator.domain.oauthdocument import MalformedDocument, OAuthDocument
from tolstoy_operator.domain.publication import is_news
from tolstoy_operator.domain.refresh import ProviderTraits, RefreshRules
from tolstoy_operator.services.refresh.endings import Current, Ending, Failed, Journalled, MirrorOnly, Problem, Waiting
from tolstoy_operator.services.refresh.housekeeping import JournalKeeper
from tolstoy_operator.services.refresh.parts import Parts
from tolstoy_operator.services.refresh.refresher import Refresher, Target
from tolstoy_operator.services.refresh.revocation import Buried, Order, RevocationEnding, Revoker, Superseded
from tolstoy_operator.stores.base import CURRENT

_KNOWN_ANCESTORS = 6


@dataclass(slots=True, kw_only=True)
class Habits:
    """How a replica is configured. `lead`: seconds before the expiry at which a refresh is due."""

    traits: ProviderTraits
    rules: RefreshRules
    lead: float
    exclusive: bool = False
    sole_writer: bool = False


@dataclass(slots=True)
class FaultPoints:
    """Something happens to a process right before a named step, with this probability."""

    strike: Callable[[Process, str], None]
    probability: float = 0.0


class Draws:
    """The `Random` of a replica, from the schedule's generator."""

    def __init__(self, random: Random, process: Process) -> None:
        self._random, self._process = random, process
        self._drawn = 0

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def nonce(self) -> str:
        self._drawn += 1
        return f"{self._process.name}/{self._process.life}/{self._drawn}"


class Replica:
    """The main coroutine of a process, and what it is wired to."""

    def __init__(
        self,
        process: Process,
        store: StoreClient,
        cluster: ClusterClient,
        endpoint: EndpointClient,
        network: Network,
        habits: Habits,
        faults: FaultPoints,
        report: Callable[[Process, Ending | RevocationEnding], None],
        revokes: Callable[[Process], bool],
        refresher: Callable[[Parts], Refresher] = Refresher,
    ) -> None:
        self._process, self._store, self._cluster, self._endpoint = process, store, cluster, endpoint
        self._random, self._habits, self._faults, self._report = network.random, habits, faults, report
        self._revokes = revokes
        self._last_step = ""
        parts = Parts(
            store=store,
            journal=cluster,
            clocks=process,
            random=Draws(network.random, process),
            owner=process.name,
            cluster=process.cluster,
            rules=habits.rules,
            exclusive=habits.exclusive,
            sole_writer=habits.sole_writer,
            step=self._step,
        )
        self._refresher, self._revoker, self._keeper = refresher(parts), Revoker(parts), JournalKeeper(parts)

    async def main(self) -> None:
        await self._process.sleep(20.0 * self._random.random())
        failures = 0
        while True:
            self._last_step = ""
            if self._revokes(self._process):
                await self._revoke()
                continue
            ending = await self._refresher.run(self._target())
            self._report(self._process, ending)
            failures = failures + 1 if isinstance(ending, Failed) else 0
            if isinstance(ending, Current | Journalled):
                await self._publish(ending.version, ending.previous if isinstance(ending, Current) else None)
            await self._tidy()
            await self._process.sleep(self._pause(ending, failures))

    async def _tidy(self) -> None:
        with suppress(StoreError):
            await self._keeper.tidy(await self._keeper.entries())

    def _target(self) -> Target:
        return Target(name=NAME, traits=self._habits.traits, endpoint=self._endpoint, due=self._due)

    async def _revoke(self) -> None:
        """One pass of a revocation; once it is over, its mark is taken off."""
        ending = await self._revoker.run(self._order())
        over = isinstance(ending, Buried | Superseded | MirrorOnly)
        if not over or await self._revoker.finish(NAME):
            self._report(self._process, ending)
        await self._process.sleep(10.0 + 20.0 * self._random.random())

    def _order(self) -> Order:
        return Order(name=NAME, traits=self._habits.traits, endpoint=self._endpoint)

    def _due(self, _version: str, document: OAuthDocument) -> bool:
        expires_at = document.expires_at
        return expires_at is not None and self._process.read().wall >= expires_at - self._habits.lead

    def _pause(self, ending: Ending, failures: int) -> float:
        jitter = self._random.random()
        match ending:
            case Waiting():
                return ending.seconds * (1.0 + 2.0 * jitter)
            case Failed():
                if ending.retry_after is not None:
                    return ending.retry_after + jitter
                patient = ending.problem is not Problem.UPSTREAM_UNAVAILABLE
                return min(1500.0 if patient else 60.0, 4.0 * 2.0 ** min(failures, 12)) * (0.5 + jitter)
            case MirrorOnly():
                return 300.0 * (1.0 + jitter)
            case Journalled():
                return max(1.0, min(ending.retry_after, self._until_due(ending.document))) + jitter
        return max(1.0, self._until_due(ending.document) + 30.0 * jitter)

    def _until_due(self, document: OAuthDocument) -> float:
        return (document.expires_at or 0.0) - self._habits.lead - self._process.read().wall

    async def _publish(self, version: str, previous: str | None) -> None:
        """To the mirror, unless it shows something newer already."""
        try:
            mirror = await self._cluster.mirror()
            await self._store.get(NAME, version_id=version, label=CURRENT)
            ancestors = await self._ancestors(mirror.version)
            age = self._process.loop.now - mirror.published_at
            news = is_news(version, published=mirror.version, ancestors=ancestors, previous=previous, published_for=age)
            if news:
                await self._cluster.publish(mirror.resource_version, version)
        except (StoreError, Conflict):
            return

    async def _ancestors(self, version: str | None) -> list[str] | None:
        found: list[str] = []
        while version is not None and len(found) < _KNOWN_ANCESTORS:
            try:
                value = (await self._store.get(NAME, version_id=version, label=None)).value
                books = OAuthDocument.parse(value).bookkeeping
            except (StoreError, MalformedDocument):
                return found or None
            version = books.base if books is not None else None
            if version is not None:
                found.append(version)
        return found

    async def _step(self, name: str) -> None:
        if name == "seal" or (name == "claim" and self._last_step != "seal"):
            self._endpoint.started = self._process.loop.now
        self._last_step = name
        if self._faults.probability and self._random.random() < self._faults.probability:
            self._faults.strike(self._process, name)
            await self._process.sleep(0.0)
