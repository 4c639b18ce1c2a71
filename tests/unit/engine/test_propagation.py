"""Pods are touched after a change, in bounds, and whatever happens to it no sync notices."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from tests.unit.engine.world import SHOP, UPSTREAM, Clock, World
from tolstoy_operator.api import names
from tolstoy_operator.api.v1 import CredentialType
from tolstoy_operator.domain.refresh import OldAccessToken
from tolstoy_operator.engine.change import Change
from tolstoy_operator.engine.propagation import RETRY_PAUSES, SETTLE, Propagator
from tolstoy_operator.engine.workqueue import WorkQueue
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.client import KubeClient
from tolstoy_operator.kube.errors import Forbidden, KubeError, KubeUnavailable, NotFound, Unprocessable
from tolstoy_operator.kube.pods import PodsApi
from tolstoy_operator.stores.ratelimit import TokenBucket


class Bench:
    """A propagator in a world. Time passes only where it waits."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.clock = Clock()
        self.slept: list[float] = []
        self.touched: list[str] = []
        self.queue = WorkQueue(self.clock)
        self.propagator = Propagator(
            inventory=world.inventory,
            pods=PodsApi(cast(KubeClient, world.kube)),
            queue=self.queue,
            bucket=TokenBucket(10, clock=self.clock, sleep=self._sleep),
            old_token=lambda name: OldAccessToken.UNKNOWN,
            on_touch=lambda outcome, seconds: self.touched.append(outcome),
            clock=self.clock,
            sleep=self._sleep,
        )

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.now += seconds
        await asyncio.sleep(0)

    def pod(self, name: str, *, phase: str = "Running") -> None:
        mount = {"name": "v", "mountPath": "/x"}
        spec = {
            "containers": [{"name": "web", "volumeMounts": [mount]}],
            "volumes": [{"name": "v", "secret": {"secretName": "github"}}],
        }
        self.world.kube.put(paths.pods(SHOP, name), {"metadata": {}, "spec": spec, "status": {"phase": phase}})

    def told(self, name: str) -> str | None:
        body = self.world.kube.find(paths.pods(SHOP, name))
        assert body is not None
        found: dict[str, Any] = body["metadata"].get("annotations") or {}
        return found.get(names.SECRET_CHANGED)

    async def change(self, text: str) -> str:
        """The upstream value changes and is mirrored. Returns the version of the Secret."""
        self.world.store.write(UPSTREAM, {"apiKey": text})
        self.world.secrets.invalidate(UPSTREAM)
        await self.world.reconcile()
        for key, change in self.world.data_changes:
            credential = self.world.inventory.credential(key)
            assert credential is not None
            self.propagator.data_changed(credential, change)
        self.world.data_changes.clear()
        secret = self.world.inventory.secret((SHOP, "github"))
        assert secret is not None
        return str(secret.version)

    async def rest(self) -> None:
        """Until nothing is queued, in hand or due."""
        for _ in range(10_000):
            await asyncio.sleep(0)
            if not self.queue.depth and not self.queue.running:
                return
        raise AssertionError("it does not come to rest")

    def lists(self) -> int:
        return self.world.kube.lists.count(paths.pods(SHOP))


@pytest.fixture
async def bench(world: World) -> AsyncIterator[Bench]:
    world.credential(target={"propagation": "Immediate"})
    world.deliver()
    bench = Bench(world)
    work = asyncio.create_task(bench.propagator.run())
    yield bench
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work


async def test_a_change_is_told_to_the_pods(bench: Bench) -> None:
    bench.pod("web-1")
    bench.pod("starting", phase="Pending")
    version = await bench.change("second")
    await bench.rest()
    assert (bench.told("web-1"), bench.told("starting")) == (version, None)
    assert bench.touched == ["ok"]
    assert bench.slept[0] == SETTLE


async def test_no_change_is_no_request(bench: Bench) -> None:
    await bench.change("second")
    await bench.rest()
    before = bench.lists()
    await bench.change("second")
    await bench.rest()
    assert bench.lists() == before == 1


async def test_kubelet_means_no_request(bench: Bench) -> None:
    bench.world.credential(target={"propagation": "Kubelet"})
    bench.world.deliver()
    await bench.change("second")
    await bench.rest()
    assert bench.lists() == 0


async def test_changes_that_come_together_share_a_list(bench: Bench) -> None:
    bench.pod("web-1")
    await bench.change("second")
    credential = bench.world.inventory.credential((SHOP, "github"))
    assert credential is not None
    for _ in range(5):
        bench.propagator.data_changed(credential, Change(CredentialType.API_KEY, anew=True))
    await bench.rest()
    assert (bench.lists(), bench.touched) == (1, ["ok"])


async def test_touches_have_a_rate(bench: Bench) -> None:
    for number in range(30):
        bench.pod(f"web-{number}")
    started = bench.clock()
    await bench.change("second")
    await bench.rest()
    assert bench.touched == ["ok"] * 30
    assert bench.clock() - started >= 2  # ten at once, and ten a second


@pytest.mark.parametrize("part", ["/pods", "/pods/web-1"])
async def test_what_fails_is_tried_again_and_then_left(bench: Bench, part: str) -> None:
    bench.pod("web-1")
    bench.pod("web-2")
    bench.world.kube.fail("LIST" if part == "/pods" else "PATCH", part, KubeUnavailable(503))
    await bench.change("second")
    await bench.rest()
    tries = [pause for pause in RETRY_PAUSES if await _passes(bench, pause)]
    assert tries == list(RETRY_PAUSES)
    assert bench.touched.count("KubeUnavailable") == 1 + len(RETRY_PAUSES)
    assert not bench.queue.knows((SHOP, ""))
    if part == "/pods/web-1":
        assert bench.touched.count("ok") == 1  # the other one, once


async def _passes(bench: Bench, pause: float) -> bool:
    """Let a due time come; whether there was one."""
    due = bench.queue.knows((SHOP, ""))
    bench.clock.now += pause
    bench.queue.add((SHOP, ""), 1)  # type: ignore[arg-type]
    await bench.rest()
    return due


async def test_a_later_try_heals(bench: Bench) -> None:
    bench.pod("web-1")
    bench.world.kube.fail("PATCH", "/pods/web-1", KubeUnavailable(503), times=1)
    version = await bench.change("second")
    await bench.rest()
    assert bench.told("web-1") is None
    assert await _passes(bench, RETRY_PAUSES[0])
    assert bench.told("web-1") == version


@pytest.mark.parametrize(
    ("verb", "error"),
    [("LIST", Forbidden()), ("PATCH", Forbidden()), ("PATCH", Unprocessable()), ("PATCH", NotFound())],
)
async def test_what_no_other_try_changes_is_not_tried_again(bench: Bench, verb: str, error: KubeError) -> None:
    bench.pod("web-1")
    bench.world.kube.fail(verb, "/pods", error)
    await bench.change("second")
    await bench.rest()
    assert not bench.queue.knows((SHOP, ""))
    assert bench.touched == ([] if isinstance(error, NotFound) else [type(error).__name__])


async def test_only_data_counts(world: World) -> None:
    """Labels of the Secret are nothing that a file shows."""
    world.credential()
    await world.settle()
    assert world.data_changes == [((SHOP, "github"), Change(CredentialType.API_KEY, anew=False))]
    world.credential(target={"labels": {"app": "web"}})
    await world.settle()
    assert len(world.data_changes) == 1
    world.kube.edit(paths.secrets(SHOP, "github"), lambda body: body["data"].update(apiKey="eA=="))
    await world.settle()
    assert len(world.data_changes) == 2
