"""What a credential comes to: the Secret, the status, when it is looked at again, and what is never written."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from tests.support.fakekube import Request
from tests.unit.engine.world import GRACE, SHOP, STALL, UPSTREAM, World
from tolstoy_operator.api import names
from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.domain.errors import AccessDenied, DecryptionFailed, StoreUnavailable, Throttled
from tolstoy_operator.domain.grant import Trouble
from tolstoy_operator.engine.bindings import HELD_PAUSE
from tolstoy_operator.engine.reconciler import NOT_SURE_PAUSE
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.errors import Conflict, Forbidden, KubeError, KubeUnavailable, Unprocessable

GITHUB = paths.secrets(SHOP, "github")
HOUR_MS = 3_600_000


def oauth(world: World, *, ends_in: float = 3600.0, token: str = "t1") -> dict[str, object]:
    return {
        "accessToken": token,
        "refreshToken": "canary-refresh",
        "expiresAt": int((world.clock.now + ends_in) * 1000),
        "tokenType": "bearer",
        "clientId": "c",
        "clientSecret": "canary-secret",
    }


async def test_a_new_credential_costs_one_secret_and_one_status(world: World) -> None:
    world.credential()
    await world.settle()
    assert world.data() == {"apiKey": "first"}
    assert world.reason() == "Synced"
    assert [(item.verb, item.path) for item in world.kube.writes()] == [
        ("POST", paths.secrets(SHOP)),
        ("PATCH", paths.credential(SHOP, "github") + "/status"),
    ]
    assert world.events() == []


async def test_a_second_look_writes_nothing(world: World) -> None:
    world.credential()
    await world.settle()
    world.kube.writes()
    await world.look_at_all()
    assert world.kube.writes() == []


async def test_a_restart_writes_nothing(world: World) -> None:
    world.credential()
    await world.settle()
    world.kube.writes()
    world.restart()
    await world.look_at_all()
    assert world.kube.writes() == []


async def test_a_restart_writes_nothing_for_tokens_either(world: World) -> None:
    world.store.write(UPSTREAM, oauth(world))
    world.credential()
    await world.settle()
    world.kube.writes()
    world.restart()
    world.clock.now += 60
    await world.look_at_all()
    assert world.kube.writes() == []


async def test_the_mirror_follows_upstream(world: World) -> None:
    world.credential()
    await world.settle()
    world.secrets.note_version(UPSTREAM, world.store.write(UPSTREAM, {"apiKey": "second"}))
    await world.look_at_all()
    assert world.data() == {"apiKey": "second"}


async def test_what_may_be_older_than_the_secret_is_not_mirrored_before_that_is_known(world: World) -> None:
    world.credential()
    await world.settle()
    before = world.status()
    world.secrets.note_version(UPSTREAM, world.store.write(UPSTREAM, {"apiKey": "older, perhaps"}))
    world.grants.unsure = True
    assert await world.reconcile() == (None, NOT_SURE_PAUSE)
    assert world.data() == {"apiKey": "first"}
    assert world.status() == before
    world.grants.unsure = False
    await world.look_at_all()
    assert world.data() == {"apiKey": "older, perhaps"}


async def test_a_secret_that_is_missing_is_made_from_what_there_is(world: World) -> None:
    world.credential()
    world.grants.unsure = True
    await world.settle()
    assert world.data() == {"apiKey": "first"}


async def test_the_status_tells_where_the_value_is_from_and_what_was_written(world: World) -> None:
    version = world.store.write(UPSTREAM, {"apiKey": "second"})
    world.credential()
    await world.settle()
    status = world.status()
    assert status["upstream"] == {
        "name": UPSTREAM,
        "arn": f"arn:fake:{UPSTREAM}",
        "versionId": version,
        "region": "local",
    }
    assert status["target"]["name"] == "github"
    assert status["target"]["keys"] == ["apiKey"]
    assert status["credentialType"] == "ApiKey"
    assert status["observedGeneration"] == 1


async def test_a_version_that_was_not_mirrored_is_not_told(world: World) -> None:
    world.credential()
    await world.settle()
    before = world.status()["upstream"]
    world.secrets.note_version(UPSTREAM, world.store.write(UPSTREAM, "not json"))
    await world.look_at_all()
    assert world.reason() == "SecretMalformed"
    assert world.status()["upstream"] == before
    assert world.data() == {"apiKey": "first"}, "the last good Secret stays"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda world: world.store.remove(UPSTREAM), "SecretNotFound"),
        (lambda world: world.store.schedule_deletion(UPSTREAM), "SecretPendingDeletion"),
        (lambda world: world.store.fail("get", AccessDenied), "AccessDenied"),
        (lambda world: world.store.fail("get", DecryptionFailed), "DecryptionFailed"),
        (lambda world: world.store.fail("get", StoreUnavailable), "UpstreamUnavailable"),
        (lambda world: world.store.fail("get", Throttled), "UpstreamUnavailable"),
        (lambda world: world.store.write(UPSTREAM, "[1]"), "SecretMalformed"),
        (lambda world: world.store.write(UPSTREAM, None), "SecretMalformed"),
        (lambda world: world.store.write(UPSTREAM, {"webhookSecret": "w"}), "SecretMalformed"),
        (lambda world: world.namespace(orgs="other"), "NamespaceNotBound"),
        (lambda world: world.credential(suspend=True), "Suspended"),
        (lambda world: world.credential(target={"keys": ["refreshToken"]}), "SensitiveKeyNotGranted"),
        (lambda world: world.credential(target={"template": {"A": "${nope}"}}), "TemplateError"),
        (lambda world: world.credential(target={"name": 7}), "InvalidSpec"),
    ],
)
async def test_no_failure_touches_the_last_good_secret(world: World, change: object, reason: str) -> None:
    world.credential()
    await world.settle()
    world.kube.writes()
    change(world)  # type: ignore[operator]  # parametrised
    world.secrets.invalidate(UPSTREAM)
    await world.settle()
    await world.look_at_all()
    assert world.reason() == reason
    assert world.data() == {"apiKey": "first"}
    assert {item.path for item in world.kube.writes()} == {paths.credential(SHOP, "github") + "/status"}
    await world.look_at_all()
    assert world.kube.writes() == [], "and the status does not tick"


async def test_each_transition_is_one_event(world: World) -> None:
    world.credential()
    await world.settle()
    world.namespace(orgs="")
    await world.settle()
    await world.look_at_all()
    assert world.events() == ["NamespaceNotBound"]
    world.clock.now += 1
    world.namespace()
    await world.settle()
    assert world.events() == ["NamespaceNotBound", "Synced"]


async def test_another_cause_of_the_same_reason_is_none(world: World) -> None:
    for broken in ("not json", "[1]"):
        world.clock.now += 1
        world.secrets.note_version(UPSTREAM, world.store.write(UPSTREAM, broken))
        world.credential()
        await world.settle()
        await world.look_at_all()
    assert world.events() == ["SecretMalformed"]


async def test_an_event_that_cannot_be_posted_changes_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.kube.fail("POST", "/events", Forbidden())
    world.namespace(orgs="")
    world.credential()
    with caplog.at_level(logging.DEBUG):
        await world.settle()
    assert world.reason() == "NamespaceNotBound"
    assert "event not posted" in caplog.text


async def test_an_unknown_namespace_is_waited_for(world: World) -> None:
    world.credential()
    world.deliver()
    world.inventory.forget_namespace(SHOP, 10**9)
    reason, pause = await world.reconcile()
    assert reason is None
    assert pause is not None
    assert world.kube.writes() == [], "unknown is not unbound"


async def test_in_a_namespace_that_is_going_nothing_is_done(world: World) -> None:
    world.credential()
    world.kube.edit(f"{paths.NAMESPACES}/{SHOP}", lambda body: body["metadata"].update(deletionTimestamp="now"))
    await world.settle()
    assert world.kube.writes() == []


async def test_a_credential_that_is_going_is_left_alone(world: World) -> None:
    world.credential()
    await world.settle()
    world.kube.edit(paths.credential(SHOP, "github"), lambda body: body["metadata"].update(deletionTimestamp="now"))
    world.kube.remove(GITHUB)
    world.kube.writes()
    await world.settle()
    assert world.kube.writes() == [], "its Secret is the garbage collector's"


async def test_a_credential_that_nobody_knows_is_nothing_to_do(world: World) -> None:
    assert await world.reconcile("unknown") == (None, None)


async def test_force_sync_reads_now_and_says_so(world: World) -> None:
    world.credential()
    await world.settle()
    world.store.write(UPSTREAM, {"apiKey": "second"})
    world.annotate_credential(force_sync="1")
    await world.settle()
    assert world.data() == {"apiKey": "second"}
    assert world.status()["lastHandledForceSync"] == "1"
    reads = world.store.count("get")
    await world.look_at_all()
    assert world.store.count("get") == reads, "once for one value"


@pytest.mark.parametrize("length", [253, 254, 250_000])
async def test_force_sync_by_a_text_of_any_length_is_handled_once(world: World, length: int) -> None:
    world.credential()
    await world.settle()
    world.annotate_credential(force_sync="x" * length)
    await world.settle()
    assert len(world.status()["lastHandledForceSync"]) <= 253
    reads = world.store.count("get")
    await world.look_at_all()
    assert world.store.count("get") == reads


async def test_force_sync_of_a_grant_is_handled_when_the_refresh_has_ended(world: World) -> None:
    world.store.write(UPSTREAM, oauth(world))
    world.credential()
    await world.settle()
    world.store.write(UPSTREAM, oauth(world, token="t2"))
    world.annotate_credential(force_sync="1")
    await world.settle()
    assert (world.data() or {})["accessToken"] == "t2", "the mirror waits for nothing"
    assert "lastHandledForceSync" not in world.status()
    reads = world.store.count("get")
    await world.look_at_all()
    assert (world.grants.asked, world.store.count("get")) == ([UPSTREAM], reads), "one question, one look upstream"

    world.grants.end_pass(UPSTREAM)
    await world.look_at_all()
    assert world.status()["lastHandledForceSync"] == "1"
    world.annotate_credential(force_sync="2")
    await world.settle()
    assert world.status()["lastHandledForceSync"] == "1"
    assert world.grants.asked == [UPSTREAM] * 2


async def test_a_question_is_asked_again_by_a_process_that_does_not_know_it(world: World) -> None:
    world.store.write(UPSTREAM, oauth(world))
    world.credential()
    world.annotate_credential(force_sync="1")
    await world.settle()
    world.restart()
    await world.look_at_all()
    assert world.grants.asked == [UPSTREAM]
    world.grants.end_pass(UPSTREAM)
    await world.look_at_all()
    assert world.status()["lastHandledForceSync"] == "1"


@pytest.mark.parametrize("what", ["gone", "suspended"])
async def test_trouble_meanwhile_is_no_answer(world: World, what: str) -> None:
    world.store.write(UPSTREAM, oauth(world))
    world.credential()
    world.annotate_credential(force_sync="1")
    await world.settle()
    if what == "gone":
        world.store.remove(UPSTREAM)
        world.secrets.invalidate(UPSTREAM)
    else:
        world.credential(suspend=True)
        world.annotate_credential(force_sync="1")
        world.deliver()
    await world.look_at_all()
    assert world.reason() in ("SecretNotFound", "Suspended")
    assert "lastHandledForceSync" not in world.status()
    world.grants.end_pass(UPSTREAM)
    await world.look_at_all()
    assert world.status()["lastHandledForceSync"] == "1"


async def test_a_status_that_somebody_else_wrote_is_corrected(world: World) -> None:
    world.credential()
    await world.settle()
    world.kube.edit(paths.credential(SHOP, "github"), lambda body: body.update(status={"conditions": []}))
    await world.settle()
    assert world.reason() == "Synced"


async def test_a_status_with_an_impossible_time_is_corrected(world: World) -> None:
    world.namespace(orgs="")
    world.credential()
    await world.settle()

    def break_time(body: dict[str, dict[str, list[dict[str, str]]]]) -> None:
        for item in body["status"]["conditions"]:
            item["lastTransitionTime"] = "9999-12-31T23:59:59Z"

    world.kube.edit(paths.credential(SHOP, "github"), break_time)
    await world.settle()
    assert world.condition("Reconciling")["lastTransitionTime"].startswith("2026-")


async def test_a_status_is_not_written_over_a_newer_spec(world: World) -> None:
    world.credential()
    world.deliver()

    def rename(_: Request) -> None:
        world.credential(target={"name": "renamed"})

    world.kube.meanwhile = rename
    with pytest.raises(Conflict):
        await world.reconcile()
    await world.settle()
    world.kube.collect_garbage()
    assert world.data("renamed") == {"apiKey": "first"}
    assert world.data() is None
    assert world.status()["observedGeneration"] == 2


async def test_a_credential_that_goes_meanwhile_leaves_nothing_behind(world: World) -> None:
    world.credential(target={"deletionPolicy": "Retain"})
    world.deliver()
    gate = world.store.hold("get")
    task = asyncio.create_task(world.reconcile())
    for _ in range(10):
        await asyncio.sleep(0.001)
    world.delete_credential()
    world.deliver()
    gate.set()
    await task
    assert world.data() is None


class TestLookingAgain:
    async def test_a_static_secret_is_looked_at_on_change_only(self, world: World) -> None:
        world.credential()
        world.deliver()
        assert await world.reconcile() == (Reason.SYNCED, None)

    async def test_a_token_is_looked_at_when_its_state_changes(self, world: World) -> None:
        world.store.write(UPSTREAM, oauth(world, ends_in=3600.9))
        world.credential()
        world.deliver()
        for state, reason in (("Active", "Synced"), ("Expiring", "Synced"), ("Expiring", "TokenExpired")):
            _, pause = await world.reconcile()
            assert (world.status()["grant"]["state"], world.reason()) == (state, reason)
            world.clock.now += pause or 0
        assert world.condition("Reconciling")["status"] == "True", "its refresh is due, so nobody is called yet"
        _, pause = await world.reconcile()
        assert (world.condition("Stalled")["status"], pause) == ("True", None)

    async def test_the_first_status_decides_when_to_look_even_if_the_watch_is_faster(self, world: World) -> None:
        world.store.write(UPSTREAM, oauth(world))
        world.credential()
        world.deliver()
        write = world.kube.patch

        async def watch_first(path: str, body: object, **how: object) -> object:
            answer = await write(path, body, **how)  # type: ignore[arg-type]
            world.deliver()
            return answer

        world.kube.patch = watch_first  # type: ignore[method-assign, assignment]
        _, pause = await world.reconcile()
        assert pause == pytest.approx(3301, abs=1)

    @pytest.mark.parametrize("early", [0.0, 0.0005])
    async def test_patience_ends_although_nothing_changes(self, world: World, early: float) -> None:
        world.namespace(orgs="")
        world.credential()
        world.deliver()
        _, pause = await world.reconcile()
        assert pause == STALL
        world.clock.now += pause - early
        while pause is not None:
            _, pause = await world.reconcile()
            world.clock.now += pause or 0
        assert world.condition("Stalled")["status"] == "True"

    async def test_what_came_while_it_was_written_is_due_at_once(self, world: World) -> None:
        world.store.write(UPSTREAM, oauth(world, ends_in=400))
        world.credential()
        world.deliver()

        def slow(_: object) -> None:
            world.clock.now += 200

        world.kube.meanwhile = slow
        assert (await world.reconcile())[1] == 0

    async def test_the_end_of_a_consent_is_said_three_times_and_never_between(self, world: World) -> None:
        ends = world.grants.consent_ends = world.clock.now + 20 * 86_400
        world.store.write(UPSTREAM, oauth(world, ends_in=30 * 86_400))
        world.credential()
        world.deliver()
        _, pause = await world.reconcile()
        said: list[tuple[str, str]] = []
        world.kube.writes()
        while pause is not None and world.clock.now + pause < ends + 60:
            world.clock.now += pause
            _, pause = await world.reconcile()
            said.append((str(world.reason()), world.condition("Ready")["message"]))
        assert {reason for reason, _ in said} == {"ConsentExpiring"}
        assert len({text for _, text in said}) == 3
        assert (_status_writes(world), world.events()) == (3, ["ConsentExpiring"] * 3)
        assert world.condition("Ready")["status"] == "True"
        assert world.status()["grant"]["state"] == "Expiring"

    async def test_trouble_upstream_is_tried_again_with_growing_pauses(self, world: World) -> None:
        world.store.fail("get", StoreUnavailable)
        world.credential()
        world.deliver()
        pauses = [(await world.reconciler.reconcile((SHOP, "github"), failures))[1] for failures in (0, 1, 2, 20)]
        assert pauses == [2, 4, 8, 300]


class TestOutage:
    async def test_a_secret_that_was_deleted_comes_back_from_memory(self, world: World) -> None:
        world.credential()
        await world.settle()
        world.store.fail("get", StoreUnavailable)
        world.secrets.invalidate(UPSTREAM)
        world.kube.remove(GITHUB)
        await world.settle()
        assert world.data() == {"apiKey": "first"}
        assert world.reason() == "UpstreamUnavailable"
        assert world.condition("Ready")["status"] == "True"
        assert world.condition("Synced")["status"] == "Unknown"

    async def test_a_store_that_is_down_is_said_of_values_that_are_still_fresh(self, world: World) -> None:
        world.credential()
        await world.settle()
        world.clock.now += 60
        world.upstream.failed()
        world.upstream.failed()
        await world.look_at_all()
        assert world.reason() == "UpstreamUnavailable"
        world.upstream.succeeded()
        await world.look_at_all()
        assert world.reason() == "Synced"

    async def test_a_listing_that_fails_alone_is_no_outage_and_does_not_tick(self, world: World) -> None:
        world.credential()
        await world.settle()
        world.upstream.failed()
        world.upstream.failed()
        world.clock.now += 301
        await world.look_at_all()
        world.kube.writes()
        for _ in range(3):
            world.clock.now += 301
            await world.look_at_all()
        assert world.reason() == "Synced"
        assert world.kube.writes() == []

    async def test_a_token_that_ends_during_it_is_not_ready(self, world: World) -> None:
        world.store.write(UPSTREAM, oauth(world))
        world.credential()
        await world.settle()
        world.store.fail("get", StoreUnavailable)
        world.clock.now += 301
        await world.look_at_all()
        assert world.condition("Ready")["status"] == "True"
        world.clock.now += 3600
        await world.look_at_all()
        assert world.condition("Ready")["status"] == "False"
        assert world.condition("TokenHealthy")["status"] == "False"
        assert world.status()["grant"]["state"] == "Expiring"

    async def test_a_token_that_ends_while_suspended_is_not_ready(self, world: World) -> None:
        world.store.write(UPSTREAM, oauth(world))
        world.credential()
        await world.settle()
        world.credential(suspend=True)
        world.deliver()
        _, pause = await world.reconcile()
        assert world.condition("Ready")["status"] == "True"
        for state, ready in (("Expiring", "True"), ("Expiring", "False")):
            assert pause is not None
            world.clock.now += pause
            _, pause = await world.reconcile()
            assert (world.status()["grant"]["state"], world.condition("Ready")["status"]) == (state, ready)
        assert world.reason() == "Suspended"
        assert world.condition("TokenHealthy")["status"] == "False"
        assert pause is None
        world.kube.writes()
        await world.look_at_all()
        assert world.kube.writes() == []

    async def test_the_api_server_away_is_an_error_and_nothing_is_lost(self, world: World) -> None:
        world.kube.fail("POST", "/secrets", KubeUnavailable())
        world.credential()
        world.deliver()
        with pytest.raises(KubeUnavailable):
            await world.reconcile()
        world.kube.heal()
        await world.reconcile()
        assert world.data() == {"apiKey": "first"}

    async def test_a_write_whose_answer_is_lost_is_found_done(self, world: World) -> None:
        world.kube.fail("POST", "/secrets", KubeUnavailable(), after=True, times=1)
        world.credential()
        world.deliver()
        with pytest.raises(KubeUnavailable):
            await world.reconcile()
        await world.reconcile()
        await world.settle()
        assert world.data() == {"apiKey": "first"}
        assert world.reason() == "Synced"


class TestUnbinding:
    async def unbind(self, world: World) -> None:
        world.credential()
        await world.settle()
        world.namespace(orgs="")
        await world.settle()

    async def test_the_secret_stays_for_the_grace(self, world: World) -> None:
        await self.unbind(world)
        assert world.reason() == "NamespaceNotBound"
        world.clock.now += GRACE - 1
        _, pause = await world.reconcile()
        assert pause == 1
        assert world.data() is not None

    async def test_then_it_goes_and_retain_does_not_keep_it(self, world: World) -> None:
        world.credential(target={"deletionPolicy": "Retain"})
        await world.settle()
        world.namespace(orgs="")
        await world.settle()
        world.clock.now += GRACE
        world.deliver()
        _, pause = await world.reconcile()
        assert pause == HELD_PAUSE, "should the watch not tell that it is gone"
        await world.settle()
        assert world.data() is None
        assert "target" not in world.status()
        assert world.unbound._since == {}, "it counts as lost no more"

    async def test_taken_back_in_time_nothing_happens(self, world: World) -> None:
        await self.unbind(world)
        world.clock.now += GRACE - 1
        world.namespace()
        await world.settle()
        world.namespace(orgs="")
        await world.settle()
        world.clock.now += GRACE - 1
        await world.look_at_all()
        assert world.data() is not None, "the grace has begun anew"

    async def test_taking_the_label_off_saves_nothing(self, world: World) -> None:
        await self.unbind(world)
        world.kube.edit(GITHUB, lambda body: body["metadata"].update(labels={}))
        await world.settle()
        assert world.status()["target"]["keys"] == ["apiKey"], "it is still there"
        world.clock.now += GRACE
        await world.look_at_all()
        assert world.data() is None

    async def test_a_secret_that_changes_at_that_moment_goes_a_moment_later(self, world: World) -> None:
        await self.unbind(world)
        world.clock.now += GRACE
        world.kube.meanwhile = lambda _: world.kube.edit(
            GITHUB, lambda body: body["metadata"].update(annotations={**body["metadata"]["annotations"], "x": "y"})
        )
        await world.reconcile()
        assert world.data() is not None
        await world.settle()
        assert world.data() is None

    async def test_merged_keys_go_too(self, world: World) -> None:
        world.put_secret("web", {"theirs": "x"}, annotations={names.ALLOW_MERGE: "github"})
        world.credential(target={"name": "web", "creationPolicy": "Merge"})
        await world.settle()
        world.namespace(orgs="")
        await world.settle()
        world.clock.now += GRACE
        await world.look_at_all()
        assert world.data("web") == {"theirs": "x"}

    async def test_many_at_once_are_a_mistake_and_are_held(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        for number in range(4):
            world.namespace(f"ns{number}")
            world.credential(namespace=f"ns{number}")
        await world.settle()
        for number in range(3):
            world.namespace(f"ns{number}", orgs="")
        await world.settle()
        world.clock.now += GRACE
        with caplog.at_level(logging.WARNING):
            await world.look_at_all()
            world.clock.now += 60
            await world.look_at_all()
        assert [world.data(namespace=f"ns{number}") is not None for number in range(4)] == [True] * 4
        assert (
            len([record for record in caplog.records if "mistake" in record.message or "tenth" in record.message]) == 1
        )
        _, pause = await world.reconcile(namespace="ns0")
        assert pause == 60
        world.namespace("ns0")
        world.namespace("ns1")
        await world.settle()
        world.clock.now += 60
        await world.look_at_all()
        assert world.data(namespace="ns2") is None, "one is no mistake"


async def test_no_value_is_in_statuses_events_or_logs(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.store.write(UPSTREAM, oauth(world, token="canary-token"))
    world.credential(target={"template": {"A": "${accessToken}${missing}"}})
    with caplog.at_level(logging.DEBUG):
        await world.settle()
        world.credential()
        await world.settle()
        world.secrets.note_version(UPSTREAM, world.store.write(UPSTREAM, '{"accessToken": "canary-broken"'))
        await world.look_at_all()
    said = json.dumps([world.status(), world.kube.all(paths.events(SHOP))]) + caplog.text
    assert "canary-token" in (world.data() or {}).values()
    assert "canary" not in said


@pytest.mark.parametrize(
    ("error", "reason"),
    [(Forbidden(), "TargetConflict"), (Unprocessable(), "InvalidSpec")],
)
async def test_what_the_api_server_refuses_is_said(world: World, error: KubeError, reason: str) -> None:
    world.kube.fail("POST", "/secrets", error)
    world.credential()
    await world.settle()
    assert world.reason() == reason


async def test_a_refresh_that_fails_while_the_secret_is_written_is_told_as_a_whole(world: World) -> None:
    def look_ends(_: Request) -> None:
        world.grants.noted.trouble = Trouble(Reason.CLIENT_MISCONFIGURED, "invalid_client", world.clock.now)

    world.store.write(UPSTREAM, oauth(world, ends_in=3600))
    world.credential()
    world.deliver()
    world.kube.meanwhile = look_ends
    await world.reconcile()
    assert (world.reason(), world.status()["grant"]["state"]) == ("ClientMisconfigured", "RefreshFailing")


class TestTokensThatNobodyCanUse:
    async def test_a_token_of_a_type_that_needs_a_proof_is_not_mirrored(self, world: World) -> None:
        world.store.write(UPSTREAM, oauth(world, ends_in=3600))
        world.credential()
        await world.settle()
        before = world.data()
        world.grants.unusable = "of no use"
        world.store.write(UPSTREAM, {**oauth(world, ends_in=3600), "accessToken": "proven"})
        world.secrets.invalidate(UPSTREAM)
        await world.look_at_all()
        assert world.data() == before, "the last good Secret stays"
        assert world.reason() == "TokenTypeUnsupported"
        assert "of no use; the platform team" in world.message()
        assert world.condition("Ready")["status"] == "False"

    async def test_what_keeps_the_first_token_from_coming_is_said(self, world: World) -> None:
        world.store.write(UPSTREAM, {**oauth(world, ends_in=3600), "accessToken": None})
        world.grants.told = Trouble(Reason.CLIENT_MISCONFIGURED, "invalid_client", world.clock.now)
        world.credential()
        await world.settle()
        assert (world.reason(), world.data()) == ("ClientMisconfigured", None)
        assert world.condition("Synced")["status"] == "False"
        assert "invalid_client" in world.message()

    async def test_while_the_first_token_is_being_had_nothing_is_said(self, world: World) -> None:
        world.store.write(UPSTREAM, {**oauth(world, ends_in=3600), "accessToken": None})
        world.grants.unsure = True
        world.credential()
        world.deliver()
        assert await world.reconcile() == (None, 30)


def _status_writes(world: World) -> int:
    return sum(request.path.endswith("/status") for request in world.kube.writes())
