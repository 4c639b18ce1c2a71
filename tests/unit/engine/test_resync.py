"""Lists repair what the watches missed, and lose nothing when they fail half-way."""

from __future__ import annotations

from typing import cast

import pytest

from tests.support.fakekube import FakeKube
from tests.unit.engine.world import SHOP, World
from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.engine.inventory import Inventory
from tolstoy_operator.engine.records import Key
from tolstoy_operator.engine.resync import Resync
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.client import KubeClient
from tolstoy_operator.kube.errors import Forbidden, Gone, KubeError, KubeUnavailable, NotFound

GITHUB = (SHOP, "github")
SECRET = paths.secrets(*GITHUB)


class Bench:
    """Lists of a fake API server; nothing is watched."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.kube: FakeKube = world.kube
        self.inventory: Inventory = world.inventory
        self.gone: list[Key] = []
        self.unseen: list[Key] = []
        self.resync = self.new_resync()

    def new_resync(self, *namespaces: str) -> Resync:
        return Resync(
            cast(KubeClient, self.kube),
            self.inventory,
            gone=self._gone,
            unseen=self.unseen.extend,
            namespaces=namespaces,
        )

    def _gone(self, key: Key, uid: str) -> None:
        self.gone.append(key)
        self.inventory.forget_credential(key, uid)


@pytest.fixture
def bench(world: World) -> Bench:
    return Bench(world)


async def test_the_first_run_fills_the_inventory(bench: Bench) -> None:
    for name in ("github", "b", "c", "d", "e"):  # more than a page
        bench.world.credential(name)
    bench.world.put_secret("theirs", {"a": "b"})
    bench.world.put_secret("ours", {"a": "b"}, labels={"tolstoy.dev/managed": "true"})
    assert len(await bench.resync.run()) == 5
    assert bench.inventory.namespace(SHOP) is not None
    assert bench.inventory.secret((SHOP, "ours")) is not None
    assert bench.inventory.secret((SHOP, "theirs")) is None, "Secrets of others are none of our business"


async def test_a_second_run_has_no_news(bench: Bench) -> None:
    bench.world.credential()
    await bench.resync.run()
    assert await bench.resync.run() == frozenset()
    assert bench.gone == []


async def test_what_the_watch_missed_is_found(bench: Bench) -> None:
    bench.world.credential()
    await bench.resync.run()
    await bench.world.settle()
    await bench.world.look_at_all()
    bench.world.credential(suspend=True)
    bench.world.namespace(orgs="other")
    bench.kube.remove(paths.secrets(SHOP, "github"))
    assert await bench.resync.run() == {GITHUB}
    assert bench.inventory.secret(GITHUB) is None


async def test_a_secret_without_its_label_is_looked_for_again_and_is_no_news_of_a_list(bench: Bench) -> None:
    """No list and no watch shows it. A list with news of which no watch told would mean that the watches are dead."""
    bench.world.credential()
    await bench.world.settle()
    bench.world.credential(suspend=True)
    await bench.world.settle()
    bench.kube.edit(SECRET, lambda body: body["metadata"]["labels"].pop("tolstoy.dev/managed"))
    await bench.world.settle()
    for times in range(1, 4):
        assert bench.inventory.secret(GITHUB) is not None, "somebody has looked for it"
        assert await bench.resync.run() == frozenset()
        assert bench.unseen == [GITHUB] * times
        assert await bench.world.reconcile() == (Reason.SUSPENDED, None)
    bench.kube.remove(SECRET)
    await bench.resync.run()
    await bench.world.settle()
    await bench.world.reconcile()
    assert "target" not in bench.world.status(), "and that it went is noticed"


async def test_what_vanished_is_forgotten(bench: Bench) -> None:
    bench.world.credential()
    await bench.resync.run()
    bench.world.delete_credential()
    bench.kube.remove(f"{paths.NAMESPACES}/{SHOP}")
    await bench.resync.run()
    assert bench.gone == [GITHUB]
    assert bench.inventory.namespace(SHOP) is None


async def test_what_came_while_it_was_listed_stays(bench: Bench) -> None:
    bench.world.credential("first")
    bench.world.deliver()

    pages = bench.kube.list_pages

    async def list_pages(path: str, *, selector: str | None = None) -> object:
        async for page in pages(path, selector=selector):
            if path == paths.CREDENTIALS:
                bench.world.credential("late")
                bench.world.deliver()
            yield page

    bench.kube.list_pages = list_pages  # type: ignore[assignment, method-assign]
    await bench.resync.run()
    assert bench.gone == []
    assert bench.inventory.credential((SHOP, "late")) is not None


async def test_what_went_while_it_was_listed_does_not_come_back(bench: Bench) -> None:
    bench.world.credential()
    bench.world.deliver()
    live = bench.inventory.credential(GITHUB)
    assert live is not None
    pages = bench.kube.list_pages

    async def list_pages(path: str, *, selector: str | None = None) -> object:
        async for page in pages(path, selector=selector):
            if path == paths.CREDENTIALS:
                bench.inventory.forget_credential(GITHUB, live.uid)
            yield page

    bench.kube.list_pages = list_pages  # type: ignore[assignment, method-assign]
    await bench.resync.run()
    assert bench.inventory.credential(GITHUB) is None


async def test_a_list_that_took_too_long_starts_over_and_keeps_its_news(bench: Bench) -> None:
    for name in ("a", "b", "c"):
        bench.world.credential(name)
    pages, calls = bench.kube.list_pages, 0

    async def list_pages(path: str, *, selector: str | None = None) -> object:
        nonlocal calls
        async for page in pages(path, selector=selector):
            yield page
            calls += path == paths.CREDENTIALS
            if path == paths.CREDENTIALS and calls == 1:
                raise Gone

    bench.kube.list_pages = list_pages  # type: ignore[assignment, method-assign]
    assert len(await bench.resync.run()) == 3


async def test_news_of_a_run_that_failed_come_with_the_next(bench: Bench) -> None:
    bench.world.credential()
    await bench.resync.run()
    bench.world.namespace(orgs="other")
    bench.kube.fail("LIST", "toolcredentials", KubeUnavailable(), times=1)
    with pytest.raises(KubeUnavailable):
        await bench.resync.run()
    assert await bench.resync.run() == {GITHUB}
    assert await bench.resync.run() == frozenset()


async def test_a_list_that_never_gets_done_is_an_error(bench: Bench) -> None:
    bench.kube.fail("LIST", "secrets", Gone())
    with pytest.raises(Gone):
        await bench.resync.run()


async def test_one_object_that_nobody_expected_keeps_nobody_from_the_others(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.world.credential()
    bench.world.credential("odd")
    bench.kube.edit(paths.credential(SHOP, "odd"), lambda body: body["metadata"].update(generation="not a number"))
    assert await bench.resync.run() == {GITHUB}
    assert "not understood" in caplog.text


class TestSomeNamespaces:
    """An operator that may not list the cluster."""

    @pytest.fixture
    def bench(self, world: World) -> Bench:
        bench = Bench(world)
        bench.resync = bench.new_resync(SHOP, "elsewhere")
        world.namespace("elsewhere")
        world.namespace("other")
        world.credential()
        world.credential("theirs", namespace="other")
        return bench

    async def test_only_they_are_listed(self, bench: Bench) -> None:
        assert await bench.resync.run() == {GITHUB}
        assert bench.inventory.credential(("other", "theirs")) is None
        assert bench.inventory.namespace("other") is None
        assert not {paths.NAMESPACES, paths.SECRETS, paths.CREDENTIALS} & set(bench.kube.lists)

    async def test_what_vanished_from_one_is_forgotten(self, bench: Bench) -> None:
        bench.world.credential("second", namespace="elsewhere")
        bench.world.put_secret("ours", {"a": "b"}, labels={"tolstoy.dev/managed": "true"})
        await bench.resync.run()
        bench.world.delete_credential()
        bench.kube.remove(paths.secrets(SHOP, "ours"))
        await bench.resync.run()
        assert bench.gone == [GITHUB]
        assert bench.inventory.secret((SHOP, "ours")) is None
        assert bench.inventory.credential(("elsewhere", "second")) is not None

    async def test_a_binding_that_changed_is_found(self, bench: Bench) -> None:
        await bench.resync.run()
        assert await bench.resync.bindings() == frozenset()
        bench.world.namespace(orgs="other")
        assert await bench.resync.bindings() == {GITHUB}

    async def test_a_binding_that_changed_is_told_although_the_next_cannot_be_read(self, bench: Bench) -> None:
        await bench.resync.run()
        bench.world.namespace(orgs="other")
        bench.kube.fail("GET", "/namespaces/elsewhere", KubeUnavailable(), times=1)
        with pytest.raises(KubeUnavailable):
            await bench.resync.bindings()
        assert await bench.resync.bindings() == {GITHUB}
        assert await bench.resync.bindings() == frozenset()

    @pytest.mark.parametrize("error", [Forbidden(), NotFound()])
    async def test_one_that_cannot_be_read_is_no_news_and_no_obstacle(self, bench: Bench, error: KubeError) -> None:
        await bench.resync.run()
        bench.kube.fail("GET", f"/namespaces/{SHOP}", error)
        bench.kube.fail("LIST", f"/namespaces/{SHOP}/", Forbidden())
        bench.world.credential("second", namespace="elsewhere")
        assert await bench.resync.run() == {("elsewhere", "second")}
        assert bench.gone == []
        assert bench.inventory.credential(GITHUB) is not None
