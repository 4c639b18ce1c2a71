"""A stage: one secret, one provider, and replicas that make one pass when told to."""

from __future__ import annotations

import json
import uuid
from collections.abc import Coroutine
from random import Random
from typing import Any, NoReturn, TypeVar

from tests.simulation.journal import ClusterClient, SimulatedCluster
from tests.simulation.loop import EPOCH, Loop, Process
from tests.simulation.network import Network, Weather
from tests.simulation.provider import Behaviour, EndpointClient, Line, SimulatedProvider
from tests.simulation.replica import Draws
from tests.simulation.store import NAME, SERVICE, SimulatedStore, StoreClient
from tolstoy_operator.domain.errors import StoreError, StoreUnavailable
from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.refresh import ProviderTraits, RefreshRules, Rotation
from tolstoy_operator.services.refresh.endings import Ending
from tolstoy_operator.services.refresh.parts import Parts
from tolstoy_operator.services.refresh.refresher import Refresher, Target
from tolstoy_operator.stores.base import CURRENT

STRICT = ProviderTraits(Rotation.ROTATES)
T = TypeVar("T")


def refuse(part: object, call: str, error: type[StoreError] = StoreUnavailable) -> None:
    """This call of a store or a journal fails from now on."""

    async def refused(name: str, *_: Any, **__: Any) -> NoReturn:
        raise error(name, "refused")

    setattr(part, call, refused)


class Stage:
    """`traits`: what replicas believe of the provider. Tokens live an hour and are due five minutes before."""

    def __init__(
        self,
        behaviour: Behaviour = Behaviour.STRICT,
        traits: ProviderTraits = STRICT,
        *,
        lifetime: float = 3600.0,
        old_dies: bool = False,
    ) -> None:
        self.loop, self.traits, self.lifetime = Loop(), traits, lifetime
        self.rules = RefreshRules(journal_crowd=1)
        self.store = SimulatedStore(self.loop)
        self.provider = SimulatedProvider(self.loop, behaviour, lifetime=lifetime, grace=600.0, old_dies=old_dies)
        self.network, self.line = Network(self.loop, Random(1), Weather()), Line()
        self.clusters: dict[str, SimulatedCluster] = {}
        self._passes = 0

    def consent(self, **members: Any) -> None:
        refresh, access = self.provider.consent()
        self.write(
            {
                "accessToken": access,
                "refreshToken": refresh,
                "expiresAt": round((EPOCH + self.loop.now + self.lifetime) * 1000),
                **members,
            }
        )

    def write(self, document: dict[str, Any]) -> None:
        self.store.put("person", json.dumps(document), str(uuid.uuid4()), [CURRENT])

    def edit(self, **members: Any) -> None:
        self.write({**self.current, **members})

    @property
    def current(self) -> dict[str, Any]:
        return self.store.document(self.store.labels[CURRENT])

    @property
    def lives(self) -> bool:
        return self.provider.lives(str(self.current["accessToken"]))

    def until_due(self) -> None:
        self.loop.run(max(self.loop.now, self.current["expiresAt"] / 1000 - EPOCH - 290.0))

    def wait(self, seconds: float) -> None:
        self.loop.run(self.loop.now + seconds)

    def cut_off(self, cluster: str, *, seconds: float) -> None:
        self.network.weather.cut_off[cluster, SERVICE] = self.loop.now + seconds

    def replica(self, name: str = "op", cluster: str = "blue", **settings: Any) -> StagedReplica:
        return StagedReplica(self, name, cluster, settings)

    def finish(self, process: Process, work: Coroutine[Any, Any, T]) -> T:
        """Let time pass until the work is done."""
        done: list[T] = []

        async def main() -> None:
            done.append(await work)

        process.start(main())
        for _ in range(10_000):
            if done:
                return done[0]
            self.loop.run(self.loop.now + 1.0)
        raise AssertionError("the pass does not end")


class StagedReplica:
    """One replica; `run` makes one pass."""

    def __init__(self, stage: Stage, name: str, cluster: str, settings: dict[str, Any]) -> None:
        self.stage, self.process = stage, Process(stage.loop, name, cluster)
        api = stage.clusters.setdefault(cluster, SimulatedCluster(stage.loop, cluster))
        self.steps: list[str] = []
        self.endpoint = EndpointClient(stage.provider, stage.network, self.process, stage.line, stage.rules)
        self.refresher = Refresher(
            Parts(
                store=StoreClient(stage.store, stage.network, self.process),
                journal=ClusterClient(api, stage.network, self.process),
                clocks=self.process,
                random=Draws(stage.network.random, self.process),
                owner=name,
                cluster=cluster,
                rules=stage.rules,
                step=self._step,
                **settings,
            )
        )

    async def _step(self, name: str) -> None:
        self.steps.append(name)

    def due(self, _version: str, document: OAuthDocument) -> bool:
        return document.expires_at is not None and document.expires_at - 300.0 <= self.process.read().wall

    def target(self, *, insist: bool = False) -> Target:
        return Target(name=NAME, traits=self.stage.traits, endpoint=self.endpoint, due=self.due, insist=insist)

    def run(self, *, insist: bool = False) -> Ending:
        return self.stage.finish(self.process, self.refresher.run(self.target(insist=insist)))
