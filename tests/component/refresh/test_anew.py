"""Tokens that are had without a refresh token: nothing is reserved, nothing can be lost, one result is current."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.component.refresh.stage import Stage, StagedReplica
from tests.simulation.loop import EPOCH
from tests.simulation.store import NAME
from tolstoy_operator.domain.catalogue import GrantKind
from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.refresh import ProviderTraits
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.domain.tokenoutcome import Accepted, DoubtCause, InDoubt, Outcome, Tokens
from tolstoy_operator.services.means import means_of
from tolstoy_operator.services.refresh.endings import Current, Ending, Failed, Problem
from tolstoy_operator.services.refresh.refresher import Target

MEANS = means_of(GrantKind.CLIENT_CREDENTIALS)


@dataclass
class FakeApplication:
    """A provider that gives a client a token whenever it asks. `lose`: answers that do not arrive."""

    stage: Stage
    lose: int = 0
    requests: list[str] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None

    async def send(self, document: OAuthDocument, *, before_send: Callable[[], bool]) -> Outcome:
        assert before_send()
        assert document.refresh_token is None
        self.requests.append(str(document.client_secret and document.client_secret.reveal()))
        self.meanwhile()
        if self.lose:
            self.lose -= 1
            return InDoubt(DoubtCause.TIMEOUT)
        ends = EPOCH + self.stage.loop.now + self.stage.lifetime
        return Accepted(Tokens(SecretValue(f"token-{len(self.requests)}"), expires_at=ends))

    async def alive(self, _document: OAuthDocument) -> bool | None:
        return None


class Robot:
    """A secret with a client in it."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.application = FakeApplication(self.stage)
        self.stage.write({"clientId": "c", "clientSecret": "first", "scope": "read"})

    def replica(self, name: str, cluster: str = "blue") -> Callable[[], Ending]:
        replica = self.stage.replica(name, cluster)
        target = Target(
            name=NAME,
            traits=MEANS.traits(ProviderTraits()),
            endpoint=self.application,
            due=lambda version, document: document.access_token is None or replica.due(version, document),
            lacks=MEANS.lacks,
        )
        return lambda: self._run(replica, target)

    def _run(self, replica: StagedReplica, target: Target) -> Ending:
        return self.stage.finish(replica.process, replica.refresher.run(target))

    @property
    def current(self) -> dict[str, Any]:
        return self.stage.current


@pytest.fixture
def robot() -> Robot:
    return Robot()


def test_the_first_token_and_every_later_one_cost_one_request(robot: Robot) -> None:
    one, other = robot.replica("one"), robot.replica("other", "green")
    for number in range(1, 4):
        ending = one()
        assert isinstance(ending, Current)
        assert ending.refreshed
        assert not ending.rotated
        assert robot.current["accessToken"] == f"token-{number}"
        found = other()
        assert isinstance(found, Current)
        assert not found.refreshed
        robot.stage.until_due()
    assert len(robot.application.requests) == 3
    assert (robot.current["clientSecret"], robot.current["scope"]) == ("first", "read")
    assert "refreshToken" not in robot.current


def test_a_lost_answer_is_asked_for_again_at_once(robot: Robot) -> None:
    robot.application.lose = 1
    run = robot.replica("one")
    lost = run()
    assert isinstance(lost, Failed)
    assert (lost.problem, lost.retry_after) == (Problem.REFRESH_FAILING, 0)
    assert isinstance(run(), Current)
    assert robot.current["accessToken"] == "token-2"


def test_what_is_missing_is_said_and_nothing_is_sent(robot: Robot) -> None:
    robot.stage.write({"clientId": "c"})
    ending = robot.replica("one")()
    assert isinstance(ending, Failed)
    assert ending.problem is Problem.CLIENT_MISCONFIGURED
    assert robot.application.requests == []


def test_an_edit_during_the_request_stays_and_gets_a_token_of_its_own(robot: Robot) -> None:
    run = robot.replica("one")
    run()
    robot.stage.until_due()

    def once() -> None:
        robot.application.meanwhile = lambda: None
        robot.stage.edit(clientSecret="second")

    robot.application.meanwhile = once
    ending = run()
    assert isinstance(ending, Current)
    assert robot.application.requests == ["first", "first", "second"]
    assert (robot.current["clientSecret"], robot.current["accessToken"]) == ("second", "token-3")
