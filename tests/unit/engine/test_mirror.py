"""Whose Secret it is, whatever others do to it: nothing is written or deleted that is not ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.fakekube import Object, Request
from tests.unit.engine.world import SHOP, UPSTREAM, World
from tolstoy_operator.api import names
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.client import APPLY_PATCH
from tolstoy_operator.kube.errors import Conflict, KubeUnavailable

GITHUB = paths.secrets(SHOP, "github")
WEB = paths.secrets(SHOP, "web")
FIRST = {"apiKey": "first"}


def set_data(**data: str) -> Callable[[Object], object]:
    return lambda body: body["data"].update(data)


def strip_label(body: Object) -> None:
    body["metadata"]["labels"].pop(names.MANAGED_LABEL)


def strip_owner(body: Object) -> None:
    body["metadata"].pop("ownerReferences")


def annotate(**annotations: str) -> Callable[[Object], object]:
    given = {key.replace("_", "-"): value for key, value in annotations.items()}
    return lambda body: body["metadata"].update(annotations={**(body["metadata"].get("annotations") or {}), **given})


async def owned(world: World, **target: Any) -> None:
    world.credential(target=target)
    await world.settle()
    world.kube.writes()


class TestDrift:
    @pytest.mark.parametrize(
        "change",
        [
            set_data(apiKey="eA=="),
            set_data(extra="eA=="),
            lambda body: body["data"].clear(),
            strip_label,
            strip_owner,
            lambda body: body["metadata"]["labels"].update({names.MANAGED_LABEL: "false"}),
            lambda body: body["metadata"].update(annotations={}),
            lambda body: body["metadata"]["ownerReferences"][0].pop("controller"),
        ],
    )
    async def test_a_manual_edit_is_reverted(self, world: World, change: Callable[[Object], object]) -> None:
        await owned(world)
        world.kube.edit(GITHUB, change)
        await world.settle()
        body = world.kube.find(GITHUB)
        assert body is not None
        assert world.data() == FIRST
        assert body["metadata"]["labels"] == {names.MANAGED_LABEL: "true"}
        assert body["metadata"]["annotations"][names.CREDENTIAL_ANNOTATION] == "github"
        assert [item["kind"] for item in body["metadata"]["ownerReferences"]] == [names.KIND]
        assert world.reason() == "Synced"
        assert len(world.kube.writes()) <= 1

    async def test_a_deleted_secret_comes_back(self, world: World) -> None:
        await owned(world)
        world.kube.remove(GITHUB)
        await world.settle()
        assert world.data() == FIRST

    async def test_labels_of_others_stay_and_ours_follow_the_spec(self, world: World) -> None:
        await owned(world, labels={"team": "a", "old": "x"}, annotations={"note": "n"})
        world.kube.edit(GITHUB, lambda body: body["metadata"]["labels"].update(theirs="y"))
        world.credential(target={"labels": {"team": "b"}})
        await world.settle()
        body = world.kube.find(GITHUB)
        assert body is not None
        assert body["metadata"]["labels"] == {"team": "b", "theirs": "y", names.MANAGED_LABEL: "true"}
        assert "note" not in body["metadata"]["annotations"]

    async def test_an_edit_at_the_very_moment_of_a_write_is_not_hidden_by_it(self, world: World) -> None:
        await owned(world)
        world.secrets.note_version(UPSTREAM, world.store.write(UPSTREAM, {"apiKey": "second"}))

        def just_before(request: Request) -> None:
            assert request.verb == "PATCH"
            world.kube.edit(GITHUB, strip_label)

        world.kube.meanwhile = just_before
        await world.look_at_all()
        body = world.kube.find(GITHUB)
        assert body is not None
        assert body["metadata"]["labels"] == {names.MANAGED_LABEL: "true"}
        assert world.data() == {"apiKey": "second"}

    async def test_somebody_who_is_always_faster_makes_it_a_later_try(self, world: World) -> None:
        await owned(world)
        world.kube.edit(GITHUB, set_data(apiKey="eA=="))
        world.deliver()

        def again(_: Request) -> None:
            body = world.kube.find(GITHUB)
            assert body is not None
            world.kube.edit(GITHUB, annotate(count=body["metadata"]["resourceVersion"]))
            world.kube.meanwhile = again

        world.kube.meanwhile = again
        with pytest.raises(Conflict):
            await world.reconcile()
        world.kube.meanwhile = None
        await world.settle()
        assert world.data() == FIRST

    async def test_a_rewrite_whose_answer_was_lost_counts_as_written(self, world: World) -> None:
        await owned(world)
        before = world.status()["target"]["lastSyncTime"]
        world.clock.now += 5
        world.kube.edit(GITHUB, set_data(apiKey="eA=="))
        world.deliver()
        write = world.kube.patch

        async def repeated_by_the_client(path: str, body: Any, **how: Any) -> Object:
            if path == GITHUB:
                await write(path, body, **how)
            return await write(path, body, **how)

        world.kube.patch = repeated_by_the_client  # type: ignore[method-assign]
        await world.reconcile()
        assert world.data() == FIRST
        assert world.status()["target"]["lastSyncTime"] != before


class TestNotOurs:
    @pytest.mark.parametrize(
        "meta",
        [
            {},
            {"labels": {names.MANAGED_LABEL: "true"}},
            {"labels": {names.MANAGED_LABEL: "true"}, "annotations": {names.CREDENTIAL_ANNOTATION: "github"}},
            {"annotations": {names.CREDENTIAL_UID_ANNOTATION: "somebody"}},
            {"ownerReferences": [{"uid": "x", "kind": "Deployment", "name": "web", "controller": True}]},
        ],
    )
    async def test_a_secret_that_exists_is_never_written(self, world: World, meta: dict[str, Any]) -> None:
        world.put_secret("github", {"theirs": "x"}, **meta)
        before = world.kube.find(GITHUB)
        world.credential()
        await world.settle()
        assert world.kube.find(GITHUB) == before
        assert world.reason() == "TargetConflict"

    async def test_the_message_names_who_has_it(self, world: World) -> None:
        owner = {"uid": "x", "kind": "Deployment", "name": "web", "controller": True}
        world.put_secret("github", {}, ownerReferences=[owner])
        world.credential()
        await world.settle()
        assert "Deployment web" in world.message()

    async def test_once_it_is_gone_the_name_is_ours(self, world: World) -> None:
        world.put_secret("github", {"theirs": "x"})
        world.credential()
        await world.settle()
        world.kube.remove(GITHUB)
        await world.look_at_all()
        assert world.data() == FIRST

    async def test_a_secret_taken_over_between_look_and_write_is_not_written(self, world: World) -> None:
        await owned(world)
        world.kube.edit(GITHUB, set_data(apiKey="eA=="))
        world.deliver()
        theirs = [{"uid": "x", "kind": "Deployment", "name": "web", "controller": True}]
        world.kube.meanwhile = lambda _: world.kube.edit(
            GITHUB, lambda body: body["metadata"].update(ownerReferences=theirs)
        )
        await world.reconcile()
        assert world.data() == {"apiKey": "x"}
        assert world.reason() == "TargetConflict"

    async def test_another_type_is_said_and_not_written(self, world: World) -> None:
        await owned(world)
        world.kube.remove(GITHUB)
        await world.settle()
        body = world.kube.find(GITHUB)
        assert body is not None
        world.kube.remove(GITHUB)
        world.kube.put(GITHUB, {**body, "type": "example.com/other"})
        await world.settle()
        assert world.reason() == "TargetConflict"
        assert "type" in world.message()

    async def test_immutable_with_another_value_is_said(self, world: World) -> None:
        await owned(world)
        world.kube.edit(GITHUB, lambda body: body.update(immutable=True))
        await world.settle()
        assert world.reason() == "Synced", "it holds what it should"
        world.secrets.note_version(UPSTREAM, world.store.write(UPSTREAM, {"apiKey": "second"}))
        world.kube.writes()
        await world.look_at_all()
        assert world.reason() == "TargetConflict"
        assert "immutable" in world.message()
        world.kube.remove(GITHUB)
        await world.settle()
        assert world.data() == {"apiKey": "second"}

    async def test_a_copy_that_a_person_made_of_ours_is_not_deleted(self, world: World) -> None:
        await owned(world)
        body = world.kube.find(GITHUB)
        assert body is not None
        meta = {key: body["metadata"][key] for key in ("labels", "annotations", "ownerReferences")}
        world.put_secret("copy", {"apiKey": "kept"}, **meta)
        world.credential(target={"name": "renamed"})
        await world.settle()
        assert world.data("copy") == {"apiKey": "kept"}
        assert world.data() is None, "the old one goes"
        assert world.data("renamed") == FIRST


class TestTwoCredentials:
    async def test_the_one_that_has_it_keeps_it(self, world: World) -> None:
        world.credential("young", target={"name": "web"})
        await world.settle()
        world.credential("old", target={"name": "other"})
        world.kube.edit(
            paths.credential(SHOP, "old"),
            lambda body: body["metadata"].update(creationTimestamp="2020-01-01T00:00:00Z"),
        )
        await world.settle()
        world.credential("old", target={"name": "web"})
        await world.settle()
        assert world.reason("young") == "Synced"
        assert world.reason("old") == "TargetConflict"
        assert "ToolCredential young" in world.message("old")
        assert world.data("other") == FIRST, "the old target stays until there is a new one"

    async def test_the_other_takes_over_when_it_goes(self, world: World) -> None:
        world.credential("one", target={"name": "web"})
        await world.settle()
        world.credential("two", target={"name": "web"})
        await world.settle()
        world.delete_credential("one")
        await world.settle()
        assert world.reason("two") == "TargetConflict", "the garbage collector has not come yet"
        world.kube.collect_garbage()
        await world.settle()
        assert world.reason("two") == "Synced"

    async def test_the_other_takes_over_when_it_is_renamed(self, world: World) -> None:
        world.credential("one", target={"name": "web"})
        await world.settle()
        world.credential("two", target={"name": "web"})
        await world.settle()
        world.credential("one", target={"name": "elsewhere"})
        await world.settle()
        assert (world.reason("one"), world.reason("two")) == ("Synced", "Synced")
        assert world.data("web") == world.data("elsewhere") == FIRST

    async def test_of_two_that_come_at_once_the_older_wins_whoever_is_looked_at_first(self, world: World) -> None:
        for name in ("b-old", "a-young"):
            world.credential(name, target={"name": "web"})
        await world.settle()
        assert (world.reason("b-old"), world.reason("a-young")) == ("Synced", "TargetConflict")

    async def test_one_that_is_going_claims_nothing(self, world: World) -> None:
        world.credential("old", target={"name": "web"})
        world.credential("young", target={"name": "web"})
        await world.settle()
        going = {"deletionTimestamp": "now", "finalizers": ["example.com/theirs"]}
        world.kube.edit(paths.credential(SHOP, "old"), lambda body: body["metadata"].update(going))
        await world.settle()
        assert world.reason("young") == "TargetConflict", "the Secret is still there"
        world.kube.remove(WEB)
        await world.settle()
        assert world.reason("young") == "Synced"


class TestRetain:
    async def retained(self, world: World) -> None:
        await owned(world, deletionPolicy="Retain")

    async def test_it_has_no_owner_and_stays(self, world: World) -> None:
        await self.retained(world)
        world.delete_credential()
        await world.settle()
        world.kube.collect_garbage()
        assert world.data() == FIRST

    async def test_a_new_credential_of_the_same_name_inherits_it(self, world: World) -> None:
        await self.retained(world)
        world.delete_credential()
        await world.settle()
        await owned(world, deletionPolicy="Retain")
        assert world.reason() == "Synced"
        world.store.write(UPSTREAM, {"apiKey": "second"})
        world.secrets.invalidate(UPSTREAM)
        await world.look_at_all()
        assert world.data() == {"apiKey": "second"}

    async def test_one_of_another_name_does_not(self, world: World) -> None:
        await self.retained(world)
        world.delete_credential()
        world.credential("other", target={"name": "github"})
        await world.settle()
        assert world.reason("other") == "TargetConflict"

    async def test_back_to_delete_and_forth(self, world: World) -> None:
        await self.retained(world)
        world.credential(target={"deletionPolicy": "Delete"})
        await world.settle()
        assert "ownerReferences" in (world.kube.find(GITHUB) or {})["metadata"]
        world.credential(target={"deletionPolicy": "Retain"})
        await world.settle()
        assert not (world.kube.find(GITHUB) or {})["metadata"].get("ownerReferences")

    async def test_taking_its_label_off_takes_it_over(self, world: World) -> None:
        await self.retained(world)
        world.kube.edit(GITHUB, strip_label)
        before = world.kube.find(GITHUB)
        await world.settle()
        assert world.kube.find(GITHUB) == before
        assert world.reason() == "TargetConflict"
        world.kube.edit(GITHUB, lambda body: body["metadata"].update(labels={names.MANAGED_LABEL: "true"}))
        await world.settle()
        assert world.reason() == "Synced", "and putting it back gives it back"


class TestLabelStripped:
    async def test_while_suspended_the_status_still_knows_the_secret(self, world: World) -> None:
        await owned(world)
        world.credential(suspend=True)
        await world.settle()
        world.kube.edit(GITHUB, strip_label)
        await world.settle()
        assert world.condition("Ready")["status"] == "True"
        world.credential(suspend=False)
        await world.settle()
        assert (world.kube.find(GITHUB) or {})["metadata"]["labels"] == {names.MANAGED_LABEL: "true"}

    async def test_what_has_become_somebody_elses_is_not_taken_for_ours(self, world: World) -> None:
        await owned(world)
        world.credential(suspend=True)
        await world.settle()
        world.kube.edit(GITHUB, strip_label)
        world.kube.edit(GITHUB, strip_owner)
        await world.settle()
        assert world.inventory.secret((SHOP, "github")) is None
        assert world.condition("Ready")["status"] == "False"

    async def test_a_secret_that_is_really_gone_is_not_ready(self, world: World) -> None:
        await owned(world)
        world.credential(suspend=True)
        await world.settle()
        world.kube.remove(GITHUB)
        await world.settle()
        assert world.condition("Ready")["status"] == "False"
        assert "target" not in world.status()


class TestMerge:
    async def merged(self, world: World, name: str = "github", **target: Any) -> None:
        if world.kube.find(WEB) is None:
            world.put_secret("web", {"theirs": "x"}, annotations={names.ALLOW_MERGE: name})
        world.credential(name, target={"name": "web", "creationPolicy": "Merge", **target})
        await world.settle()

    async def test_keys_go_in_beside_those_of_others(self, world: World) -> None:
        await self.merged(world)
        assert world.data("web") == {"theirs": "x", **FIRST}
        assert world.status()["target"]["keys"] == ["apiKey"]
        body = world.kube.find(WEB)
        assert body is not None
        assert "ownerReferences" not in body["metadata"]
        world.kube.writes()
        await world.look_at_all()
        assert world.kube.writes() == []

    async def test_it_never_creates(self, world: World) -> None:
        world.credential(target={"name": "web", "creationPolicy": "Merge"})
        await world.settle()
        assert world.reason() == "TargetConflict"
        assert world.data("web") is None

    @pytest.mark.parametrize("invited", [{}, {names.ALLOW_MERGE: "somebody-else"}])
    async def test_it_goes_only_where_it_is_invited(self, world: World, invited: dict[str, str]) -> None:
        world.put_secret("web", {"theirs": "x"}, annotations=invited)
        world.credential(target={"name": "web", "creationPolicy": "Merge"})
        await world.settle()
        assert world.reason() == "TargetConflict"
        assert world.data("web") == {"theirs": "x"}

    async def test_not_into_what_is_immutable_or_ours(self, world: World) -> None:
        world.kube.put(
            WEB, {"metadata": {"annotations": {names.ALLOW_MERGE: "github"}}, "type": "Opaque", "immutable": True}
        )
        world.credential("owner", target={"name": "api"})
        world.credential("into-ours", target={"name": "api", "creationPolicy": "Merge"})
        world.credential(target={"name": "web", "creationPolicy": "Merge"})
        await world.settle()
        await world.look_at_all()
        assert "immutable" in world.message()
        assert "belongs to ToolCredential owner" in world.message("into-ours")

    async def test_a_key_that_the_secret_has_already_is_not_taken(self, world: World) -> None:
        world.put_secret("web", {"apiKey": "theirs"}, annotations={names.ALLOW_MERGE: "github"})
        await self.merged(world)
        assert world.data("web") == {"apiKey": "theirs"}
        assert world.reason() == "TargetConflict"
        assert '"apiKey"' in world.message()

    async def test_nor_when_a_status_says_that_it_is_ours(self, world: World) -> None:
        world.put_secret("web", {"apiKey": "theirs"}, annotations={names.ALLOW_MERGE: "github"})
        await self.merged(world)
        lie = {"name": "web", "keys": ["apiKey"], "lastSyncTime": "2026-05-01T12:00:00Z"}
        world.kube.edit(paths.credential(SHOP, "github"), lambda body: body["status"].update(target=lie))
        await world.settle()
        await world.look_at_all()
        assert world.data("web") == {"apiKey": "theirs"}

    async def test_our_key_edited_while_nobody_looks_is_somebody_elses(self, world: World) -> None:
        await self.merged(world)
        world.kube.edit(WEB, set_data(apiKey="eA=="))
        world.restart()
        await world.look_at_all()
        assert world.data("web") == {"theirs": "x", "apiKey": "x"}
        assert world.reason() == "TargetConflict"
        world.kube.edit(WEB, lambda body: body["data"].pop("apiKey"))
        await world.settle()
        assert world.data("web") == {"theirs": "x", **FIRST}

    async def test_our_key_edited_by_hand_is_reverted(self, world: World) -> None:
        await self.merged(world)
        world.kube.edit(WEB, set_data(apiKey="eA=="))
        await world.settle()
        assert world.data("web") == {"theirs": "x", **FIRST}

    async def test_keys_that_are_not_wanted_any_more_go(self, world: World) -> None:
        await self.merged(world, template={"A": "${apiKey}", "B": "b"})
        await self.merged(world, template={"A": "${apiKey}"})
        assert world.data("web") == {"theirs": "x", "A": "first"}

    async def test_another_target_takes_the_keys_out_of_the_old_one(self, world: World) -> None:
        await self.merged(world)
        world.put_secret("api", {}, annotations={names.ALLOW_MERGE: "github"})
        world.credential(target={"name": "api", "creationPolicy": "Merge"})
        await world.settle()
        assert world.data("web") == {"theirs": "x"}
        assert world.data("api") == FIRST

    async def test_our_own_release_comes_back_as_no_news(self, world: World) -> None:
        await self.merged(world)
        world.namespace(orgs="")
        await world.settle()
        world.clock.now += 600
        await world.reconcile()
        assert world.data("web") == {"theirs": "x"}
        assert world.inventory.secrets_of(world.uid()) == []

    async def test_a_stripped_label_comes_back(self, world: World) -> None:
        await self.merged(world)
        world.kube.edit(WEB, strip_label)
        await world.settle()
        assert (world.kube.find(WEB) or {})["metadata"]["labels"] == {names.MANAGED_LABEL: "merged"}

    async def test_two_get_along_one_invitation_after_the_other(self, world: World) -> None:
        await self.merged(world, template={"A": "${apiKey}"})
        world.kube.edit(WEB, annotate(**{names.ALLOW_MERGE: "second"}))
        await self.merged(world, "second", template={"B": "${apiKey}"})
        assert world.data("web") == {"theirs": "x", "A": "first", "B": "first"}
        await self.merged(world, "second", template={"A": "mine", "B": "${apiKey}"})
        assert world.reason("second") == "TargetConflict"
        assert world.data("web") == {"theirs": "x", "A": "first", "B": "first"}

    async def test_a_secret_that_changes_meanwhile_is_looked_at_again(self, world: World) -> None:
        world.put_secret("web", {"theirs": "x"}, annotations={names.ALLOW_MERGE: "github"})
        world.credential(target={"name": "web", "creationPolicy": "Merge"})
        world.deliver()

        def just_before_the_patch(request: Request) -> None:
            if request.verb == "PATCH":
                world.kube.edit(WEB, set_data(apiKey="dGhlaXJz"))
            else:
                world.kube.meanwhile = just_before_the_patch

        world.kube.meanwhile = just_before_the_patch
        with pytest.raises(Conflict):
            await world.reconcile()
        await world.look_at_all()
        assert world.data("web") == {"theirs": "x", "apiKey": "theirs"}

    async def test_what_cannot_be_released_now_stays_for_later(self, world: World) -> None:
        await self.merged(world)
        world.put_secret("api", {}, annotations={names.ALLOW_MERGE: "github"})
        world.credential(target={"name": "api", "creationPolicy": "Merge"})
        world.deliver()
        world.kube.fail("PATCH", "/secrets/web", Conflict(), times=1)
        await world.reconcile()
        assert world.data("web") == {"theirs": "x", **FIRST}
        await world.settle()
        await world.look_at_all()
        assert world.data("web") == {"theirs": "x"}


class TestJanitor:
    async def orphaned(self, world: World) -> None:
        world.put_secret("web", {"theirs": "x"}, annotations={names.ALLOW_MERGE: "github"})
        world.credential(target={"name": "web", "creationPolicy": "Merge"})
        await world.settle()
        world.delete_credential()
        await world.settle()

    async def test_keys_of_a_credential_that_is_gone_go(self, world: World) -> None:
        await self.orphaned(world)
        await world.janitor.clean()
        assert world.data("web") == {"theirs": "x"}

    async def test_of_one_that_is_only_not_seen_yet_they_stay(self, world: World) -> None:
        world.put_secret("web", {"theirs": "x"}, annotations={names.ALLOW_MERGE: "github"})
        world.credential(target={"name": "web", "creationPolicy": "Merge"})
        await world.settle()
        world.restart()
        live = next(iter(world.inventory.credentials()))
        world.inventory.forget_credential(live.key, live.uid)
        await world.janitor.clean()
        assert world.data("web") == {"theirs": "x", **FIRST}

    async def test_managers_that_merely_look_like_ours_are_left_alone(self, world: World) -> None:
        world.put_secret("web", {"theirs": "x"}, labels={names.MANAGED_LABEL: "merged"})
        meta = (world.kube.find(WEB) or {})["metadata"]
        asked = {key: meta[key] for key in ("name", "namespace", "uid", "resourceVersion")}
        manager = {"fieldManager": "tolstoy-deployer", "force": "true"}
        applied = {"metadata": asked, "data": {"applied": "eA=="}}
        await world.kube.patch(WEB, applied, content_type=APPLY_PATCH, query=manager)
        world.deliver()
        await world.janitor.clean()
        assert world.data("web") == {"theirs": "x", "applied": "x"}

    async def test_while_all_is_well_nobody_is_asked(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        world.put_secret("web", {"theirs": "x"}, annotations={names.ALLOW_MERGE: "github"})
        world.credential(target={"name": "web", "creationPolicy": "Merge"})
        await world.settle()
        world.kube.fail("LIST", "", KubeUnavailable())
        await world.janitor.clean()
        assert caplog.text == ""

    async def test_a_failure_is_logged_and_tried_again(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        await self.orphaned(world)
        world.kube.fail("LIST", "toolcredentials", KubeUnavailable())
        await world.janitor.clean()
        assert "not released" in caplog.text
        world.kube.heal()
        await world.janitor.clean()
        assert world.data("web") == {"theirs": "x"}

    async def test_it_cleans_whenever_it_is_woken_and_survives_a_defect(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        await self.orphaned(world)
        running = asyncio.create_task(world.janitor.run())
        world.kube.fail("LIST", "toolcredentials", RuntimeError("a defect"), times=1)  # type: ignore[arg-type]
        world.janitor.wake()
        while "cleaning failed" not in caplog.text:
            await asyncio.sleep(0)
        world.janitor.wake()
        while world.data("web") != {"theirs": "x"}:
            await asyncio.sleep(0)
        running.cancel()
