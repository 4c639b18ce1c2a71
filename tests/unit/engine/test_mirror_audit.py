"""One line for each thing that was done to a Secret of the cluster, or tried: for whom, and how it ended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.fakekube import Request
from tests.unit.engine.world import GRACE, SHOP, UPSTREAM, World
from tolstoy_operator.api import names
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.errors import Conflict, Forbidden, KubeError, KubeUnavailable, NotFound, Unprocessable
from tolstoy_operator.observability.audit import Actor, Entry, Operation

GITHUB = paths.secrets(SHOP, "github")
MERGE = {"name": "web", "creationPolicy": "Merge"}


def told(world: World) -> list[tuple[str, str]]:
    """Operation and outcome of each line since the last call."""
    done = [(entry.operation.value, entry.outcome) for entry in world.audited]
    world.audited.clear()
    return done


def version(world: World) -> str:
    return str(world.status()["upstream"]["versionId"])


def entry(world: World, operation: Operation, outcome: str = "ok", *, target: str = "github") -> Entry:
    """A line of the credential, whose value is the one that its status tells of."""
    return Entry(operation, UPSTREAM, outcome, Actor(SHOP, "github", world.uid()), version(world), target)


async def mirrored(world: World, **target: Any) -> None:
    world.put_secret("web", {"theirs": "x"}, annotations={names.ALLOW_MERGE: "github"})
    world.credential(target=target)
    await world.settle()


class TestMirror:
    @pytest.mark.parametrize("target", [{"name": "github"}, MERGE], ids=["own", "merge"])
    async def test_each_write_is_told_and_a_look_that_writes_nothing_is_not(
        self, world: World, target: dict[str, str]
    ) -> None:
        await mirrored(world, **target)
        assert world.audited == [entry(world, Operation.MIRROR, target=target["name"])]
        await world.look_at_all()
        world.secrets.note_version(UPSTREAM, world.store.write(UPSTREAM, {"apiKey": "second"}))
        await world.look_at_all()
        assert world.audited[1:] == [entry(world, Operation.MIRROR, target=target["name"])]
        assert world.audited[0].version != world.audited[1].version

    @pytest.mark.parametrize("error", [Forbidden(), Unprocessable(reason="Invalid"), KubeUnavailable()])
    @pytest.mark.parametrize(("verb", "target"), [("POST", {"name": "github"}), ("PATCH", MERGE)], ids=["own", "merge"])
    async def test_a_refused_one_is_told_by_the_class_of_its_error(
        self, world: World, verb: str, target: dict[str, str], error: KubeError
    ) -> None:
        world.kube.fail(verb, "/secrets", error, times=1)
        await mirrored(world, **target)
        assert told(world)[0] == ("mirror", type(error).__name__)

    async def test_what_belongs_to_somebody_else_is_told_by_the_reason(self, world: World) -> None:
        world.put_secret("github", {"theirs": "x"})
        await mirrored(world)
        (line,) = world.audited
        assert (line.operation, line.outcome, line.target) == (Operation.MIRROR, "TargetConflict", "github")

    async def test_one_that_somebody_was_faster_than_is_told_once_by_how_it_ended(self, world: World) -> None:
        await mirrored(world)
        world.secrets.note_version(UPSTREAM, world.store.write(UPSTREAM, {"apiKey": "second"}))
        told(world)
        world.kube.meanwhile = lambda _: world.kube.edit(GITHUB, lambda body: body["data"].update(more="eA=="))
        await world.look_at_all()
        assert told(world) == [("mirror", "ok")]

    async def test_one_that_was_cancelled_may_have_been_carried_out(self, world: World) -> None:
        def cancelled(_: Request) -> None:
            raise asyncio.CancelledError

        world.credential()
        world.deliver()
        world.kube.meanwhile = cancelled
        with pytest.raises(asyncio.CancelledError):
            await world.reconcile()
        assert told(world) == [("mirror", "CancelledError")]


class TestWithdraw:
    @pytest.mark.parametrize("target", [{"name": "github"}, MERGE], ids=["own", "merge"])
    async def test_what_an_unbound_namespace_may_not_have(self, world: World, target: dict[str, str]) -> None:
        await mirrored(world, **target)
        before = version(world)
        told(world)
        world.namespace(orgs="")
        await world.settle()
        world.clock.now += GRACE
        world.kube.fail("DELETE" if target is not MERGE else "PATCH", "/secrets/", KubeUnavailable(), times=1)
        await world.look_at_all()
        lost, done = world.audited
        assert (lost.outcome, done.outcome) == ("KubeUnavailable", "ok")
        assert done.actor == Actor(SHOP, "github", world.uid())
        for line in (lost, done):
            assert (line.operation, line.secret, line.version) == (Operation.WITHDRAW, UPSTREAM, before)
            assert line.target == target["name"]

    @pytest.mark.parametrize("error", [Conflict(), NotFound()])
    async def test_what_has_changed_or_gone_meanwhile(self, world: World, error: KubeError) -> None:
        await mirrored(world)
        told(world)
        world.kube.fail("DELETE", "/secrets/", error, times=1)
        world.credential(target={"name": "other"})
        world.deliver()
        await world.reconcile()
        assert told(world) == [("mirror", "ok"), ("withdraw", type(error).__name__)]

    @pytest.mark.parametrize("target", [{"name": "github"}, MERGE], ids=["own", "merge"])
    async def test_keys_whose_grant_is_taken_back(self, world: World, target: dict[str, str]) -> None:
        world.store.write(UPSTREAM, {"accessToken": "a1", "refreshToken": "r1"})
        world.namespace(allow_sensitive_keys="true")
        await mirrored(world, **target, keys=["accessToken", "refreshToken"])
        told(world)
        world.namespace()
        await world.settle()
        assert world.audited == [entry(world, Operation.WITHDRAW, target=target["name"])]

    async def test_a_secret_that_cannot_be_without_them_goes_after_it_was_tried(self, world: World) -> None:
        world.store.write(UPSTREAM, {"accessToken": "a1", "refreshToken": "r1"})
        world.namespace(allow_sensitive_keys="true")
        await mirrored(world, keys=["accessToken", "refreshToken"])
        told(world)
        world.kube.fail("PATCH", "/secrets/github", Unprocessable(reason="Invalid"), times=1)
        world.namespace()
        await world.settle()
        assert told(world)[:2] == [("withdraw", "Unprocessable"), ("withdraw", "ok")]

    async def test_keys_of_a_credential_that_is_gone_are_from_where_they_were_merged(self, world: World) -> None:
        await mirrored(world, **MERGE)
        done = entry(world, Operation.WITHDRAW, target="web")
        told(world)
        world.delete_credential()
        await world.settle()
        world.kube.fail("PATCH", "/secrets/web", Conflict(), times=1)
        await world.janitor.clean()
        assert told(world) == [("withdraw", "Conflict")]
        await world.janitor.clean()
        assert world.audited == [done]

    async def test_unless_it_went_while_nobody_was_there_to_remember(self, world: World) -> None:
        await mirrored(world, **MERGE)
        uid = world.uid()
        told(world)
        world.delete_credential()
        world.restart()
        await world.janitor.clean()
        assert world.audited == [Entry(Operation.WITHDRAW, None, "ok", Actor(SHOP, "github", uid), None, "web")]
