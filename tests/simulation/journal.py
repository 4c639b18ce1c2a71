"""The Kubernetes side of each cluster: journal objects that are created once, and the mirror that pods mount."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tests.simulation.loop import EPOCH, Loop, Process
from tests.simulation.network import Network
from tests.simulation.store import NAME
from tolstoy_operator.domain.errors import AlreadyExists, StoreError
from tolstoy_operator.domain.refreshrecords import JournalEntry
from tolstoy_operator.domain.secretvalue import SecretValue

T = TypeVar("T")


class Conflict(StoreError):
    """The mirror has another resourceVersion than the writer read."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """What a cluster's pods see."""

    resource_version: int
    version: str | None
    published_at: float


class SimulatedCluster:
    """The API server of one cluster. Linearizable, as etcd is."""

    def __init__(self, loop: Loop, name: str) -> None:
        self.loop, self.name = loop, name
        self.service = f"api {name}"
        self.objects: dict[str, tuple[str, float]] = {}
        self.mirror = Mirror(0, None, 0.0)
        self.on_object: Callable[[str, str, str], None] = lambda _cluster, _key, _payload: None
        self.on_mirror: Callable[[str, str | None, str], None] = lambda _cluster, _old, _new: None

    def create(self, key: str, payload: str) -> None:
        if key in self.objects:
            raise AlreadyExists(key, "exists")
        self.objects[key] = (payload, self.loop.now)
        self.on_object(self.name, key, payload)

    def publish(self, resource_version: int, version: str) -> None:
        if resource_version != self.mirror.resource_version:
            raise Conflict("mirror", "resourceVersion")
        old = self.mirror.version
        self.mirror = Mirror(resource_version + 1, version, self.loop.now)
        self.on_mirror(self.name, old, version)


class ClusterClient:
    """The `Journal` of one process, and its way to the mirror."""

    def __init__(self, cluster: SimulatedCluster, network: Network, process: Process) -> None:
        self._cluster, self._network, self._process = cluster, network, process

    async def create(self, key: str, payload: SecretValue, *, secret: str) -> None:
        text = payload.reveal()
        await self._call(lambda: self._cluster.create(key, text), writes=True)

    async def read(self, key: str) -> SecretValue | None:
        found = await self._call(lambda: self._cluster.objects.get(key))
        return None if found is None else SecretValue(found[0])

    async def list(self) -> Sequence[JournalEntry]:
        objects = await self._call(lambda: dict(self._cluster.objects))
        return [JournalEntry(key, NAME, EPOCH + created) for key, (_, created) in objects.items()]

    async def delete(self, key: str) -> None:
        await self._call(lambda: self._cluster.objects.pop(key, None), writes=True)

    async def mirror(self) -> Mirror:
        return await self._call(lambda: self._cluster.mirror)

    async def publish(self, resource_version: int, version: str) -> None:
        await self._call(lambda: self._cluster.publish(resource_version, version), writes=True)

    async def _call(self, execute: Callable[[], T], *, writes: bool = False) -> T:
        return await self._network.call(self._process, self._cluster.service, execute, writes=writes)
