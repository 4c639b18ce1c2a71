"""The finalizer is there while it is of use, and whatever happens, a deletion ends."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.support.objects import credential_object
from tests.unit.engine.world import REVOCATION_TIMEOUT, SHOP, UPSTREAM, World
from tolstoy_operator.api import names
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.errors import Conflict, Forbidden, KubeUnavailable
from tolstoy_operator.services.refresh.endings import Problem
from tolstoy_operator.services.revocation import Outcome, Revoked

REVOKE = {"revocationPolicy": "Revoke"}
TOKENS = {"accessToken": "a", "refreshToken": "r"}
FAILING = Revoked(Outcome.LATER, "http_503", Problem.REVOCATION_FAILING)
WAITING = Revoked(Outcome.LATER, "a refresh is under way", retry_after=15.0)
KEY = (SHOP, "github")


class Shop(World):
    """A world whose namespace may revoke, with one credential that asks for it."""

    def __init__(self) -> None:
        super().__init__()
        self.store.write(UPSTREAM, TOKENS)
        self.namespace(allow_revoke="true")

    def finalizers(self, name: str = "github") -> list[str] | None:
        body = self.kube.find(paths.credential(SHOP, name))
        return None if body is None else list(body["metadata"].get("finalizers") or [])

    async def ask(self, name: str = "github", **spec: Any) -> None:
        self.credential(name, oauth=REVOKE, **spec)
        await self.settle()

    async def depart(self, name: str = "github") -> float | None:
        self.deliver()
        return await self.departures.depart((SHOP, name))

    def notes(self) -> list[tuple[str, str]]:
        """Reason and text of the Events so far."""
        found = self.kube.all(paths.events(SHOP)).values()
        return [(body["reason"], body["note"]) for body in found]


@pytest.fixture
def shop() -> Shop:
    return Shop()


class TestTheFinalizer:
    """Present while revocation is asked for, granted and possible, and never otherwise."""

    async def test_it_comes_with_the_wish(self, shop: Shop) -> None:
        await shop.ask()

        assert shop.finalizers() == [names.FINALIZER]
        assert shop.reason() == "Synced"
        shop.kube.writes()
        await shop.settle()
        assert shop.kube.writes() == []

    @pytest.mark.parametrize("spec", [{}, {"oauth": {}}, {"oauth": {"revocationPolicy": "Orphan"}}])
    async def test_nobody_else_gets_it(self, shop: Shop, spec: dict[str, Any]) -> None:
        shop.credential(**spec)
        await shop.settle()

        assert shop.finalizers() == []

    async def test_it_goes_beside_those_of_others(self, shop: Shop) -> None:
        shop.credential(oauth=REVOKE)
        path = paths.credential(SHOP, "github")
        shop.kube.edit(path, lambda body: body["metadata"].update(finalizers=["example.com/theirs"]))
        await shop.settle()
        assert shop.finalizers() == ["example.com/theirs", names.FINALIZER]

        shop.credential(oauth={"revocationPolicy": "Orphan"})
        await shop.settle()
        assert shop.finalizers() == ["example.com/theirs"]

    async def test_it_goes_with_the_grant_and_comes_back(self, shop: Shop) -> None:
        await shop.ask()

        shop.namespace(allow_revoke="false")
        await shop.settle()
        assert shop.finalizers() == []
        assert shop.reason() == "RevocationNotGranted"
        assert "namespace shop is not granted tolstoy.dev/allow-revoke" in shop.message()
        assert shop.condition("Ready")["status"] == "True"
        assert "RevocationNotGranted" in shop.events()

        shop.namespace(allow_revoke="true")
        await shop.settle()
        assert shop.finalizers() == [names.FINALIZER]
        assert shop.reason() == "Synced"

    async def test_a_namespace_that_is_not_bound_ends_no_grant(self, shop: Shop) -> None:
        await shop.ask()

        shop.namespace(orgs="org-2", allow_revoke="true")
        await shop.settle()

        assert shop.finalizers() == []
        assert shop.reason() == "NamespaceNotBound"

    async def test_taken_off_by_hand_it_is_put_back(self, shop: Shop) -> None:
        await shop.ask()

        shop.kube.edit(paths.credential(SHOP, "github"), lambda body: body["metadata"].update(finalizers=[]))
        await shop.settle()

        assert shop.finalizers() == [names.FINALIZER]

    async def test_the_platform_must_allow_it(self, shop: Shop) -> None:
        shop.revocations_allowed = False
        shop.restart()
        await shop.ask()

        assert shop.finalizers() == []
        assert shop.reason() == "RevocationNotGranted"
        assert "other clusters" in shop.message()

    async def test_where_there_is_no_revocation_it_is_said_at_once(self, shop: Shop) -> None:
        shop.revocations.supported = False
        await shop.ask()

        assert shop.finalizers() == []
        assert shop.reason() == "RevocationUnsupported"
        assert shop.data() is not None

    async def test_trouble_with_the_mirror_is_told_first(self, shop: Shop) -> None:
        shop.revocations.supported = False
        shop.store.write(UPSTREAM, "no JSON")
        await shop.ask()

        assert shop.reason() == "SecretMalformed"

    async def test_an_operator_that_may_not_set_it_mirrors_all_the_same(self, shop: Shop) -> None:
        shop.kube.fail("PATCH", "toolcredentials/github", Forbidden(), times=1)
        shop.credential(oauth=REVOKE)
        shop.deliver()
        await shop.reconcile()

        assert shop.reason() == "RevocationNotGranted"
        assert shop.data() is not None

    async def test_a_deletion_that_begins_meanwhile_ends_the_reconciliation(self, shop: Shop) -> None:
        shop.credential(oauth=REVOKE)
        shop.deliver()

        def delete(_: object) -> None:
            path = paths.credential(SHOP, "github")
            shop.kube.edit(path, lambda body: body["metadata"].update(finalizers=["example.com/theirs"]))
            shop.delete_credential()
            shop.deliver()

        shop.kube.fail("PATCH", "toolcredentials/github", Forbidden(), times=1)
        shop.kube.meanwhile = delete

        assert await shop.reconcile() == (None, 0.0)
        await shop.settle()
        assert shop.data() is None

    async def test_a_force_sync_beside_its_removal_is_handled(self, shop: Shop) -> None:
        await shop.ask()
        shop.credential(oauth={"revocationPolicy": "Orphan"})
        shop.deliver()
        shop.kube.meanwhile = lambda _: shop.annotate_credential(force_sync="x")
        with pytest.raises(Conflict):
            await shop.reconcile()

        await shop.settle()
        assert shop.finalizers() == []
        assert shop.grants.asked == [UPSTREAM], "its token is refreshed, as was asked"

    async def test_somebody_who_is_faster_is_not_overwritten(self, shop: Shop) -> None:
        shop.credential(oauth=REVOKE)
        shop.deliver()
        shop.kube.meanwhile = lambda _: shop.annotate_credential(force_sync="x")

        with pytest.raises(Conflict):
            await shop.reconcile()

        await shop.settle()
        assert shop.finalizers() == [names.FINALIZER]


class TestDeletion:
    """The last one ends the grant."""

    async def test_the_grant_ends_and_the_object_goes(self, shop: Shop) -> None:
        await shop.ask()
        shop.delete_credential()
        await shop.settle()
        assert shop.departing.depth == 1

        assert await shop.depart() is None

        assert shop.revocations.asked == [UPSTREAM]
        assert shop.finalizers() is None
        assert shop.events() == ["Revoked"]

    async def test_what_was_let_go_is_not_looked_at_again(self, shop: Shop) -> None:
        """The answer to the last patch does not show that the object is gone, and the watch is late."""
        await shop.ask()
        shop.delete_credential()
        shop.deliver()
        before = shop.inventory.credential(KEY)
        assert before is not None
        await shop.depart()
        before.finalizers = (names.FINALIZER,)

        assert await shop.departures.depart(KEY) is None

        assert shop.revocations.asked == [UPSTREAM]

    async def test_somebody_elses_finalizer_stays(self, shop: Shop) -> None:
        await shop.ask()
        path = paths.credential(SHOP, "github")
        shop.kube.edit(path, lambda body: body["metadata"]["finalizers"].insert(0, "example.com/theirs"))
        await shop.settle()
        shop.delete_credential()

        await shop.depart()

        assert shop.finalizers() == ["example.com/theirs"]

    async def test_while_another_one_uses_it_the_grant_stays(self, shop: Shop) -> None:
        await shop.ask()
        shop.credential("other")
        await shop.settle()
        shop.delete_credential()

        assert await shop.depart() is None

        assert shop.revocations.asked == []
        assert shop.finalizers() is None
        assert shop.events() == ["GrantKept"]
        assert shop.revocations.finished == [UPSTREAM], "it may have begun while the other one was not there yet"

    async def test_so_it_does_for_one_that_is_suspended(self, shop: Shop) -> None:
        await shop.ask()
        shop.credential("other", suspend=True)
        await shop.settle()
        shop.delete_credential()

        await shop.depart()

        assert (shop.revocations.asked, shop.events()[-1]) == ([], "GrantKept")

    async def test_and_for_one_whose_namespace_nobody_has_seen(self, shop: Shop) -> None:
        await shop.ask()
        spec = {"tool": "github", "orgId": "org-1"}
        shop.inventory.observe_credential(credential_object(namespace="dark", uid="dark", spec=spec))
        shop.delete_credential()

        await shop.depart()

        assert (shop.revocations.asked, shop.events()) == ([], ["GrantKept"])

    async def test_who_may_not_have_it_keeps_no_grant_alive(self, shop: Shop) -> None:
        shop.namespace("lab", orgs="org-2")
        shop.credential("other", namespace="lab")
        await shop.ask()
        shop.delete_credential()

        await shop.depart()

        assert shop.revocations.asked == [UPSTREAM]
        assert shop.events() == ["Revoked"]

    async def test_one_that_is_going_too_uses_nothing(self, shop: Shop) -> None:
        await shop.ask()
        await shop.ask("other")
        shop.delete_credential()
        shop.delete_credential("other")

        await shop.depart()
        await shop.depart("other")

        assert shop.finalizers() is shop.finalizers("other") is None
        assert UPSTREAM in shop.revocations.asked

    @pytest.mark.parametrize("annotations", [{"allow_revoke": "false"}, {"allow_revoke": "true", "orgs": "org-2"}])
    async def test_without_the_right_to_it_nothing_is_revoked(self, shop: Shop, annotations: dict[str, str]) -> None:
        await shop.ask()
        shop.delete_credential()
        shop.namespace(**annotations)

        assert await shop.depart() is None

        assert shop.revocations.asked == []
        assert shop.finalizers() is None
        assert shop.events() == ["RevocationSkipped"]
        assert shop.revocations.finished == [UPSTREAM]

    async def test_a_policy_that_changed_back_is_followed(self, shop: Shop) -> None:
        await shop.ask()
        shop.delete_credential()
        shop.credential(oauth={"revocationPolicy": "Orphan"})

        await shop.depart()

        assert (shop.revocations.asked, shop.finalizers()) == ([], None)

    @pytest.mark.parametrize(
        ("outcome", "event"),
        [(Outcome.SUPERSEDED, "GrantKept"), (Outcome.FOREIGN, "RevocationSkipped")],
    )
    async def test_what_ended_otherwise_is_told(self, shop: Shop, outcome: Outcome, event: str) -> None:
        await shop.ask()
        shop.delete_credential()
        shop.revocations.answers = [Revoked(outcome, "because")]

        assert await shop.depart() is None

        assert shop.notes() == [(event, f"{UPSTREAM}: because")]

    async def test_what_cannot_be_revoked_goes_at_once_and_says_so(self, shop: Shop) -> None:
        await shop.ask()
        shop.delete_credential()
        shop.revocations.answers = [Revoked(Outcome.IMPOSSIBLE, "because", Problem.REVOCATION_UNSUPPORTED)]

        assert await shop.depart() is None

        assert shop.events() == ["RevocationUnsupported"]
        assert shop.revocations.finished == [UPSTREAM]

    async def test_a_live_credential_is_left_alone(self, shop: Shop) -> None:
        await shop.ask()

        assert await shop.depart() is None
        assert (shop.revocations.asked, shop.finalizers()) == ([], [names.FINALIZER])


class TestBounds:
    """No deletion waits for ever."""

    async def test_trouble_is_told_once_and_tried_again(self, shop: Shop) -> None:
        await shop.ask()
        shop.delete_credential()
        shop.revocations.answers = [FAILING, FAILING, WAITING]

        pauses = [await shop.depart() for _ in range(3)]

        assert all(pause is not None and 0 < pause <= 60 for pause in pauses)
        assert pauses[2] == 15.0
        assert shop.events() == ["RevocationPending"]
        assert shop.finalizers() == [names.FINALIZER]

    async def test_in_the_end_it_goes_without(self, shop: Shop) -> None:
        await shop.ask()
        shop.delete_credential()
        shop.revocations.answers = [FAILING] * 1000
        pause = await shop.depart()
        tries = 1
        while pause is not None:
            shop.clock.now += pause
            pause = await shop.depart()
            tries += 1

        assert tries < 100
        assert shop.finalizers() is None
        assert shop.revocations.finished == [UPSTREAM]
        assert shop.events() == ["RevocationPending", "RevocationFailed"]

    async def test_the_time_runs_from_the_deletion_whoever_works_on_it(self, shop: Shop) -> None:
        await shop.ask()
        shop.delete_credential()
        shop.clock.now += REVOCATION_TIMEOUT
        shop.restart()
        shop.revocations.answers = [FAILING]

        assert await shop.depart() is None
        assert shop.finalizers() is None

    async def test_a_clock_that_is_a_year_slow_holds_no_deletion_up(self, shop: Shop) -> None:
        await shop.ask()
        shop.set_by = timedelta(days=-365)
        shop.delete_credential()
        shop.revocations.answers = [FAILING] * 3
        assert await shop.depart() is not None
        shop.clock.now += REVOCATION_TIMEOUT - 1
        assert await shop.depart() == 1
        shop.clock.now += 1

        assert await shop.depart() is None
        assert shop.finalizers() is None

    async def test_one_try_is_made_however_late(self, shop: Shop) -> None:
        await shop.ask()
        shop.delete_credential()
        shop.clock.now += 10 * REVOCATION_TIMEOUT

        assert await shop.depart() is None
        assert shop.events() == ["Revoked"]

    async def test_a_namespace_that_is_going_is_no_exception(self, shop: Shop) -> None:
        await shop.ask()
        shop.delete_credential()
        path = f"{paths.NAMESPACES}/{SHOP}"
        shop.kube.edit(path, lambda body: body["metadata"].update(finalizers=["kubernetes"], deletionTimestamp="x"))
        shop.kube.fail("POST", "/events", Forbidden())

        assert await shop.depart() is None
        assert shop.finalizers() is None

    async def test_the_api_server_away_is_no_reason_to_revoke_twice(self, shop: Shop) -> None:
        await shop.ask()
        shop.delete_credential()
        shop.kube.fail("PATCH", "toolcredentials/github", KubeUnavailable(), times=1)
        with pytest.raises(KubeUnavailable):
            await shop.depart()

        assert await shop.depart() is None
        assert shop.finalizers() is None


async def test_workers_go_on_whatever_one_deletion_comes_to(shop: Shop) -> None:
    await shop.ask()
    shop.delete_credential()
    shop.kube.fail("PATCH", "toolcredentials/github", KubeUnavailable(), times=1)
    await shop.settle()

    running = asyncio.create_task(shop.departures.run())
    while not shop.revocations.asked:
        await asyncio.sleep(0)
    while shop.departing.running:
        await asyncio.sleep(0)
    shop.departures.add(KEY)
    while shop.finalizers() is not None:
        await asyncio.sleep(0)
    shop.departures.stop()
    await running


async def test_a_revoked_grant_is_said_of_what_still_uses_it(shop: Shop) -> None:
    """Another cluster did it: the tombstone is all there is to see here."""
    shop.credential()
    await shop.settle()
    before = shop.data()
    left = {"clientId": "c", "clientSecret": "s", "tolstoy": {"revoked": True}}
    shop.store.write(UPSTREAM, left)
    shop.secrets.invalidate(UPSTREAM)

    await shop.look_at_all()

    assert shop.reason() == "Revoked"
    assert (shop.condition("Ready")["status"], shop.condition("Synced")["status"]) == ("False", "False")
    assert shop.data() == before
    shop.kube.writes()
    await shop.look_at_all()
    assert shop.kube.writes() == []

    shop.store.write(UPSTREAM, {**left, "accessToken": "new", "refreshToken": "new"})  # by whoever keeps what is there
    shop.secrets.invalidate(UPSTREAM)
    await shop.look_at_all()
    assert shop.reason() == "Synced"
    assert (shop.data() or {})["accessToken"] == "new"
