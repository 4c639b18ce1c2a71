"""Restarts wait for quiet, come once, and what becomes of them is an Event."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, cast

from tests.support.virtualtime import run_virtual
from tests.unit.engine.world import SHOP, World
from tolstoy_operator.api.names import RESTARTED_AT
from tolstoy_operator.api.v1 import CredentialType
from tolstoy_operator.engine.change import Change
from tolstoy_operator.engine.restarts import LONGEST_WAIT, QUIET, RETRY_PAUSE, TRIES, Restarts
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.client import KubeClient
from tolstoy_operator.kube.errors import Forbidden, KubeUnavailable
from tolstoy_operator.kube.events import EventsApi
from tolstoy_operator.kube.workloads import WorkloadsApi

WEB = {"kind": "Deployment", "name": "web"}
DB = {"kind": "StatefulSet", "name": "db"}
MOMENT = 0.001
NEWS = Change(CredentialType.API_KEY, anew=True)


class Bench:
    """Restarts in a world, in virtual time."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.clock = asyncio.get_running_loop().time
        self.outcomes: list[str] = []
        client = cast(KubeClient, world.kube)
        self.restarts = Restarts(
            workloads=WorkloadsApi(client),
            events=EventsApi(client, instance="pod-1"),
            now=lambda: datetime.fromtimestamp(self.clock(), UTC),
            clock=self.clock,
            on_restart=self.outcomes.append,
        )
        self.task = asyncio.create_task(self.restarts.run())

    def workload(self, plural: str = "deployments", name: str = "web") -> None:
        template: dict[str, Any] = {"metadata": {}, "spec": {"containers": []}}
        self.world.kube.put(paths.apps(SHOP, plural, name), {"metadata": {}, "spec": {"template": template}})

    def restarted(self, plural: str = "deployments", name: str = "web") -> str | None:
        body = self.world.kube.find(paths.apps(SHOP, plural, name))
        assert body is not None
        found: dict[str, Any] = body["spec"]["template"]["metadata"].get("annotations") or {}
        return found.get(RESTARTED_AT)

    def change(self, *targets: dict[str, str], name: str = "github", change: Change = NEWS) -> None:
        self.world.credential(name, restartTargets=list(targets))
        self.world.deliver()
        credential = self.world.inventory.credential((SHOP, name))
        assert credential is not None
        self.restarts.data_changed(credential, change)

    async def pass_(self, seconds: float) -> None:
        await asyncio.sleep(seconds + MOMENT)

    async def stop(self) -> None:
        self.restarts.stop()
        await self.task


Story = Callable[[Bench], Coroutine[Any, Any, None]]


def virtual(story: Story) -> Callable[[World], None]:
    """A test whose seconds pass at once."""

    def test(world: World) -> None:
        async def run() -> None:
            bench = Bench(world)
            await story(bench)
            await bench.stop()

        run_virtual(run())

    return test


@virtual
async def test_a_restart_comes_after_quiet(bench: Bench) -> None:
    bench.workload()
    bench.workload("statefulsets", "db")
    bench.change(WEB, DB)
    await bench.pass_(QUIET - 1)
    assert bench.restarted() is None
    await bench.pass_(1)
    at = datetime.fromtimestamp(bench.clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert (bench.restarted(), bench.restarted("statefulsets", "db")) == (at, at)
    assert set(bench.world.events()) == {"Restarted"}
    assert bench.outcomes == ["ok", "ok"]
    await bench.pass_(LONGEST_WAIT)
    assert bench.outcomes == ["ok", "ok"]


@virtual
async def test_changes_that_come_together_are_one_restart(bench: Bench) -> None:
    bench.workload()
    bench.change(WEB)
    await bench.pass_(QUIET - 1)
    bench.change(WEB, name="gitlab")
    await bench.pass_(QUIET - 1)
    assert bench.restarted() is None
    await bench.pass_(1)
    assert bench.outcomes == ["ok"]
    assert bench.world.events() == ["Restarted", "Restarted"]  # one of each credential


@virtual
async def test_what_never_rests_is_restarted_all_the_same(bench: Bench) -> None:
    bench.workload()
    waited = 0.0
    bench.change(WEB)
    while not bench.outcomes:
        await bench.pass_(QUIET - 1)
        waited += QUIET - 1
        bench.change(WEB)
    assert LONGEST_WAIT <= waited < LONGEST_WAIT + QUIET
    await bench.pass_(0)


@virtual
async def test_a_refresh_is_no_reason(bench: Bench) -> None:
    bench.workload()
    bench.change(WEB, change=Change(CredentialType.OAUTH2, anew=False))
    await bench.pass_(LONGEST_WAIT)
    assert bench.restarted() is None


@virtual
async def test_who_is_told_to_stop_does_what_waits_at_once(bench: Bench) -> None:
    bench.workload()
    bench.change(WEB)
    await bench.pass_(0)
    assert bench.restarted() is None
    await bench.stop()
    assert bench.restarted() is not None


@virtual
async def test_a_workload_that_is_not_there_is_told(bench: Bench) -> None:
    bench.change(WEB)
    await bench.pass_(QUIET)
    assert (bench.world.events(), bench.outcomes) == (["RestartFailed"], ["NotFound"])
    await bench.pass_(RETRY_PAUSE * TRIES)
    assert bench.outcomes == ["NotFound"]


@virtual
async def test_a_missing_right_is_told(bench: Bench) -> None:
    bench.workload()
    bench.world.kube.fail("PATCH", "/deployments", Forbidden())
    bench.change(WEB)
    await bench.pass_(QUIET)
    assert (bench.world.events(), bench.outcomes) == (["RestartFailed"], ["Forbidden"])


@virtual
async def test_an_api_server_that_is_away_is_asked_again(bench: Bench) -> None:
    bench.workload()
    bench.world.kube.fail("PATCH", "/deployments", KubeUnavailable(503), times=TRIES - 1)
    bench.change(WEB)
    await bench.pass_(QUIET)
    for _ in range(TRIES - 1):
        assert bench.restarted() is None
        await bench.pass_(RETRY_PAUSE)
    assert bench.restarted() is not None
    assert bench.world.events() == ["Restarted"]


@virtual
async def test_and_in_the_end_given_up(bench: Bench) -> None:
    bench.workload()
    bench.world.kube.fail("PATCH", "/deployments", KubeUnavailable(503))
    bench.change(WEB)
    await bench.pass_(QUIET)
    for _ in range(TRIES + 2):
        await bench.pass_(RETRY_PAUSE)
    assert bench.outcomes == ["KubeUnavailable"] * TRIES
    assert bench.world.events() == ["RestartFailed"]
