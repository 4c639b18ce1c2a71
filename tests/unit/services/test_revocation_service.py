"""What a revocation's ending is called, and that every one is audited and counted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from tests.unit.services.bench import ACTOR, NAME, Bench
from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.refresh import ProviderTraits
from tolstoy_operator.domain.revocation import TokenKind
from tolstoy_operator.observability.audit import Entry, Operation
from tolstoy_operator.services.endpoints import Endpoints
from tolstoy_operator.services.refresh.endings import Failed, MirrorOnly, Problem, Waiting
from tolstoy_operator.services.refresh.revocation import Buried, Order, RevocationEnding, Revoker, Superseded
from tolstoy_operator.services.revocation import Outcome, RevocationService

BURIED = Buried("v2", OAuthDocument.of({"tolstoy": {"revoked": True}}), lives=False)


class FakeRevoker:
    def __init__(self, ending: RevocationEnding) -> None:
        self.ending = ending
        self.finished: list[str] = []

    async def run(self, order: Order) -> RevocationEnding:
        assert order.name == NAME
        return self.ending

    async def finish(self, name: str) -> bool:
        self.finished.append(name)
        return True


class FakeEndpoints:
    def __init__(self) -> None:
        self.revocable: tuple[TokenKind, ...] = (TokenKind.REFRESH,)

    def of(self, tool: str | None) -> SimpleNamespace:
        assert tool == "github"
        return SimpleNamespace(traits=ProviderTraits(), revocable=self.revocable)


class Desk:
    """A service around one ending."""

    def __init__(self, ending: RevocationEnding) -> None:
        self.bench, self.revoker, self.endpoints = Bench(), FakeRevoker(ending), FakeEndpoints()
        self.counted: list[tuple[str, str]] = []
        self.audited: list[Entry] = []
        self.service = RevocationService(
            revoker=cast(Revoker, self.revoker),
            endpoints=cast(Endpoints, self.endpoints),
            secrets=self.bench.service,
            on_revocation=lambda tool, outcome: self.counted.append((tool, outcome)),
            record=self.audited.append,
        )


@pytest.mark.parametrize(
    ("ending", "outcome", "told"),
    [
        (BURIED, Outcome.REVOKED, "ok"),
        (Superseded(), Outcome.SUPERSEDED, "Superseded"),
        (MirrorOnly(rival=False), Outcome.FOREIGN, "Foreign"),
        (Failed(Problem.REVOCATION_UNSUPPORTED, "x"), Outcome.IMPOSSIBLE, "RevocationUnsupported"),
        (Failed(Problem.NOTHING_TO_REVOKE, "x"), Outcome.IMPOSSIBLE, "NothingToRevoke"),
        (Failed(Problem.SECRET_MALFORMED, "x"), Outcome.IMPOSSIBLE, "SecretMalformed"),
        (Failed(Problem.REVOCATION_FAILING, "x", 7.0), Outcome.LATER, "RevocationFailing"),
        (Failed(Problem.UPSTREAM_UNAVAILABLE, "x"), Outcome.LATER, "UpstreamUnavailable"),
    ],
)
async def test_every_ending_has_its_name_and_its_line(ending: RevocationEnding, outcome: Outcome, told: str) -> None:
    desk = Desk(ending)

    result = await desk.service.revoke(NAME, actor=ACTOR)

    assert result.outcome is outcome
    assert result.cause
    assert desk.counted == [("github", told)]
    (entry,) = desk.audited
    assert (entry.operation, entry.secret, entry.outcome, entry.actor) == (Operation.REVOKE, NAME, told, ACTOR)
    assert entry.version == ("v2" if outcome is Outcome.REVOKED else None)


async def test_waiting_is_counted_and_not_audited() -> None:
    desk = Desk(Waiting(15.0, "a refresh is under way"))

    result = await desk.service.revoke(NAME, actor=ACTOR)

    assert (result.outcome, result.retry_after, result.problem) == (Outcome.LATER, 15.0, None)
    assert (desk.counted, desk.audited) == ([("github", "later")], [])


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        (BURIED, "the tokens are revoked"),
        (Buried("v2", BURIED.document, lives=None), "nobody can check"),
        (Buried("v2", BURIED.document, lives=True), "lets the access token work until it ends"),
        (Buried("v2", BURIED.document, already=True), "before"),
        (Buried("v2", BURIED.document, lives=False, doubt=True), "may live on: look at the provider"),
    ],
)
async def test_what_was_not_checked_is_not_claimed(ending: Buried, words: str) -> None:
    assert words in (await Desk(ending).service.revoke(NAME, actor=ACTOR)).cause


async def test_the_next_read_sees_the_tombstone() -> None:
    desk = Desk(BURIED)
    desk.bench.store.write(NAME, {"accessToken": "a"})
    await desk.bench.service.get(NAME)
    desk.bench.store.write(NAME, {"tolstoy": {"revoked": True}})

    await desk.service.revoke(NAME, actor=ACTOR)

    assert (await desk.bench.service.get(NAME)).document().revoked


async def test_whether_there_is_a_way_and_giving_up() -> None:
    desk = Desk(BURIED)
    assert desk.service.supports(NAME)
    desk.endpoints.revocable = ()
    assert not desk.service.supports(NAME)

    await desk.service.finish(NAME)
    assert desk.revoker.finished == [NAME]
