"""What one operator process is made of, and how the parts are joined. No part reaches for another by itself."""

from __future__ import annotations

import functools
import os
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

from tolstoy_operator.domain.existing import fingerprint_with
from tolstoy_operator.domain.refresh import RefreshRules
from tolstoy_operator.engine.bindings import Unbound
from tolstoy_operator.engine.change import OnData
from tolstoy_operator.engine.clockwatch import ClockWatch
from tolstoy_operator.engine.departures import Departures
from tolstoy_operator.engine.dispatcher import Dispatcher
from tolstoy_operator.engine.elector import Elector, SoleReplica
from tolstoy_operator.engine.followers import Followers, followers_of
from tolstoy_operator.engine.grants import Grants
from tolstoy_operator.engine.health import Health, observe
from tolstoy_operator.engine.imports import Imports
from tolstoy_operator.engine.inventory import Inventory
from tolstoy_operator.engine.janitor import Janitor
from tolstoy_operator.engine.journal import JournalRounds
from tolstoy_operator.engine.mirror import Mirror
from tolstoy_operator.engine.readahead import ReadAhead
from tolstoy_operator.engine.reconciler import Reconciler, Timing
from tolstoy_operator.engine.resync import Resync
from tolstoy_operator.engine.sweep import Sweep
from tolstoy_operator.engine.upstream import UpstreamHealth
from tolstoy_operator.engine.workqueue import WorkQueue
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.client import KubeClient, load_configuration
from tolstoy_operator.kube.credentials import CredentialsApi
from tolstoy_operator.kube.events import EventsApi
from tolstoy_operator.kube.finalizers import FinalizersApi
from tolstoy_operator.kube.journal import KubeJournal
from tolstoy_operator.kube.lease import LeaseElector, new_identity
from tolstoy_operator.kube.leases import LeasesApi
from tolstoy_operator.kube.reviews import ReviewsAuthorizer
from tolstoy_operator.kube.secrets import SecretsApi
from tolstoy_operator.kube.status import StatusApi
from tolstoy_operator.observability.http import HttpServer
from tolstoy_operator.observability.metrics import Metrics
from tolstoy_operator.services.reach import endpoints_of
from tolstoy_operator.services.refresh.housekeeping import JournalKeeper
from tolstoy_operator.services.refresh.parts import Parts as RefreshParts
from tolstoy_operator.services.refresh.refresher import Refresher
from tolstoy_operator.services.refresh.revocation import Revoker
from tolstoy_operator.services.refresh.system import SystemClocks, SystemRandom
from tolstoy_operator.services.resolver import SecretsResolver
from tolstoy_operator.services.revocation import RevocationService
from tolstoy_operator.services.secrets import SecretsService
from tolstoy_operator.services.tokens import TokenService
from tolstoy_operator.settings import Settings
from tolstoy_operator.stores.base import SecretStore

LEASE_NAME = "tolstoy-operator"
_SHORTEST_POLL = 60.0

LearnCluster = Callable[[], Awaitable[None]]
"""Asks the API server which cluster this is. To be called once before anything acts. Raises `KubeError`."""


@dataclass(slots=True)
class Parts:
    """What the life cycle in `app` starts and stops."""

    client: KubeClient
    store: SecretStore
    dispatcher: Dispatcher
    resync: Resync
    sweep: Sweep
    janitor: Janitor
    grants: Grants
    departures: Departures
    journal: JournalRounds
    followers: Followers
    clock_watch: ClockWatch
    elector: Elector
    health: Health
    http: HttpServer
    learn_cluster: LearnCluster

    async def close(self) -> None:
        """Close whatever holds connections or threads."""
        await self.http.stop()
        await self.store.close()
        await self.client.close()


async def assemble(settings: Settings, *, on_lease_lost: Callable[[], None]) -> Parts:
    """Make all parts; nothing runs yet. Raises `SettingsError`, and `KubeconfigError` without a cluster."""
    metrics = Metrics(version=version("tolstoy-operator"), per_credential=settings.metrics_per_credential)
    client = KubeClient(
        await load_configuration(),
        on_request=lambda verb, resource, code, _seconds: metrics.observe_kube_request(verb, resource, code),
    )
    store = _store(settings, metrics)
    elector = _elector(settings, client, on_lease_lost)
    secrets = SecretsService(
        store, cache_ttl=settings.secrets_cache_duration_ms / 1000, stale_max_age=settings.secrets_stale_max_age_s
    )
    protocol = _protocol(settings, client, store)
    tokens, revocations = _tokens(settings, protocol, secrets=secrets, metrics=metrics)
    return _join(
        _Base(settings=settings, client=client, store=store, secrets=secrets, elector=elector, metrics=metrics),
        tokens=tokens,
        revocations=revocations,
        keeper=JournalKeeper(protocol),
        learn_cluster=functools.partial(_learn_cluster, client, protocol),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Base:
    """What the rest stands on."""

    settings: Settings
    client: KubeClient
    store: SecretStore
    secrets: SecretsService
    elector: Elector
    metrics: Metrics


def _join(
    base: _Base,
    *,
    tokens: TokenService,
    revocations: RevocationService,
    keeper: JournalKeeper,
    learn_cluster: LearnCluster,
) -> Parts:
    settings, client = base.settings, base.client
    fingerprint = fingerprint_with(os.urandom(32))
    inventory, queue, upstream = Inventory(fingerprint), WorkQueue(time.monotonic), UpstreamHealth(time.time)
    base.secrets.read_ahead(ReadAhead(inventory, queue))
    mirror = Mirror(inventory, SecretsApi(client), fingerprint)
    unbound = Unbound(inventory, clock=time.monotonic, grace=settings.unbind_grace_s)
    janitor = Janitor(inventory, mirror, CredentialsApi(client))
    grants = _grants(settings, inventory, tokens)
    departures = _departures(settings, inventory, client, revocations)
    followers = followers_of(settings, client, inventory, tokens, base.metrics)
    reconciler = _reconciler(
        base,
        inventory=inventory,
        mirror=mirror,
        unbound=unbound,
        upstream=upstream,
        grants=grants,
        departures=departures,
        on_data=followers.data_changed,
    )
    dispatcher = _dispatcher(base, inventory, queue, reconciler, unbound=unbound, janitor=janitor)
    grants.on_change(dispatcher.changed)
    health = _health(base, inventory, queue, dispatcher, grants, upstream, unbound)
    return Parts(
        client=client,
        store=base.store,
        dispatcher=dispatcher,
        resync=_resync(base, inventory, dispatcher),
        sweep=_sweep(base, inventory, dispatcher, upstream),
        janitor=janitor,
        grants=grants,
        departures=departures,
        journal=JournalRounds(inventory, keeper, tokens, time_scale=settings.refresh_time_scale),
        followers=followers,
        clock_watch=_clock_watch(inventory, grants, dispatcher),
        elector=base.elector,
        health=health,
        http=_http(base, health),
        learn_cluster=learn_cluster,
    )


def _reconciler(
    base: _Base,
    *,
    inventory: Inventory,
    mirror: Mirror,
    unbound: Unbound,
    upstream: UpstreamHealth,
    grants: Grants,
    departures: Departures,
    on_data: OnData,
) -> Reconciler:
    resolver = SecretsResolver(base.secrets, database_secret=base.settings.aws_secret_name)
    events = EventsApi(base.client, instance=base.settings.pod_name)
    timing = Timing(
        now=lambda: datetime.now(UTC),
        uniform=_uniform,
        stall_after=timedelta(seconds=base.settings.stall_after_s),
    )
    return Reconciler(
        inventory=inventory,
        secrets=base.secrets,
        mirror=mirror,
        unbound=unbound,
        upstream=upstream,
        grants=grants,
        imports=Imports(inventory, SecretsApi(base.client), resolver, events=events, now=timing.now),
        departures=departures,
        status=StatusApi(base.client),
        events=events,
        region=base.store.region,
        timing=timing,
        on_status=lambda key, status: observe(base.metrics, key, status),
        on_data=on_data,
    )


def _dispatcher(
    base: _Base, inventory: Inventory, queue: WorkQueue, reconciler: Reconciler, *, unbound: Unbound, janitor: Janitor
) -> Dispatcher:
    return Dispatcher(
        inventory=inventory,
        queue=queue,
        reconcile=reconciler.reconcile,
        unbound=unbound,
        janitor=janitor,
        workers=base.settings.workers,
        uniform=_uniform,
        on_sync=base.metrics.observe_sync,
        on_gone=lambda key: base.metrics.forget(*key),
    )


def _grants(settings: Settings, inventory: Inventory, tokens: TokenService) -> Grants:
    return Grants(
        inventory=inventory,
        tokens=tokens,
        queue=WorkQueue(time.monotonic),
        clock=time.time,
        uniform=_uniform,
        workers=settings.refresh_workers,
        time_scale=settings.refresh_time_scale,
    )


def _clock_watch(inventory: Inventory, grants: Grants, dispatcher: Dispatcher) -> ClockWatch:
    def moved() -> None:
        grants.clock_moved()
        dispatcher.look_later([item.key for item in inventory.credentials()])

    return ClockWatch(wall=time.time, monotonic=time.monotonic, moved=moved)


def _resync(base: _Base, inventory: Inventory, dispatcher: Dispatcher) -> Resync:
    namespaces = base.settings.watch_namespaces
    gone, unseen = dispatcher.credential_gone, dispatcher.look_later
    return Resync(base.client, inventory, gone=gone, unseen=unseen, namespaces=namespaces)


def _sweep(base: _Base, inventory: Inventory, dispatcher: Dispatcher, upstream: UpstreamHealth) -> Sweep:
    settings = base.settings
    return Sweep(
        store=base.store,
        secrets=base.secrets,
        inventory=inventory,
        health=upstream,
        changed=dispatcher.changed,
        look_later=dispatcher.look_later,
        on_success=base.metrics.sweep_succeeded,
        clock=time.monotonic,
        wall=time.time,
        interval=settings.secrets_sweep_interval_s,
        full_interval=settings.secrets_full_sweep_interval_s,
        poll_interval=max(_SHORTEST_POLL, settings.secrets_cache_duration_ms / 1000),
    )


def _health(
    base: _Base,
    inventory: Inventory,
    queue: WorkQueue,
    dispatcher: Dispatcher,
    grants: Grants,
    upstream: UpstreamHealth,
    unbound: Unbound,
) -> Health:
    health = Health(
        inventory=inventory,
        queue=queue,
        dispatcher=dispatcher,
        grants=grants,
        secrets=base.secrets,
        upstream=upstream,
        unbound=unbound,
        is_leader=lambda: base.elector.is_leader,
        clock=time.monotonic,
        resync_interval=base.settings.resync_interval_s,
    )
    base.metrics.bind(health)
    return health


def _http(base: _Base, health: Health) -> HttpServer:
    return HttpServer(
        health=health,
        metrics=base.metrics,
        authorizer=ReviewsAuthorizer(base.client),
        host=base.settings.http_host,
        port=base.settings.http_port,
    )


def _departures(
    settings: Settings, inventory: Inventory, client: KubeClient, revocations: RevocationService
) -> Departures:
    alone = settings.exclusive_refresh or not settings.use_aws_secrets
    return Departures(
        inventory=inventory,
        revocations=revocations,
        finalizers=FinalizersApi(client),
        events=EventsApi(client, instance=settings.pod_name),
        queue=WorkQueue(time.monotonic),
        allowed=alone or settings.allow_shared_revocation,
        timeout=timedelta(seconds=settings.revocation_timeout_s),
        now=lambda: datetime.now(UTC),
        clock=time.monotonic,
        uniform=_uniform,
    )


def _store(settings: Settings, metrics: Metrics) -> SecretStore:
    if settings.use_aws_secrets:
        from tolstoy_operator.stores.secretsmanager import Limits, SecretsManagerStore

        limits = Limits(write=settings.secrets_writes_per_second)
        return SecretsManagerStore(region=settings.aws_region, on_call=metrics.observe_upstream_call, limits=limits)
    from tolstoy_operator.stores.sqlite import SqliteStore

    return SqliteStore(settings.sqlite_path)


async def _learn_cluster(client: KubeClient, protocol: RefreshParts) -> None:
    """What tells this cluster from others, as is the custom: the UID of its namespace kube-system."""
    if not protocol.cluster:
        protocol.cluster = str((await client.get(f"{paths.NAMESPACES}/kube-system"))["metadata"]["uid"])


def _protocol(settings: Settings, client: KubeClient, store: SecretStore) -> RefreshParts:
    return RefreshParts(
        store=store,
        journal=KubeJournal(client, settings.pod_namespace),
        clocks=SystemClocks(),
        random=SystemRandom(),
        owner=settings.pod_name,
        cluster=settings.cluster_id,
        rules=RefreshRules().scaled(settings.refresh_time_scale),
        exclusive=settings.exclusive_refresh,
        sole_writer=settings.sole_writer,
    )


def _tokens(
    settings: Settings, protocol: RefreshParts, *, secrets: SecretsService, metrics: Metrics
) -> tuple[TokenService, RevocationService]:
    endpoints = endpoints_of(settings, protocol.rules.request_deadline_s)
    tokens = TokenService(
        refresher=Refresher(protocol),
        endpoints=endpoints,
        secrets=secrets,
        clock=time.time,
        on_refresh=metrics.observe_refresh,
        on_check=metrics.observe_check,
        validates=settings.validate_tokens,
    )
    revocations = RevocationService(
        revoker=Revoker(protocol), endpoints=endpoints, secrets=secrets, on_revocation=metrics.observe_revocation
    )
    return tokens, revocations


def _elector(settings: Settings, client: KubeClient, on_lost: Callable[[], None]) -> Elector:
    if not settings.leader_election:
        return SoleReplica()
    return LeaseElector(
        LeasesApi(client, settings.pod_namespace, LEASE_NAME),
        new_identity(settings.pod_name),
        name=LEASE_NAME,
        on_stopped=on_lost,
    )


def _uniform(low: float, high: float) -> float:
    return random.uniform(low, high)  # noqa: S311 - spreads retries
