"""What one pass does in each situation that the protocol knows."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.component.refresh.stage import STRICT, Stage, StagedReplica, refuse
from tests.simulation.provider import Behaviour, EndpointClient
from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.refresh import OldAccessToken, ProviderTraits, RefreshRules, Rotation
from tolstoy_operator.domain.refreshids import DEAD_LABEL, DOUBT_LABEL, LOST_LABEL, REVOKING_LABEL
from tolstoy_operator.domain.tokenoutcome import Accepted, Outcome
from tolstoy_operator.domain.tokenreply import Sent, parse_reply
from tolstoy_operator.services.refresh.endings import (
    Current,
    Ending,
    Failed,
    Journalled,
    MirrorOnly,
    Problem,
    Waiting,
)
from tolstoy_operator.services.refresh.housekeeping import JournalKeeper
from tolstoy_operator.stores.base import CURRENT, PREVIOUS, VersionInfo


@pytest.fixture
def stage() -> Stage:
    made = Stage()
    made.consent(note="kept")
    return made


def refreshed(stage: Stage, *, times: int = 1, **settings: Any) -> int:
    """Refresh so often; returns how many writes the last refresh took."""
    replica, writes = stage.replica(**settings), 0
    for _ in range(times):
        stage.until_due()
        before = stage.store.writes
        ending = replica.run()
        writes = stage.store.writes - before
        assert isinstance(ending, Current), ending
        assert ending.refreshed
        assert stage.lives
    return writes


def test_a_token_that_is_due_is_refreshed_once_and_the_document_kept(stage: Stage) -> None:
    stage.until_due()
    before = stage.store.labels[CURRENT]

    ending = stage.replica().run()

    assert isinstance(ending, Current)
    assert (ending.refreshed, ending.rotated, ending.previous) == (True, True, before)
    assert ending.version == stage.store.labels[CURRENT]
    assert stage.current["note"] == "kept"
    assert stage.lives
    assert len(stage.provider.requests) == 1


class LateAnswers(EndpointClient):
    async def send(self, document: OAuthDocument, *, before_send: Callable[[], bool]) -> Outcome:
        outcome = await super().send(document, before_send=before_send)
        await self._process.sleep(25.0)
        return outcome


def test_a_late_answer_does_not_make_tokens_look_too_short_lived_for_good() -> None:
    stage = Stage(lifetime=RefreshRules().shortest_shared_s + 20.0)
    stage.consent()
    stage.until_due()
    replica = stage.replica()
    replica.endpoint = LateAnswers(stage.provider, stage.network, replica.process, stage.line, stage.rules)
    assert isinstance(replica.run(), Current)
    refreshed(stage)


def test_another_replica_finds_the_work_done(stage: Stage) -> None:
    refreshed(stage)

    ending = stage.replica("other").run()

    assert isinstance(ending, Current)
    assert not ending.refreshed
    assert len(stage.provider.requests) == 1


@pytest.mark.parametrize(
    ("traits", "lifetime", "settings", "versions", "writes"),
    [
        pytest.param(STRICT, 3600.0, {}, 2, 3, id="claim"),
        pytest.param(STRICT, 1800.0, {}, 1, 3, id="lease"),
        pytest.param(ProviderTraits(Rotation.NONE), 3600.0, {}, 1, 2, id="not rotating"),
        pytest.param(STRICT, 3600.0, {"exclusive": True}, 1, 2, id="owner"),
        pytest.param(STRICT, 3600.0, {"exclusive": True, "sole_writer": True}, 1, 1, id="sole writer"),
    ],
)
def test_what_a_refresh_costs(
    traits: ProviderTraits, lifetime: float, settings: dict[str, bool], versions: int, writes: int
) -> None:
    behaviour = Behaviour.STRICT if traits.claims else Behaviour.FIXED
    stage = Stage(behaviour, traits, lifetime=lifetime)
    stage.consent()
    refreshed(stage, times=2, **settings)
    before = len(stage.store.versions)

    assert refreshed(stage, **settings) == writes
    assert len(stage.store.versions) - before == versions


def test_steps_come_in_the_order_of_the_protocol(stage: Stage) -> None:
    stage.until_due()
    replica = stage.replica()

    replica.run()

    assert replica.steps == ["claim", "verify", "send", "keep", "commit"]


def test_a_provider_that_is_taken_for_static_and_rotates_is_found_out() -> None:
    stage = Stage(Behaviour.STRICT, ProviderTraits(Rotation.NONE))
    stage.consent()
    stage.until_due()
    replica = stage.replica()
    replica.run()
    assert "claim" not in replica.steps
    stage.until_due()
    stage.line.lost = 1.0
    lost = replica.run()
    assert isinstance(lost, Failed)
    assert lost.retry_after != 0.0, "a lost answer is not asked for again at once"
    assert "claim" in replica.steps
    assert isinstance(stage.replica(cluster="green").run(), Waiting), "the token is spent once"
    assert len(stage.provider.requests) == 2


@pytest.mark.parametrize("rotation", Rotation)
def test_tokens_too_short_lived_for_the_version_budget_are_refused_in_shared_mode(rotation: Rotation) -> None:
    stage = Stage(Behaviour.STRICT, ProviderTraits(rotation), lifetime=600.0)
    stage.consent()
    stage.until_due()
    replica = stage.replica()
    assert isinstance(replica.run(), Current), "nobody knows yet how long they live"
    stage.until_due()
    ending = replica.run()
    assert isinstance(ending, Failed)
    assert (ending.problem, len(stage.provider.requests)) == (Problem.VERSION_BUDGET_EXCEEDED, 1)
    assert ending.cause == "tokens this short-lived need exclusive mode"


def test_two_passes_of_one_process_do_not_overlap(stage: Stage) -> None:
    stage.until_due()
    replica = stage.replica()

    async def again() -> object:
        replica.refresher._busy.add(replica.target().name)
        return await replica.refresher.run(replica.target())

    assert isinstance(stage.finish(replica.process, again()), Waiting)
    assert stage.provider.requests == []


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"accessToken": "a", "expiresAt": 1}, Problem.REAUTHORIZATION_REQUIRED),
        ({"accessToken": "a", "refreshToken": "", "expiresAt": 1}, Problem.REAUTHORIZATION_REQUIRED),
        ({"refreshToken": 5, "expiresAt": 1}, Problem.SECRET_MALFORMED),
        ({"refreshToken": "r", "expiresAt": 1, "note": "x" * 60_000}, Problem.SECRET_MALFORMED),
        (
            {"refreshToken": "r", "expiresAt": "2020-01-01T00:10:00Z", "lastUpdated": "2020-01-01T00:00:00Z"},
            Problem.VERSION_BUDGET_EXCEEDED,
        ),
    ],
)
def test_nothing_is_spent_on_a_document_that_cannot_be_refreshed(
    stage: Stage, document: dict[str, object], problem: Problem
) -> None:
    stage.write(document)

    ending = stage.replica().run()

    assert isinstance(ending, Failed)
    assert ending.problem is problem
    assert stage.provider.requests == []


def test_nothing_is_spent_when_the_version_budget_is_used_up(stage: Stage) -> None:
    stage.rules = RefreshRules(version_limit=12)
    stage.until_due()
    stage.edit()
    stage.edit()

    ending = stage.replica().run()

    assert isinstance(ending, Failed)
    assert ending.problem is Problem.VERSION_BUDGET_EXCEEDED
    assert stage.provider.requests == []


def test_a_refusal_is_confirmed_then_believed_everywhere_until_a_new_consent(stage: Stage) -> None:
    stage.provider.end(stage.provider.families[0], "user")
    stage.until_due()
    replica = stage.replica()

    first, early = replica.run(), replica.run()
    stage.wait(61.0)
    second = replica.run()

    assert isinstance(first, Failed)
    assert first.problem is Problem.REFRESH_FAILING
    assert isinstance(early, Waiting)
    assert isinstance(second, Failed)
    assert second.problem is Problem.REAUTHORIZATION_REQUIRED
    assert stage.store.labels[DEAD_LABEL] == stage.store.labels[CURRENT]
    assert second.verdict
    assert stage.replica("other", "green").run() == replace(second, verdict=False)
    assert len(stage.provider.requests) == 2

    stage.consent()

    refreshed(stage)


def test_a_verdict_that_is_tried_again_and_stands_is_found_out_once(stage: Stage) -> None:
    stage.provider.end(stage.provider.families[0], "user")
    stage.until_due()
    replica, peer = stage.replica(), stage.replica("peer", "green")

    endings: list[Ending] = [replica.run()]
    for again in (replica, replica, replica, peer, peer, replica):
        stage.wait(6 * 3600.0)
        endings.append(again.run(insist=True))

    found = [ending for ending in endings if isinstance(ending, Failed)]
    assert [ending.verdict for ending in found] == [False, True, *[False] * (len(found) - 2)]
    assert {request.cluster for request in stage.provider.requests[2:]} == {"blue", "green"}


def test_a_false_verdict_is_cleared_by_insisting(stage: Stage) -> None:
    stage.until_due()
    stage.store.move("person", DEAD_LABEL, None, stage.store.labels[CURRENT])
    replica = stage.replica()

    assert isinstance(replica.run(), Failed)
    assert isinstance(replica.run(insist=True), Current)
    assert stage.lives


def test_a_lost_response_of_a_strict_provider_is_tried_at_the_last_moment_and_told_as_lost(stage: Stage) -> None:
    replica = stage.replica()
    stage.until_due()
    stage.line.lost = 1.0
    lost = replica.run()
    while not stage.provider.requests[-1].processed:  # the request itself may have been the one that was lost
        stage.wait(150.0)
        lost = replica.run(insist=True)
    stage.line.lost = 0.0

    waiting = [replica.run()]
    while not isinstance(waiting[-1], Failed):
        stage.wait(15.0)
        waiting.append(replica.run())
    refused_at = stage.loop.now
    stage.wait(61.0)
    verdict = replica.run()

    assert isinstance(lost, Failed)
    assert stage.current["expiresAt"] / 1000 - 1_700_000_000.0 - refused_at <= 60.0
    assert isinstance(verdict, Failed)
    assert verdict.problem is Problem.ROTATION_RESPONSE_LOST
    assert stage.store.labels[LOST_LABEL] == stage.store.labels[CURRENT]
    assert verdict.verdict, "it is found out once"
    assert stage.replica("other", "green").run() == replace(verdict, verdict=False)


def test_a_lost_response_of_a_provider_with_grace_is_recovered_at_once() -> None:
    stage = Stage(Behaviour.GRACE, ProviderTraits(Rotation.ROTATES, 600.0))
    stage.consent()
    stage.until_due()
    replica = stage.replica()
    stage.line.lost = 1.0
    lost = replica.run()
    stage.line.lost = 0.0

    recovered = replica.run()

    assert isinstance(lost, Failed)
    assert lost.retry_after == 0.0
    assert isinstance(recovered, Current)
    assert recovered.refreshed
    assert stage.lives


def test_where_a_refresh_ends_the_old_access_token_a_living_one_settles_the_doubt() -> None:
    stage = Stage(traits=ProviderTraits(Rotation.ROTATES, 0.0, OldAccessToken.DIES), old_dies=True)
    stage.consent()
    stage.until_due()
    replica = stage.replica()
    stage.line.failing = 1.0
    while not isinstance(ending := replica.run(), Failed) or "no usable answer" not in ending.cause:
        stage.wait(15.0)
    stage.line.failing = 0.0
    stage.wait(30.0)
    replica.run()
    stage.wait(121.0)

    assert isinstance(replica.run(), Current)
    assert stage.lives


def test_an_unreadable_reply_is_kept_for_a_person(stage: Stage) -> None:
    stage.until_due()
    stage.line.unreadable = 1.0

    ending = stage.replica().run()

    assert isinstance(ending, Failed)
    kept = stage.store.document(stage.store.labels[DOUBT_LABEL])["tolstoy"]
    assert kept["kind"] == "doubt"
    assert "rt-family0-2" in kept["raw"]
    assert stage.store.labels[DOUBT_LABEL] != stage.store.labels[CURRENT]


class CutAnswers(EndpointClient):
    """Tokens arrive as JSON, or as a form, that stops `short` bytes before its end, and the connection with it."""

    short, form = 0, False

    async def send(self, document: OAuthDocument, *, before_send: Callable[[], bool]) -> Outcome:
        outcome = await super().send(document, before_send=before_send)
        assert isinstance(outcome, Accepted)
        access, refresh = outcome.tokens.access_token, outcome.tokens.refresh_token
        assert refresh is not None
        fields = {"access_token": access.reveal(), "expires_in": "3600", "refresh_token": refresh.reveal()}
        body = (urlencode(fields) if self.form else json.dumps(fields)).encode()
        sent = Sent(at=self._process.read().wall)
        return parse_reply(200, {}, body[: max(0, len(body) - self.short)], sent=sent, whole=False)


def cut_answers(stage: Stage, **settings: Any) -> tuple[StagedReplica, CutAnswers]:
    """Tokens that are due, and a replica that gets answers without their end."""
    stage.until_due()
    replica = stage.replica(**settings)
    replica.endpoint = cut = CutAnswers(stage.provider, stage.network, replica.process, stage.line, stage.rules)
    return replica, cut


def test_an_answer_that_lacks_nothing_but_its_end_is_committed(stage: Stage) -> None:
    replica, _ = cut_answers(stage)

    ending = replica.run()

    assert isinstance(ending, Current)
    assert ending.refreshed
    assert stage.current["refreshToken"] == "rt-family0-2"
    assert stage.lives


@pytest.mark.parametrize(("short", "form"), [(1, False), (0, True)], ids=["json", "form"])
@pytest.mark.parametrize("exclusive", [False, True], ids=["shared", "exclusive"])
def test_what_came_of_an_answer_that_stops_is_kept_for_a_person(
    stage: Stage, exclusive: bool, short: int, form: bool
) -> None:
    refreshed(stage, exclusive=exclusive)
    current = stage.current
    replica, cut = cut_answers(stage, exclusive=exclusive)
    cut.short, cut.form = short, form

    ending = replica.run()

    assert isinstance(ending, Failed)
    assert ending.cause == "no usable answer (truncated)"
    assert stage.current == current
    if exclusive:
        records = [json.loads(payload)["tolstoy"] for payload, _ in stage.clusters["blue"].objects.values()]
        (kept,) = [record for record in records if record.get("kind") == "doubt"]
    else:
        kept = stage.store.document(stage.store.labels[DOUBT_LABEL])["tolstoy"]
    assert "rt-family0-3" in kept["raw"]


def test_of_an_answer_of_which_nothing_came_nothing_is_kept(stage: Stage) -> None:
    replica, cut = cut_answers(stage)
    cut.short = 1000

    assert isinstance(replica.run(), Failed)
    assert DOUBT_LABEL not in stage.store.labels


@pytest.mark.parametrize("forgets", [False, True], ids=["an edit", "an edit that drops what we noted"])
def test_an_old_copy_that_is_saved_after_a_refresh_gets_the_live_tokens(stage: Stage, forgets: bool) -> None:
    refreshed(stage)
    old = stage.current
    refreshed(stage)
    stage.write({key: value for key, value in {**old, "note": "edited"}.items() if not forgets or key != "tolstoy"})

    ending = stage.replica("other", "green").run()

    assert isinstance(ending, Current)
    assert ending.refreshed
    assert stage.current["note"] == "edited"
    assert stage.lives
    assert len(stage.provider.requests) == 2
    refreshed(stage)


def test_a_version_that_was_moved_back_by_hand_is_neither_spent_nor_rolled_forward(stage: Stage) -> None:
    refreshed(stage)
    stage.store.move("person", CURRENT, stage.store.labels[CURRENT], stage.store.labels[PREVIOUS])
    moved_to = stage.store.labels[CURRENT]
    replica = stage.replica("other")

    first = replica.run()
    stage.wait(61.0)
    second = replica.run()

    assert isinstance(first, Waiting)
    assert isinstance(second, Failed)
    assert second.problem is Problem.REAUTHORIZATION_REQUIRED
    assert stage.store.labels[CURRENT] == moved_to
    assert len(stage.provider.requests) == 1


def test_a_second_exclusive_cluster_mirrors_and_says_so(stage: Stage) -> None:
    refreshed(stage, exclusive=True)
    stage.until_due()

    assert stage.replica("rival", "green", exclusive=True).run() == MirrorOnly(rival=True)
    assert stage.replica("plain", "green").run() == MirrorOnly(rival=False)
    assert len(stage.provider.requests) == 1


def test_a_secret_whose_owner_was_taken_off_is_refreshed_by_the_others_after_a_while(stage: Stage) -> None:
    refreshed(stage, times=2, exclusive=True)
    stage.store.move("person", "TOLSTOY_OWNER", stage.store.labels["TOLSTOY_OWNER"], None)
    stage.until_due()
    other = stage.replica("other", "green")

    assert isinstance(other.run(), Waiting)
    stage.wait(121.0)
    assert isinstance(other.run(), Current)
    assert stage.lives


def test_short_lived_tokens_of_an_owner_go_upstream_now_and_then() -> None:
    stage = Stage(lifetime=600.0)
    stage.rules = RefreshRules(shortest_shared_s=0.0)
    stage.consent()
    refreshed(stage, exclusive=True)
    stage.rules = RefreshRules()
    upstream = stage.store.writes
    endings: list[Ending] = []
    for _ in range(12):
        endings.append(stage.replica(f"op{len(endings)}", exclusive=True).run())
        stage.wait(301.0)

    documents = [ending.document for ending in endings if isinstance(ending, Current | Journalled)]
    assert len(documents) == 12
    assert all(stage.provider.access_tokens[document.members["accessToken"]] for document in documents)
    assert len({document.members["accessToken"] for document in documents}) >= 8
    assert sum(isinstance(ending, Current) and ending.refreshed for ending in endings) == 2
    assert stage.store.writes - upstream <= 2 * 2
    assert not any(family.ended_by for family in stage.provider.families)


def test_what_an_owner_could_not_write_in_time_is_not_lost_when_it_is_no_longer_the_owner(stage: Stage) -> None:
    refreshed(stage, times=2, exclusive=True)
    stage.until_due()
    replica = stage.replica(exclusive=True)

    async def cut(name: str) -> None:
        if name == "keep":
            stage.cut_off("blue", seconds=400.0)

    object.__setattr__(replica.refresher._parts, "step", cut)
    ending = replica.run()
    stage.store.move("person", "TOLSTOY_OWNER", stage.store.labels["TOLSTOY_OWNER"], None)
    stage.wait(400.0)
    stage.replica("other", "green", exclusive=True).run()
    helped = stage.replica("peer").run()

    assert isinstance(ending, Journalled)
    assert isinstance(helped, Current)
    assert helped.document.members["refreshToken"] == ending.document.members["refreshToken"]
    assert stage.lives
    assert len(stage.provider.requests) == 3


def test_tokens_that_the_store_does_not_take_are_kept_in_the_cluster_and_written_later_by_a_peer(stage: Stage) -> None:
    stage.until_due()
    replica, step = stage.replica(), "send"

    async def cut(name: str) -> None:
        if name == step:
            stage.cut_off("blue", seconds=200.0)

    object.__setattr__(replica.refresher._parts, "step", cut)
    ending = replica.run()
    stage.wait(200.0)
    helped = stage.replica("peer").run()

    assert isinstance(ending, Journalled)
    assert isinstance(helped, Current)
    assert helped.version == ending.version
    assert stage.lives
    assert len(stage.provider.requests) == 1


def test_a_consent_that_a_sole_writer_replaced_unseen_is_put_back() -> None:
    stage = Stage()
    stage.consent()
    refreshed(stage, times=2, exclusive=True, sole_writer=True)
    stage.until_due()
    replica = stage.replica(exclusive=True, sole_writer=True)

    async def consent(name: str) -> None:
        if name == "overwrite":
            stage.consent(note="new consent")

    object.__setattr__(replica.refresher._parts, "step", consent)
    ending = replica.run()

    assert isinstance(ending, Current)
    assert stage.current["note"] == "new consent"
    assert stage.lives


@pytest.mark.parametrize("edit", [{"note": "kept"}, {"note": "kept", "tolstoy": {}}], ids=["edited", "stripped"])
def test_an_edit_that_a_sole_writer_replaced_before_it_died_is_put_back(edit: dict[str, Any]) -> None:
    stage = Stage()
    stage.consent()
    refreshed(stage, times=2, exclusive=True, sole_writer=True)
    stage.until_due()
    replica = stage.replica(exclusive=True, sole_writer=True)

    async def edited(name: str) -> None:
        if name == "overwrite":
            stage.edit(**edit)
            refuse(replica.refresher._parts.store, "describe")

    object.__setattr__(replica.refresher._parts, "step", edited)
    unseen = replica.run()
    lost = stage.current.get("note")
    ending = stage.replica(exclusive=True, sole_writer=True).run()
    stage.until_due()
    refreshed(stage, exclusive=True, sole_writer=True)

    assert isinstance(unseen, Journalled)
    assert lost != "kept"
    assert isinstance(ending, Current)
    assert stage.current["note"] == "kept"
    assert stage.lives
    assert len(stage.provider.requests) == 4


def test_a_sole_writer_leaves_what_was_moved_back_by_hand() -> None:
    stage = Stage()
    stage.consent()
    refreshed(stage, exclusive=True, sole_writer=True)
    result = stage.store.labels[CURRENT]
    stage.edit(note="withdrawn")
    withdrawn = stage.store.labels[CURRENT]

    stage.store.move("console", CURRENT, withdrawn, result)
    ending = stage.replica(exclusive=True, sole_writer=True).run()

    assert isinstance(ending, Current)
    assert stage.store.labels[CURRENT] == result


def test_two_answers_that_nobody_reserved_do_not_stop_what_comes_after_them() -> None:
    """The first one is upstream, where others look for it, and not current; the second one is in the journal."""
    stage = Stage(Behaviour.FIXED, ProviderTraits(Rotation.NONE), lifetime=600.0)
    stage.consent()
    refreshed(stage, exclusive=True)
    stage.wait(301.0)
    assert isinstance(stage.replica(exclusive=True).run(), Journalled)
    stage.wait(301.0)
    hindered = stage.replica(exclusive=True)
    parts = hindered.refresher._parts
    refuse(parts.journal, "create")
    refuse(parts.store, "move_label")
    assert isinstance(hindered.run(), Failed)

    assert isinstance(stage.replica(exclusive=True).run(), Journalled)
    stage.wait(stage.rules.upstream_every_s)
    ending = stage.replica(exclusive=True).run()
    assert isinstance(ending, Current)
    assert ending.document.members["accessToken"] == list(stage.provider.access_tokens)[-1], "the newer one counts"


def test_tokens_that_are_due_when_they_come_are_not_refreshed_without_end() -> None:
    stage = Stage(lifetime=200.0)
    stage.consent()
    replica = stage.replica(exclusive=True)
    stage.rules = RefreshRules()

    endings = [replica.run() for _ in range(20)]

    assert len(stage.provider.requests) <= 2
    assert isinstance(endings[-1], Waiting)


def test_a_provider_that_asks_for_a_pause_is_given_it(stage: Stage) -> None:
    stage.until_due()
    stage.line.failing = 1.0
    pauses = set()
    for _ in range(8):
        ending = stage.replica().run()
        pauses.add(ending.retry_after if isinstance(ending, Failed) else None)
        stage.wait(1000.0)

    assert 20.0 in pauses


def test_a_mark_of_revocation_that_the_owner_did_not_set_does_not_stop_it(stage: Stage) -> None:
    refreshed(stage, exclusive=True)
    stage.store.labels[REVOKING_LABEL] = stage.store.labels[CURRENT]
    stage.until_due()

    others = stage.replica("peer", "green").run()
    refreshed(stage, exclusive=True)

    assert isinstance(others, Failed)
    assert others.problem is Problem.REVOKING
    assert REVOKING_LABEL not in stage.store.labels


def test_a_mark_of_revocation_that_nobody_acts_on_is_taken_off_after_a_while(stage: Stage) -> None:
    stage.store.labels[REVOKING_LABEL] = stage.store.labels[CURRENT]
    replica = stage.replica()
    stage.until_due()

    first = replica.run()
    stage.wait(stage.rules.mark_s + 1.0)
    later = replica.run()

    assert isinstance(first, Failed)
    assert first.problem is Problem.REVOKING
    assert isinstance(later, Current)
    assert later.refreshed
    assert REVOKING_LABEL not in stage.store.labels


def tidied(stage: Stage) -> None:
    """The journal has forgotten everything but the last refresh."""
    replica = stage.replica(exclusive=True)
    stage.wait(stage.rules.journal_kept_s)
    keeper = JournalKeeper(replica.refresher._parts)
    entries = stage.finish(replica.process, keeper.entries())
    replica = stage.replica(exclusive=True)
    assert stage.finish(replica.process, keeper.tidy(entries)) > 0


def test_a_version_that_was_moved_back_is_not_spent_again_when_the_journal_has_forgotten_it() -> None:
    stage = Stage()
    stage.consent()
    refreshed(stage, times=2, exclusive=True)
    old = stage.store.labels[CURRENT]
    refreshed(stage, times=2, exclusive=True)
    tidied(stage)
    stage.store.move("person", CURRENT, stage.store.labels[CURRENT], old)
    before = len(stage.provider.requests)

    stage.until_due()
    replica = stage.replica(exclusive=True)
    replica.run()
    stage.wait(stage.rules.settled_s + 1)
    ending = replica.run()

    assert isinstance(ending, Failed)
    assert ending.problem is Problem.REAUTHORIZATION_REQUIRED
    assert "moved back" in ending.cause
    assert len(stage.provider.requests) == before


def test_an_old_copy_that_is_saved_when_the_journal_has_forgotten_it_gets_the_live_tokens() -> None:
    stage = Stage()
    stage.consent()
    refreshed(stage, times=2, exclusive=True)
    old = {key: value for key, value in stage.current.items() if key != "tolstoy"}
    refreshed(stage, times=2, exclusive=True)
    tidied(stage)
    stage.write({**old, "note": "edited"})

    ending = stage.replica(exclusive=True).run()

    assert isinstance(ending, Current)
    assert stage.current["note"] == "edited"
    refreshed(stage, exclusive=True)


def cut_off_after_the_request(stage: Stage, replica: StagedReplica, *, seconds: float) -> Ending:
    """One pass; the store is out of reach from the request on."""

    async def cut(name: str) -> None:
        if name == "send":
            stage.cut_off("blue", seconds=seconds)

    object.__setattr__(replica.refresher._parts, "step", cut)
    return replica.run()


def test_a_late_result_on_an_old_view_takes_the_next_attempt_from_whoever_else_has_one(stage: Stage) -> None:
    """The view of the peer does not show that the place has been sealed, the taker's not that the result has come."""
    stage.until_due()
    owner, taker = stage.replica("owner"), stage.replica("taker", "red")
    ending = cut_off_after_the_request(stage, owner, seconds=1000.0)
    peers_view = stage.loop.now
    for _ in range(200):
        if len(stage.provider.requests) == 2:
            break
        taker.run()
        stage.wait(15.0)
    stage.wait(1000.0)
    takers_view, until = stage.loop.now, stage.loop.now + 10_000.0
    stage.network.weather.stuck.update(peer=(peers_view, until), taker=(takers_view, until))
    late = stage.replica("peer").run()
    for _ in range(20):
        taker.run()
        stage.wait(15.0)

    assert isinstance(ending, Journalled)
    assert isinstance(late, Current)
    assert stage.current["refreshToken"] == "rt-family0-2"
    assert len(stage.provider.requests) == 2


def test_an_old_version_that_nests_too_deep_keeps_nobody_from_a_refresh(stage: Stage) -> None:
    levels = 30_000
    stage.store.put("person", '{"note":' + "[" * levels + "]" * levels + "}", str(uuid.uuid4()), [CURRENT])
    stage.consent()
    stage.until_due()
    assert isinstance(stage.replica().run(), Current)


def test_a_token_is_not_spent_while_the_list_that_would_trace_it_lags(stage: Stage) -> None:
    refreshed(stage)
    stage.edit(tolstoy=None)
    stage.until_due()
    replica, requests = stage.replica(), len(stage.provider.requests)
    store = replica.refresher._parts.store
    listed = store.list_versions

    async def lagging(name: str) -> Sequence[VersionInfo]:
        return [info for info in await listed(name) if info.version_id != stage.store.labels[PREVIOUS]]

    store.list_versions = lagging  # type: ignore[method-assign]
    lagged = replica.run()
    store.list_versions = listed  # type: ignore[method-assign]

    assert isinstance(lagged, Failed)
    assert lagged.problem is Problem.UPSTREAM_UNAVAILABLE
    assert len(stage.provider.requests) == requests
    ending = replica.run()
    assert isinstance(ending, Current)
    assert ending.refreshed


@pytest.mark.parametrize(
    ("deleted", "problem"),
    [
        pytest.param("result", Problem.ROTATION_RESPONSE_LOST, id="the tokens"),
        pytest.param("", Problem.REAUTHORIZATION_REQUIRED, id="everything"),
    ],
)
def test_a_journal_that_somebody_deletes_takes_its_tokens_along_and_is_told(
    stage: Stage, deleted: str, problem: Problem
) -> None:
    """Where the claim is left, it tells that a response is missing; where nothing is, nothing tells."""
    refreshed(stage, exclusive=True)
    stage.until_due()
    replica = stage.replica(exclusive=True)
    ending = cut_off_after_the_request(stage, replica, seconds=400.0)
    objects = stage.clusters["blue"].objects
    for key in [key for key in objects if key.startswith(deleted)]:
        del objects[key]
    stage.wait(400.0)
    peer = stage.replica("peer", exclusive=True)
    told = peer.run()
    for _ in range(40):
        if isinstance(told, Failed) and told.verdict:
            break
        stage.wait(61.0)
        told = peer.run()

    assert isinstance(ending, Journalled)
    assert isinstance(told, Failed)
    assert told.problem is problem
    stage.consent()
    refreshed(stage, exclusive=True)
