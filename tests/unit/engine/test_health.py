"""What counts as alive and as ready, and that what is told holds names only where it may."""

from __future__ import annotations

import json
from typing import cast

import pytest

from tests.support.objects import credential_object
from tests.unit.engine.world import Clock
from tolstoy_operator.domain.existing import fingerprint_with
from tolstoy_operator.engine.bindings import Unbound
from tolstoy_operator.engine.dispatcher import Dispatcher
from tolstoy_operator.engine.grants import Grants
from tolstoy_operator.engine.health import STUCK_AFTER, Health
from tolstoy_operator.engine.inventory import Inventory
from tolstoy_operator.engine.upstream import UpstreamHealth
from tolstoy_operator.engine.workqueue import Priority, WorkQueue
from tolstoy_operator.services.secrets import SecretsService, SecretsStats

KEY = ("shop", "github")
RESYNC = 600.0


class FakeDispatcher:
    """Says when it last finished something."""

    def __init__(self, clock: Clock) -> None:
        self.last_finished = clock()
        self.last_observed = float("-inf")

    def failures(self, key: object) -> int:
        return 2 if key == KEY else 0


class FakeGrants:
    """Has figures."""

    def oldest_overdue(self) -> float:
        return 11

    def tools(self) -> set[str]:
        return {"github"}


class FakeSecrets:
    """Has figures."""

    def stats(self) -> SecretsStats:
        return SecretsStats(1, 2, 3, 4, 5, 6, 7, 8, 9)


class Bench:
    """A health with everything it asks."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.inventory = Inventory(fingerprint_with(b"key"))
        self.queue = WorkQueue(self.clock)
        self.dispatcher = FakeDispatcher(self.clock)
        self.upstream = UpstreamHealth(self.clock)
        self.health = Health(
            inventory=self.inventory,
            queue=self.queue,
            dispatcher=cast(Dispatcher, self.dispatcher),
            grants=cast(Grants, FakeGrants()),
            secrets=cast(SecretsService, FakeSecrets()),
            upstream=self.upstream,
            unbound=Unbound(self.inventory, clock=self.clock, grace=600.0),
            is_leader=lambda: True,
            clock=self.clock,
            resync_interval=RESYNC,
        )

    def alive(self) -> bool:
        return all(check.ok for check in self.health.liveness())


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_it_is_ready_once_the_inventory_is_filled(bench: Bench) -> None:
    assert not all(check.ok for check in bench.health.readiness())
    bench.health.filled()
    assert all(check.ok for check in bench.health.readiness())


def test_waiting_for_the_first_list_is_no_reason_to_restart(bench: Bench) -> None:
    bench.clock.now += 100 * RESYNC
    assert bench.alive()


def test_a_queue_that_nobody_empties_is_stuck(bench: Bench) -> None:
    bench.queue.add(KEY, Priority.CHANGE)
    bench.clock.now += STUCK_AFTER
    assert bench.alive()
    bench.clock.now += 1
    assert not bench.alive()


def test_a_long_queue_that_gets_shorter_is_not(bench: Bench) -> None:
    bench.queue.add(KEY, Priority.CHANGE)
    bench.clock.now += 10 * STUCK_AFTER
    bench.dispatcher.last_finished = bench.clock()
    assert bench.alive()


def test_an_idle_replica_is_alive(bench: Bench) -> None:
    bench.health.filled()
    bench.clock.now += 2 * RESYNC
    assert bench.alive()


def test_lists_that_are_not_even_tried_are_stuck(bench: Bench) -> None:
    bench.health.filled()
    bench.clock.now += 3 * RESYNC + 1
    assert not bench.alive()
    bench.health.list_tried()
    assert bench.alive()


def test_the_summary_counts_and_names_nobody(bench: Bench) -> None:
    bench.inventory.observe_credential(credential_object())
    bench.upstream.failed()
    bench.upstream.failed()
    summary = bench.health.summary()
    assert summary["credentials"] == {"total": 1, "byReason": {"Pending": 1}}
    assert summary["secrets"]["connected"] is False
    assert summary["secrets"]["unavailableSince"].startswith("2026-05-01T12:00:00")
    assert summary["leader"] is True
    assert "github" not in json.dumps(summary)
    bench.upstream.succeeded()
    assert bench.health.summary()["secrets"]["connected"] is True


def test_details_are_of_one_namespace_or_of_all(bench: Bench) -> None:
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Synced",
        "message": "fine",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 1,
    }
    grant = {"state": "Active", "expiresAt": "2026-06-01T00:00:00Z"}
    bench.inventory.observe_credential(credential_object(status={"conditions": [ready], "grant": grant}))
    bench.inventory.observe_credential(credential_object("other", namespace="lab", uid="2"))
    assert [item["name"] for item in bench.health.detail(None)] == ["other", "github"]
    detail = bench.health.detail("shop")
    assert len(detail) == 1
    assert (
        detail[0].items()
        >= {
            "namespace": "shop",
            "name": "github",
            "ready": "True",
            "reason": "Synced",
            "expiresAt": "2026-06-01T00:00:00Z",
            "failuresInARow": 2,
        }.items()
    )
    assert bench.health.detail("lab")[0]["ready"] == "Unknown"


def test_figures_for_metrics(bench: Bench) -> None:
    bench.inventory.observe_credential(credential_object())
    bench.queue.add(KEY, Priority.CHANGE)
    bench.clock.now += 7
    assert bench.health.credentials_by_reason() == {"Pending": 1}
    assert bench.health.queue_depth() == 1
    assert bench.health.oldest_overdue_seconds() == 7
    assert bench.health.oldest_overdue_refresh_seconds() == 11
    assert bench.health.refreshed_tools() == {"github"}
    assert bench.health.is_leader()
    totals = bench.health.cache_totals()
    assert (totals.hits, totals.misses, totals.stale) == (3, 5, 8)


def test_watches_that_tell_nothing_while_lists_do_are_stuck(bench: Bench) -> None:
    def dead() -> list[str]:
        return [check.name for check in bench.health.liveness() if not check.ok]

    bench.clock.now += 1
    bench.health.listed(news=True)
    bench.clock.now += 1
    bench.health.listed(news=True)
    assert dead() == ["watches"]
    bench.dispatcher.last_observed = bench.clock()
    bench.health.listed(news=True)
    assert dead() == []


def test_a_quiet_cluster_has_quiet_watches(bench: Bench) -> None:
    for _ in range(5):
        bench.clock.now += 1
        bench.health.listed(news=False)
    assert all(check.ok for check in bench.health.liveness())
