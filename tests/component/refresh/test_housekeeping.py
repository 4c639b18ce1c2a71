"""What the journal may forget."""

from __future__ import annotations

import pytest

from tests.component.refresh.stage import Stage, StagedReplica
from tests.simulation.store import NAME
from tolstoy_operator.domain.errors import StoreUnavailable
from tolstoy_operator.domain.refresh import RefreshRules
from tolstoy_operator.services.refresh.endings import Failed
from tolstoy_operator.services.refresh.housekeeping import JournalKeeper

KEPT_S = RefreshRules().journal_kept_s


@pytest.fixture
def stage() -> Stage:
    made = Stage()
    made.consent()
    replica = made.replica(exclusive=True)
    for _ in range(3):
        made.until_due()
        replica.run()
    return made


def keeper(replica: StagedReplica) -> JournalKeeper:
    return JournalKeeper(replica.refresher._parts)


async def look_through(replica: StagedReplica) -> int:
    entries = await keeper(replica).entries()
    return await keeper(replica).tidy(entries)


def tidy(stage: Stage) -> int:
    replica = stage.replica()
    return stage.finish(replica.process, look_through(replica))


def test_the_journal_says_which_secrets_to_look_at(stage: Stage) -> None:
    replica = stage.replica()

    assert {entry.secret for entry in stage.finish(replica.process, keeper(replica).entries())} == {NAME}


def test_nothing_is_removed_for_a_while(stage: Stage) -> None:
    stage.wait(KEPT_S - 3610)
    stage.edit()

    assert stage.clusters["blue"].objects
    assert tidy(stage) == 0


def test_what_is_known_of_the_token_in_use_is_kept_however_often_its_document_is_edited(stage: Stage) -> None:
    objects = stage.clusters["blue"].objects
    before = set(objects)
    stage.until_due()
    stage.line.lost = 1.0
    ending = stage.replica(exclusive=True).run()
    doubts = set(objects) - before
    for _ in range(2):
        stage.wait(KEPT_S)
        stage.edit(tolstoy=None)

    assert isinstance(ending, Failed)
    assert tidy(stage) == len(before)
    assert set(objects) == doubts


def test_what_may_be_newer_by_another_clock_is_kept(stage: Stage) -> None:
    stage.wait(KEPT_S)
    kept = len(stage.clusters["blue"].objects) - tidy(stage)

    assert kept == len(stage.clusters["blue"].objects) == 2, "the last claim and its result"


def test_what_the_store_has_moved_past_is_removed(stage: Stage) -> None:
    objects = len(stage.clusters["blue"].objects)
    stage.wait(KEPT_S)
    stage.edit()

    assert tidy(stage) == objects
    assert stage.clusters["blue"].objects == {}


def test_the_store_is_not_asked_for_the_sake_of_a_few_objects(stage: Stage) -> None:
    objects = len(stage.clusters["blue"].objects)
    stage.rules = RefreshRules()
    stage.wait(KEPT_S)
    stage.edit()

    assert objects < RefreshRules().journal_crowd
    assert tidy(stage) == 0
    stage.wait(RefreshRules().journal_longest_s - KEPT_S)
    assert tidy(stage) == objects


def test_what_is_not_upstream_yet_is_kept_however_old(stage: Stage) -> None:
    stage.until_due()
    stage.clusters["blue"].create("result-waiting", "{}")
    stage.wait(KEPT_S + 10)

    assert tidy(stage) > 0
    assert "result-waiting" in stage.clusters["blue"].objects


def test_nothing_is_removed_unseen(stage: Stage) -> None:
    before = len(stage.clusters["blue"].objects)
    stage.wait(KEPT_S)
    stage.cut_off("blue", seconds=60.0)

    assert tidy(stage) == 0
    assert len(stage.clusters["blue"].objects) == before


def test_a_journal_that_cannot_be_listed_is_said_to_be_so(stage: Stage) -> None:
    stage.network.weather.cut_off["blue", "api blue"] = stage.loop.now + 60.0

    async def expect() -> None:
        with pytest.raises(StoreUnavailable):
            await look_through(replica)

    replica = stage.replica()
    stage.finish(replica.process, expect())
