"""What follows when the data of a Secret has changed, as far as the installation has chosen it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from tolstoy_operator.engine.change import Change
from tolstoy_operator.engine.inventory import Inventory
from tolstoy_operator.engine.propagation import Propagator
from tolstoy_operator.engine.records import Credential
from tolstoy_operator.engine.restarts import Restarts
from tolstoy_operator.engine.workqueue import WorkQueue
from tolstoy_operator.kube.client import KubeClient
from tolstoy_operator.kube.events import EventsApi
from tolstoy_operator.kube.pods import PodsApi
from tolstoy_operator.kube.workloads import WorkloadsApi
from tolstoy_operator.observability.metrics import Metrics
from tolstoy_operator.services.tokens import TokenService
from tolstoy_operator.settings import Settings
from tolstoy_operator.stores.ratelimit import TokenBucket


class Followers:
    """Those who are told. They work beside the syncs, and never hold one up."""

    def __init__(self, *parts: Propagator | Restarts) -> None:
        self._parts = parts

    def data_changed(self, credential: Credential, change: Change) -> None:
        """The data of a credential's Secret has changed."""
        for part in self._parts:
            part.data_changed(credential, change)

    async def run(self) -> None:
        """Work until `stop`. Returns when what is in hand is finished."""
        await asyncio.gather(*(part.run() for part in self._parts))

    def stop(self) -> None:
        """Take no more work."""
        for part in self._parts:
            part.stop()


def followers_of(
    settings: Settings, client: KubeClient, inventory: Inventory, tokens: TokenService, metrics: Metrics
) -> Followers:
    """The followers that the settings ask for."""
    return Followers(*_chosen(settings, client, inventory, tokens, metrics))


def _chosen(
    settings: Settings, client: KubeClient, inventory: Inventory, tokens: TokenService, metrics: Metrics
) -> Iterator[Propagator | Restarts]:
    if settings.immediate_propagation:
        yield Propagator(
            inventory=inventory,
            pods=PodsApi(client),
            queue=WorkQueue(time.monotonic),
            bucket=TokenBucket(settings.pod_touches_per_second),
            old_token=tokens.old_access_token,
            on_touch=metrics.observe_pod_touch,
            clock=time.monotonic,
        )
    if settings.restart_workloads:
        yield Restarts(
            workloads=WorkloadsApi(client),
            events=EventsApi(client, instance=settings.pod_name),
            now=lambda: datetime.now(UTC),
            clock=time.monotonic,
            on_restart=metrics.observe_restart,
        )
