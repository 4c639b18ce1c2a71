"""Asking the operator and waiting for what it says, against a cluster that answers as told."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.cli.faketime import FakeTime
from tests.unit.cli.objects import NOW, active, credential
from tolstoy_operator.api.names import FORCE_SYNC
from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.cli.errors import CliError
from tolstoy_operator.cli.refresh import Outcome, refresh
from tolstoy_operator.domain.forcesync import mark_of

Object = dict[str, Any]


class FakeCluster(FakeTime):
    """One credential; at the n-th look after the question (from 1) `answers[n]` happens to it."""

    def __init__(self, body: Object, answers: dict[int, Callable[[Object], None]]) -> None:
        super().__init__()
        self.body = body
        self.answers = answers
        self.looks: int | None = None

    async def credential(self, namespace: str, name: str) -> Object:
        if self.looks is not None:
            self.looks += 1
            change = self.answers.get(self.looks)
            if change is not None:
                change(self.body)
        return copy.deepcopy(self.body)

    async def ask_for_sync(self, namespace: str, name: str, mark: str) -> Object:
        self.looks = 0
        self.body["metadata"]["annotations"] = {FORCE_SYNC: mark}
        return copy.deepcopy(self.body)


def handles(body: Object) -> None:
    body["status"]["lastHandledForceSync"] = mark_of(body["metadata"])


def becomes(*args: Any, **fields: Any) -> Callable[[Object], None]:
    def change(body: Object) -> None:
        handled = body["status"].get("lastHandledForceSync")
        body["status"] = {**credential(*args, **fields)["status"], "lastHandledForceSync": handled}

    return change


async def run(
    body: Object | None = None, *, wait: bool = True, timeout: float = 10, **answers: Callable[[Object], None]
) -> tuple[Outcome, FakeCluster]:
    at = {int(key.removeprefix("look_")): answer for key, answer in answers.items()}
    cluster = FakeCluster(body or credential(grant=active()), at)
    outcome = await refresh(cluster, "shop", "github", wait=wait, timeout=timeout, clocks=cluster.clocks)
    return outcome, cluster


async def test_it_waits_until_the_operator_has_handled_it() -> None:
    outcome, cluster = await run(look_3=handles)
    assert outcome.good
    assert cluster.looks == 3
    assert cluster.body["metadata"]["annotations"] == {FORCE_SYNC: "2026-06-01T12:00:00.000000Z"}


async def test_without_waiting_nothing_is_known() -> None:
    outcome, cluster = await run(wait=False)
    assert (outcome.after, outcome.good, outcome.token_refreshed, cluster.looks) == (None, True, None, 0)


@pytest.mark.parametrize("theirs", ["theirs", "x" * 250_000], ids=["short", "long"])
async def test_a_mark_of_somebody_else_that_came_later_serves_as_well(theirs: str) -> None:
    def overtaken(body: Object) -> None:
        body["metadata"]["annotations"][FORCE_SYNC] = theirs

    _, cluster = await run(look_1=overtaken, look_2=handles)
    assert cluster.looks == 2


async def test_an_operator_that_is_silent() -> None:
    with pytest.raises(CliError, match=r"has not looked at shop/github within 10 s") as error:
        await run()
    assert "platform team" in error.value.next_step


def drop_annotation(body: Object) -> None:
    body["metadata"]["annotations"] = {}


def make_anew(body: Object) -> None:
    body["metadata"]["uid"] = "another"


@pytest.mark.parametrize("change", [drop_annotation, make_anew])
async def test_a_question_that_got_lost(change: Callable[[Object], None]) -> None:
    with pytest.raises(CliError, match="somebody has replaced"):
        await run(look_2=change)


async def test_an_object_that_is_being_deleted_is_not_asked_about() -> None:
    with pytest.raises(CliError, match="being deleted"):
        await run(credential(deletionTimestamp="2026-06-01T12:00:00Z"))


async def test_what_the_operator_found_out_comes_with_its_acknowledgement() -> None:
    sick = credential("github", Reason.REAUTHORIZATION_REQUIRED, grant=active())

    def heals(body: Object) -> None:
        becomes(grant={**active(timedelta(hours=2)), "lastRefreshTime": "2026-06-01T12:00:01Z"})(body)
        handles(body)

    outcome, cluster = await run(sick, look_3=heals)
    assert (outcome.good, outcome.token_refreshed, cluster.looks) == (True, True, 3)
    lines = list(outcome.lines(NOW))
    assert lines[0] == "shop/github: the operator has looked at it"
    assert lines[-1].endswith("refreshed; ends in 2h (2026-06-01T14:00:00Z)")


async def test_a_grant_that_stays_in_trouble_is_no_success() -> None:
    sick = credential("github", Reason.REAUTHORIZATION_REQUIRED, grant=active())
    outcome, cluster = await run(sick, look_1=handles)
    assert (outcome.good, outcome.token_refreshed) == (False, False)
    assert cluster.looks == 1, "the acknowledgement comes with the outcome"
    text = "\n".join(outcome.lines(NOW))
    assert "who acts   the organisation must give its consent again" in text
    assert "not refreshed" in text


async def test_a_credential_without_a_grant_says_nothing_of_tokens() -> None:
    outcome, _ = await run(credential(), look_1=handles)
    assert outcome.token_refreshed is None
    assert outcome.to_json(NOW)["tokenRefreshed"] is None
    assert not any("token" in line for line in outcome.lines(NOW))
