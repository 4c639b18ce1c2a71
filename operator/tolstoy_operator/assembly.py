"""What one operator process is made of, and how the parts are joined. No part reaches for another by itself."""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tolstoy_operator.domain.existing import fingerprint_with
from tolstoy_operator.engine.bindings import Unbound
from tolstoy_operator.engine.dispatcher import Dispatcher
from tolstoy_operator.engine.inventory import Inventory
from tolstoy_operator.engine.janitor import Janitor
from tolstoy_operator.engine.mirror import Mirror
from tolstoy_operator.engine.reconciler import Reconciler, Timing
from tolstoy_operator.engine.resync import Resync
from tolstoy_operator.engine.sweep import Sweep
from tolstoy_operator.engine.workqueue import WorkQueue
from tolstoy_operator.kube.client import KubeClient
from tolstoy_operator.kube.events import EventsApi
from tolstoy_operator.kube.secrets import SecretsApi
from tolstoy_operator.kube.status import StatusApi
from tolstoy_operator.services.secrets import SecretsService
from tolstoy_operator.settings import Settings
from tolstoy_operator.stores.base import SecretStore


@dataclass(slots=True)
class Parts:
    """What one operator process is made of."""

    settings: Settings
    client: KubeClient
    store: SecretStore
    inventory: Inventory
    queue: WorkQueue
    dispatcher: Dispatcher
    resync: Resync
    sweep: Sweep
    janitor: Janitor


def make_store(settings: Settings) -> SecretStore:
    if settings.use_aws_secrets:
        from tolstoy_operator.stores.secretsmanager import SecretsManagerStore

        return SecretsManagerStore(region=settings.aws_region)
    from tolstoy_operator.stores.sqlite import SqliteStore

    return SqliteStore(settings.sqlite_path)


def assemble(settings: Settings, client: KubeClient, store: SecretStore) -> Parts:
    inventory = Inventory(fingerprint := fingerprint_with(os.urandom(32)))
    queue = WorkQueue(time.monotonic)
    secrets = SecretsService(
        store, cache_ttl=settings.secrets_cache_duration_ms / 1000, stale_max_age=settings.secrets_stale_max_age_s
    )
    mirror = Mirror(inventory, SecretsApi(client), fingerprint)
    unbound = Unbound(inventory, clock=time.monotonic, grace=settings.unbind_grace_s)
    janitor = Janitor(inventory, mirror)
    sweep = Sweep(
        store=store,
        secrets=secrets,
        inventory=inventory,
        changed=lambda keys: dispatcher.look_later(keys),
        clock=time.time,
        interval=settings.secrets_sweep_interval_s,
        full_interval=settings.secrets_full_sweep_interval_s,
        poll_interval=max(60.0, settings.secrets_cache_duration_ms / 1000),
    )
    reconciler = Reconciler(
        inventory=inventory,
        secrets=secrets,
        mirror=mirror,
        unbound=unbound,
        upstream=sweep,
        status=StatusApi(client),
        events=EventsApi(client, instance=settings.pod_name),
        region=store.region,
        timing=Timing(
            now=lambda: datetime.now(UTC),
            uniform=_uniform,
            stall_after=timedelta(seconds=settings.stall_after_s),
        ),
    )
    dispatcher = Dispatcher(
        inventory=inventory,
        queue=queue,
        reconcile=reconciler.reconcile,
        unbound=unbound,
        janitor=janitor,
        workers=settings.workers,
        uniform=_uniform,
        on_sync=lambda outcome, seconds: None,
        on_gone=lambda key: None,
    )
    resync = Resync(client, inventory, gone=dispatcher.credential_gone)
    return Parts(settings, client, store, inventory, queue, dispatcher, resync, sweep, janitor)


def _uniform(low: float, high: float) -> float:
    return random.uniform(low, high)  # noqa: S311 - spreads retries
