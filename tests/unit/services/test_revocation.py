"""Revocations beside everything that may come in between: refreshes, crashes, consents, other revocations."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from tests.unit.services.scene import NAME, Crash, Scene
from tolstoy_operator.domain.errors import StoreUnavailable
from tolstoy_operator.domain.refresh import ProviderTraits, Rotation, fates
from tolstoy_operator.domain.refreshids import LEASE_LABEL, REVOKING_LABEL
from tolstoy_operator.domain.refreshrecords import Fate
from tolstoy_operator.domain.tokenhealth import Revocation, RevocationResult
from tolstoy_operator.services.refresh.endings import Current, Failed, MirrorOnly, Problem, Waiting
from tolstoy_operator.services.refresh.refresher import Refresher
from tolstoy_operator.services.refresh.revocation import Buried, Revoker, Superseded
from tolstoy_operator.services.refresh.view import look
from tolstoy_operator.stores.base import CURRENT


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_tokens_are_ended_in_order_and_a_tombstone_says_so(scene: Scene) -> None:
    ending = await scene.revoke()

    assert isinstance(ending, Buried)
    assert (ending.lives, ending.already) == (False, False)
    assert scene.provider.requests == ["revoke refresh-0", "revoke access-0"]
    document = scene.document()
    assert document["extra"] == "kept"
    assert document["tolstoy"]["revoked"] is True
    assert not {"accessToken", "refreshToken", "expiresAt"} & document.keys()
    assert await scene.label(REVOKING_LABEL) is None


async def test_a_tombstone_tells_when_the_consent_was_given(scene: Scene) -> None:
    scene.consent(7, lastUpdated="2027-01-01T00:00:00Z")
    assert isinstance(await scene.refresh(), Current)
    assert isinstance(await scene.revoke(), Buried)

    document = scene.document()

    given_at = datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    assert (document["tolstoy"]["consentedAt"], document["tolstoy"]["revoked"]) == (given_at, True)


async def test_every_durable_step_has_a_name(scene: Scene) -> None:
    await scene.revoke()

    assert scene.steps == [
        *("claim", "verify", "mark", "revoke-refresh", "revoke-access", "tombstone", "bury", "unmark"),
    ]


@pytest.mark.parametrize(
    "step", ["claim", "verify", "mark", "revoke-refresh", "revoke-access", "tombstone", "bury", "unmark"]
)
async def test_another_replica_finishes_after_a_crash_anywhere(scene: Scene, step: str) -> None:
    scene.crash_at = step
    with pytest.raises(Crash):
        await scene.revoke("a", cluster="c")

    successor = Revoker(scene.parts("b", cluster="c"))
    ending = await successor.run(scene.order())
    while isinstance(ending, Waiting):
        scene.time.now += ending.seconds
        ending = await successor.run(scene.order())

    assert isinstance(ending, Buried)
    assert scene.provider.alive_tokens == set()
    assert scene.document()["tolstoy"]["revoked"] is True
    assert await successor.finish(NAME)
    assert await scene.label(REVOKING_LABEL) is None


async def test_doing_it_again_says_so_and_asks_nobody(scene: Scene) -> None:
    await scene.revoke()
    scene.provider.requests.clear()

    ending = await scene.revoke("b")

    assert isinstance(ending, Buried)
    assert ending.already
    assert scene.provider.requests == []


class TestBesideRefreshes:
    """What a refresh brings must not outlive a revocation."""

    async def test_a_refresh_under_way_is_waited_for_and_its_tokens_are_ended(self, scene: Scene) -> None:
        scene.crash_at = "send"
        with pytest.raises(Crash):
            await scene.refresh()
        revoker = Revoker(scene.parts())

        waiting = await revoker.run(scene.order())
        assert isinstance(waiting, Waiting)
        assert scene.provider.requests == []
        scene.time.now += 900

        assert isinstance(await revoker.run(scene.order()), Buried)
        assert scene.provider.requests == ["revoke refresh-0", "revoke access-0"]

    async def test_a_result_that_nobody_committed_is_rolled_forward_first(self, scene: Scene) -> None:
        scene.crash_at = "commit"
        with pytest.raises(Crash):
            await scene.refresh()

        assert isinstance(await scene.revoke(), Buried)
        assert scene.provider.requests == ["refresh refresh-0", "revoke refresh-1", "revoke access-1"]
        assert scene.provider.alive_tokens == {"access-0"}

    async def test_once_marked_nobody_refreshes(self, scene: Scene) -> None:
        scene.crash_at = "revoke-refresh"
        with pytest.raises(Crash):
            await scene.revoke()

        ending = await scene.refresh()

        assert isinstance(ending, Failed)
        assert ending.problem is Problem.REVOKING
        assert scene.provider.requests == []

    async def test_a_refresh_that_slipped_in_before_the_mark_is_waited_for(self, scene: Scene) -> None:
        async def overtaken() -> None:
            scene.crash_at = "keep"
            with pytest.raises(Crash):
                await scene.refresh_patiently()

        scene.before["mark"] = overtaken
        revoker = Revoker(scene.parts())

        assert isinstance(await revoker.run(scene.order()), Waiting)
        assert await scene.label(REVOKING_LABEL) is not None
        assert not any(request.startswith("revoke") for request in scene.provider.requests)

    async def test_a_refresh_that_committed_before_the_mark_is_followed(self, scene: Scene) -> None:
        async def overtaken() -> None:
            await scene.refresh_patiently()

        scene.before["mark"] = overtaken

        assert isinstance(await scene.revoke(), Buried)
        assert scene.provider.requests[-2:] == ["revoke refresh-1", "revoke access-1"]
        assert await scene.label(REVOKING_LABEL) is None

    async def test_one_that_has_reserved_its_attempt_sees_the_mark_before_it_sends(self, scene: Scene) -> None:
        async def mark() -> None:
            current = await scene.label(CURRENT)
            await scene.store.move_label(NAME, REVOKING_LABEL, from_version=None, to_version=current)

        scene.before["verify"] = mark

        ending = await scene.refresh()

        assert isinstance(ending, Failed)
        assert (ending.problem, scene.provider.requests) == (Problem.REVOKING, [])

    async def test_a_claim_that_took_too_long_marks_nothing(self, scene: Scene) -> None:
        async def stop_for_a_while() -> None:
            scene.time.now += 11

        scene.before["verify"] = stop_for_a_while

        assert isinstance(await scene.revoke(), Buried)
        assert scene.steps[:5] == ["claim", "verify", "claim", "verify", "mark"]

    async def test_an_attempt_to_revoke_is_not_waited_for(self, scene: Scene) -> None:
        scene.crash_at = "mark"
        with pytest.raises(Crash):
            await scene.revoke("a")

        assert isinstance(await scene.revoke("b"), Buried)

    async def test_a_provider_whose_tokens_do_not_rotate_needs_no_claim(self) -> None:
        scene = Scene(ProviderTraits(rotation=Rotation.NONE))

        assert isinstance(await scene.revoke(), Buried)
        assert "claim" not in scene.steps


class TestConsents:
    """A new consent is somebody's will."""

    @pytest.mark.parametrize("step", ["revoke-refresh", "revoke-access", "tombstone", "bury"])
    async def test_one_that_comes_meanwhile_stops_it(self, scene: Scene, step: str) -> None:
        async def consent() -> None:
            scene.consent(7)

        scene.before[step] = consent

        assert await scene.revoke() == Superseded()
        assert {"access-7", "refresh-7"} <= scene.provider.alive_tokens
        assert scene.document()["refreshToken"] == "refresh-7"
        assert await scene.label(REVOKING_LABEL) is None

    async def test_also_for_a_process_that_knows_nothing_of_the_beginning(self, scene: Scene) -> None:
        scene.crash_at = "revoke-access"
        with pytest.raises(Crash):
            await scene.revoke()
        scene.consent(7)

        assert await scene.revoke("b") == Superseded()
        assert {"access-7", "refresh-7"} <= scene.provider.alive_tokens

    async def test_whoever_began_remembers_what_was_meant(self, scene: Scene) -> None:
        """Although another replica has finished with the old grant, and its mark is gone."""
        scene.crash_at = "send"
        with pytest.raises(Crash):
            await scene.refresh()
        revoker = Revoker(scene.parts())
        assert isinstance(await revoker.run(scene.order()), Waiting)
        scene.consent(7)

        for _ in range(2):
            assert await revoker.run(scene.order()) == Superseded()
        assert {"access-7", "refresh-7"} <= scene.provider.alive_tokens
        await revoker.finish(NAME)
        assert isinstance(await revoker.run(scene.order()), Buried), "asked anew, it means the new one"

    @pytest.mark.parametrize("consented", [False, True])
    async def test_until_it_is_finished_nobody_who_is_asked_again_means_a_later_one(
        self, scene: Scene, consented: bool
    ) -> None:
        """A crash between the end of a revocation and the end of the deletion that asked for it."""
        if consented:
            scene.crash_at = "tombstone"
            with pytest.raises(Crash):
                await scene.revoke("a")
        else:
            assert isinstance(await Revoker(scene.parts("a")).run(scene.order()), Buried)
        scene.consent(7)

        for replica in ("b", "c"):
            assert await Revoker(scene.parts(replica)).run(scene.order()) == Superseded()
        assert {"access-7", "refresh-7"} <= scene.provider.alive_tokens

    @pytest.mark.parametrize("members", [{}, {"refreshToken": None}])
    async def test_one_that_kept_what_the_tombstone_says_is_a_consent_too(
        self, scene: Scene, members: dict[str, None]
    ) -> None:
        revoker = Revoker(scene.parts())
        assert isinstance(await revoker.run(scene.order()), Buried)
        scene.consent(7, tolstoy=scene.document()["tolstoy"], **members)

        assert await revoker.run(scene.order()) == Superseded()
        assert {"access-7", "refresh-7"} <= scene.provider.alive_tokens

    async def test_one_that_kept_what_the_tombstone_says_is_refreshed(self, scene: Scene) -> None:
        await scene.revoke()
        scene.consent(7, tolstoy=scene.document()["tolstoy"])

        assert isinstance(await scene.refresh(), Current)
        assert "revoked" not in scene.document()["tolstoy"]

    async def test_an_old_copy_that_somebody_saved_is_none(self, scene: Scene) -> None:
        before = scene.document()
        await scene.revoke()
        scene.time.now += 60
        scene.store.write(NAME, {**before, "extra": "edited"})

        await scene.refresh()

        assert scene.document()["tolstoy"]["revoked"] is True
        assert (scene.document()["extra"], scene.document().get("refreshToken")) == ("edited", None)

    async def test_one_without_refresh_token_is_a_consent_too(self, scene: Scene) -> None:
        scene.consent(0, refreshToken=None)
        scene.crash_at = "tombstone"
        with pytest.raises(Crash):
            await scene.revoke()
        scene.consent(7, refreshToken=None)

        assert await scene.revoke("b") == Superseded()

    async def test_an_edited_copy_is_none(self, scene: Scene) -> None:
        async def edit() -> None:
            scene.consent(0, extra="edited")

        scene.before["revoke-refresh"] = edit

        assert isinstance(await scene.revoke(), Buried)
        assert scene.document()["extra"] == "edited"

    async def test_the_next_one_can_be_revoked_again(self, scene: Scene) -> None:
        await scene.revoke()
        scene.consent(7)

        assert isinstance(await scene.revoke(), Buried)
        assert scene.provider.alive_tokens == set()


class TestWhenItCannotBe:
    """Nothing is said to be revoked that was not."""

    async def test_a_provider_without_revocation_is_asked_nothing(self, scene: Scene) -> None:
        scene.provider.revocable = ()

        ending = await scene.revoke()

        assert isinstance(ending, Failed)
        assert ending.problem is Problem.REVOCATION_UNSUPPORTED
        assert scene.steps == []

    @pytest.mark.parametrize(
        ("result", "problem"),
        [
            (RevocationResult.RETRY, Problem.REVOCATION_FAILING),
            (RevocationResult.REFUSED, Problem.REVOCATION_FAILING),
            (RevocationResult.UNSUPPORTED, Problem.REVOCATION_UNSUPPORTED),
        ],
    )
    async def test_a_reply_that_is_no_yes_buries_nothing(
        self, scene: Scene, result: RevocationResult, problem: Problem
    ) -> None:
        scene.provider.answer = Revocation(result, "code", 7.0)

        ending = await scene.revoke()

        assert isinstance(ending, Failed)
        assert (ending.problem, "code" in ending.cause) == (problem, True)
        assert scene.document()["refreshToken"] == "refresh-0"

    async def test_a_yes_that_does_not_hold_is_no_yes(self, scene: Scene) -> None:
        scene.provider.answer = Revocation(RevocationResult.DONE)
        scene.provider.alive = lambda document: asyncio.sleep(0, True)  # type: ignore[method-assign]

        ending = await scene.revoke()

        assert isinstance(ending, Failed)
        assert "still works" in ending.cause

    async def test_what_nobody_can_check_is_believed(self, scene: Scene) -> None:
        scene.provider.checks = False

        ending = await scene.revoke()

        assert isinstance(ending, Buried)
        assert ending.lives is None

    async def test_a_secret_without_tokens_or_without_itself(self, scene: Scene) -> None:
        scene.store.write(NAME, {"apiKey": "k"})
        ending = await scene.revoke()
        assert isinstance(ending, Failed)
        assert ending.problem is Problem.NOTHING_TO_REVOKE

        scene.store.remove(NAME)
        ending = await scene.revoke()
        assert isinstance(ending, Failed)
        assert ending.problem is Problem.NOTHING_TO_REVOKE

    async def test_a_store_that_does_not_answer(self, scene: Scene) -> None:
        scene.store.fail("describe", StoreUnavailable)

        ending = await scene.revoke()

        assert isinstance(ending, Failed)
        assert ending.problem is Problem.UPSTREAM_UNAVAILABLE
        assert scene.provider.requests == []

    async def test_a_secret_that_another_cluster_owns(self, scene: Scene) -> None:
        await scene.revoke("owner", exclusive=True)
        scene.consent(7)

        assert isinstance(await scene.revoke("other"), MirrorOnly)
        assert "refresh-7" in scene.provider.alive_tokens

    async def test_a_document_that_cannot_be_read(self, scene: Scene) -> None:
        scene.store.write(NAME, "no JSON")

        ending = await scene.revoke()

        assert isinstance(ending, Failed)
        assert ending.problem is Problem.SECRET_MALFORMED


async def test_tokens_that_nobody_knows_are_not_called_revoked(scene: Scene) -> None:
    scene.crash_at = "keep"
    with pytest.raises(Crash):
        await scene.refresh("b")
    revoker = Revoker(scene.parts("a"))
    assert isinstance(await revoker.run(scene.order()), Waiting)
    scene.time.now += 900

    ending = await revoker.run(scene.order())

    assert isinstance(ending, Buried)
    assert ending.doubt
    assert "refresh-1" in scene.provider.alive_tokens


class TestGivingUp:
    """Others that use the grant can refresh it again."""

    async def fail(self, scene: Scene) -> Revoker:
        scene.provider.answer = Revocation(RevocationResult.RETRY, "http_503")
        revoker = Revoker(scene.parts())
        assert isinstance(await revoker.run(scene.order()), Failed)
        return revoker

    async def test_the_mark_goes_and_nothing_is_in_doubt(self, scene: Scene) -> None:
        revoker = await self.fail(scene)

        assert await revoker.finish(NAME)

        assert await scene.label(REVOKING_LABEL) is None
        parts = scene.parts("b")
        view = await look(scene.store, NAME)
        attempts = await parts.ledger(view.scheme).attempts(view, view.of)
        assert fates(attempts, {}) == {0: Fate.NOT_SENT}

    async def test_the_mark_of_another_cluster_stays(self, scene: Scene) -> None:
        await self.fail(scene)

        assert await Revoker(scene.parts("b")).finish(NAME)
        assert await scene.label(REVOKING_LABEL) is not None

        assert await Revoker(scene.parts("c", cluster="a")).finish(NAME)
        assert await scene.label(REVOKING_LABEL) is None

    async def test_the_mark_of_the_owner_stays(self, scene: Scene) -> None:
        scene.crash_at = "revoke-refresh"
        with pytest.raises(Crash):
            await scene.revoke("owner", exclusive=True)
        other = Revoker(scene.parts("b"))
        assert isinstance(await other.run(scene.order()), MirrorOnly)

        assert await other.finish(NAME)

        assert await scene.label(REVOKING_LABEL) is not None

    async def test_but_not_when_this_one_tried_to_finish_it(self, scene: Scene) -> None:
        await self.fail(scene)
        revoker = Revoker(scene.parts("b"))
        assert isinstance(await revoker.run(scene.order()), Failed)

        await revoker.finish(NAME)

        assert await scene.label(REVOKING_LABEL) is None

    async def test_a_refresh_follows_once_the_claim_has_had_its_time(self, scene: Scene) -> None:
        await (await self.fail(scene)).finish(NAME)
        refresher = Refresher(scene.parts("b"))
        assert isinstance(await refresher.run(scene.target()), Waiting)
        scene.time.now += 900

        ending = await refresher.run(scene.target())

        assert isinstance(ending, Current)
        assert ending.refreshed

    async def test_a_lease_is_given_back(self, scene: Scene) -> None:
        scene.provider.lifetime = 1800.0  # less than 45 minutes: the next attempt is reserved by a label
        assert isinstance(await scene.refresh(), Current)
        assert scene.document()["tolstoy"]["scheme"] == "lease"
        revoker = await self.fail(scene)
        assert await scene.label(LEASE_LABEL) is None

        await revoker.finish(NAME)

        assert await scene.label(LEASE_LABEL) is not None

    async def test_a_store_that_does_not_answer_is_said(self, scene: Scene) -> None:
        revoker = await self.fail(scene)
        scene.store.fail("describe", StoreUnavailable)

        assert not await revoker.finish(NAME)


async def test_two_clusters_at_once_are_one_revocation(scene: Scene) -> None:
    endings = await asyncio.gather(scene.revoke("a"), scene.revoke("b"))

    for ending in endings:
        assert isinstance(ending, Buried | Waiting)
    assert any(isinstance(ending, Buried) for ending in endings)
    assert scene.provider.alive_tokens == set()


async def test_passes_of_one_process_do_not_overlap(scene: Scene) -> None:
    revoker = Revoker(scene.parts())
    gate = scene.store.hold("describe")
    first = asyncio.create_task(revoker.run(scene.order()))
    await asyncio.sleep(0)

    assert isinstance(await revoker.run(scene.order()), Waiting)
    gate.set()
    assert isinstance(await first, Buried)


async def test_the_end_waits_for_a_pass_that_is_under_way(scene: Scene) -> None:
    """Or the pass would go on without a mark, and with a consent that comes then."""
    revoker = Revoker(scene.parts())
    ends: list[asyncio.Task[bool]] = []

    async def end() -> None:
        ends.append(asyncio.create_task(revoker.finish(NAME)))
        for _ in range(30):
            await asyncio.sleep(0)
        scene.consent(7)

    scene.before["revoke-access"] = end

    assert await revoker.run(scene.order()) == Superseded()
    assert await ends[0]
    assert {"access-7", "refresh-7"} <= scene.provider.alive_tokens
    assert await scene.label(REVOKING_LABEL) is None
