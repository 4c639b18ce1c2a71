"""A Secrets Manager with one secret: immutable versions, labels that move, reads that may be stale.

Writes are linearizable. `put` with labels takes them from wherever they are; a repeated `put` of the same value moves
none; a label moves by comparison only.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NoReturn

from tests.simulation.loop import EPOCH, Loop, Process
from tests.simulation.network import Network
from tolstoy_operator.domain.errors import (
    AlreadyExists,
    InvalidRequest,
    LabelMoved,
    LimitExceeded,
    SecretNotFound,
    StoreError,
)
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.stores.base import (
    CURRENT,
    PREVIOUS,
    SecretDescription,
    SecretListing,
    SecretVersion,
    VersionInfo,
)

NAME = "tolstoy/github/org-1"
ARN = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:tolstoy/github/org-1-AbCdEf"
SERVICE = "store"


class SimulatedStore:
    """The service side."""

    def __init__(self, loop: Loop, *, version_limit: int = 10_000) -> None:
        self.loop = loop
        self.version_limit = version_limit
        self.versions: dict[str, tuple[str, float]] = {}
        self.labels: dict[str, str] = {}
        self._times: list[float] = []
        self._snapshots: list[Mapping[str, str]] = []
        self.on_current: Callable[[str | None, str, str], None] = lambda _old, _new, _actor: None
        self.on_version: Callable[[str, str, str], None] = lambda _version, _value, _actor: None
        self.writes = 0

    def put(self, actor: str, value: str, version: str, labels: Sequence[str]) -> None:
        if version in self.versions:
            if self.versions[version][0] != value:
                raise AlreadyExists(NAME, version)
            return
        if len(self.versions) >= self.version_limit:
            raise LimitExceeded(NAME, "versions")
        self.writes += 1
        self.versions[version] = (value, self.loop.now)
        self.on_version(version, value, actor)
        moved = dict(self.labels)
        for label in labels:
            self._attach(moved, label, version)
        self._commit(moved, actor)

    def move(self, actor: str, label: str, old: str | None, new: str | None) -> None:
        if new is not None and self.labels.get(label) == new:
            return  # as the service does: a repeated call cannot be told from a first one
        if self.labels.get(label) != old:
            raise LabelMoved(NAME, label)
        if new is not None and new not in self.versions:
            raise SecretNotFound(NAME, new)
        self.writes += 1
        moved = dict(self.labels)
        if new is None:
            moved.pop(label, None)
        else:
            self._attach(moved, label, new)
        self._commit(moved, actor)

    def take(self, actor: str, label: str, version: str) -> bool:
        if self.labels.get(label) != version:
            return False
        self.writes += 1
        self._commit({name: at for name, at in self.labels.items() if name != label}, actor)
        return True

    def prune(self, older_than: float) -> None:
        kept = set(self.labels.values())
        for version, (_, created) in list(self.versions.items()):
            if version not in kept and created < self.loop.now - older_than:
                del self.versions[version]

    def labels_at(self, time: float) -> Mapping[str, str]:
        if time >= self._times[-1]:
            return self._snapshots[-1]
        return self._snapshots[max(bisect_right(self._times, time) - 1, 0)]

    def value_at(self, version: str, time: float) -> tuple[str, float]:
        found = self.versions.get(version)
        if found is None or found[1] > max(time, self._times[0]):
            raise SecretNotFound(NAME, version)
        return found

    def document(self, version: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.versions[version][0])
        return document

    def _attach(self, labels: dict[str, str], label: str, version: str) -> None:
        if label == CURRENT and labels.get(CURRENT) not in (None, version):
            labels[PREVIOUS] = labels[CURRENT]
        labels[label] = version

    def _commit(self, labels: dict[str, str], actor: str) -> None:
        old, self.labels = self.labels.get(CURRENT), labels
        self._times.append(self.loop.now)
        self._snapshots.append(labels)
        if labels.get(CURRENT) != old:
            self.on_current(old, labels[CURRENT], actor)


class StoreClient:
    """The `SecretStore` of one process. It sees what it wrote itself, however stale its other reads are."""

    region = "eu-west-1"

    def __init__(self, store: SimulatedStore, network: Network, process: Process) -> None:
        self._store, self._network, self._process = store, network, process
        self._written: set[str] = set()

    def _as_of(self) -> float:
        weather, now = self._network.weather, self._store.loop.now
        lag = weather.lag
        if weather.stuck:
            moment, until = weather.stuck.get(self._process.name, (0.0, 0.0))
            if now < until:
                return moment
        if not lag or self._network.random.random() < 0.7:
            return now
        return now - lag * self._network.random.random()

    async def get(self, name: str, *, version_id: str | None = None, label: str | None = CURRENT) -> SecretVersion:
        def execute() -> SecretVersion:
            time = self._store.loop.now if version_id in self._written else self._as_of()
            labels = self._store.labels_at(time)
            version = version_id or labels[str(label)]
            if version_id and label and labels.get(label) != version_id:
                raise SecretNotFound(NAME, label)
            value, created = self._store.value_at(version, time)
            return SecretVersion(NAME, ARN, version, frozenset(), SecretValue(value), EPOCH + created)

        return await self._network.call(self._process, SERVICE, execute)

    async def describe(self, name: str) -> SecretDescription:
        return await self._network.call(
            self._process,
            SERVICE,
            lambda: SecretDescription(NAME, ARN, self._store.labels_at(self._as_of()), pending_deletion=False),
        )

    async def list_versions(self, name: str) -> Sequence[VersionInfo]:
        def execute() -> Sequence[VersionInfo]:
            time = max(self._as_of(), 0.0)
            labelled = set(self._store.labels.values())
            one = frozenset({"label"})
            return [
                VersionInfo(version, one if version in labelled else frozenset(), EPOCH + created)
                for version, (_, created) in self._store.versions.items()
                if created <= time
            ]

        return await self._network.call(self._process, SERVICE, execute)

    async def put(self, name: str, value: SecretValue, *, version_id: str, labels: Sequence[str] = (CURRENT,)) -> None:
        actor, text = self._process.name, value.reveal()
        self._written.add(version_id)
        await self._network.call(
            self._process, SERVICE, lambda: self._store.put(actor, text, version_id, labels), writes=True
        )

    async def move_label(self, name: str, label: str, *, from_version: str | None, to_version: str | None) -> None:
        actor = self._process.name
        await self._network.call(
            self._process, SERVICE, lambda: self._store.move(actor, label, from_version, to_version), writes=True
        )

    async def take_label(self, name: str, label: str, *, from_version: str) -> bool | None:
        actor = self._process.name
        return await self._network.call(
            self._process, SERVICE, lambda: self._store.take(actor, label, from_version), writes=True
        )

    async def create(self, name: str, value: SecretValue, *, version_id: str) -> str:
        raise InvalidRequest(name, "the simulation has one secret, and it exists")

    async def get_many(self, names: Sequence[str]) -> Mapping[str, SecretVersion | StoreError]:
        raise InvalidRequest("names", "the simulation has one secret")

    def list_changed(self, *, prefix: str, since: float | None) -> AsyncIterator[SecretListing]:
        return _nothing()

    async def validate_access(self) -> None:
        await self.describe(NAME)

    async def close(self) -> None:
        return


def _nothing() -> NoReturn:
    raise InvalidRequest("listing", "the simulation lists nothing")
