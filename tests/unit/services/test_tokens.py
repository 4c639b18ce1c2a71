"""From an ending of the protocol to what the operator does next, and when a token is due."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import cast

import pytest

from tests.unit.services.bench import Bench, Time
from tests.unit.services.scene import Draws, FakeJournal
from tests.unit.services.test_endpoints import FakeTransport
from tolstoy_operator.domain.catalogue import load_catalogue
from tolstoy_operator.domain.elapsed import ClockReading
from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.tokenhealth import Liveness
from tolstoy_operator.oauth.client import TokenClient
from tolstoy_operator.observability.audit import Entry, Operation
from tolstoy_operator.services.clientstate import BREAKER_S
from tolstoy_operator.services.endpoints import Endpoints, Reach
from tolstoy_operator.services.refresh.endings import (
    Current,
    Ending,
    Failed,
    Journalled,
    MirrorOnly,
    Problem,
    Waiting,
)
from tolstoy_operator.services.refresh.parts import Parts
from tolstoy_operator.services.refresh.refresher import Refresher, Target
from tolstoy_operator.services.tokens import WAITING, Refreshed, TokenService

NAME = "tolstoy/acme/org-1"
FIRST = "11111111-1111-4111-8111-111111111111"
SECOND = "22222222-2222-4222-8222-222222222222"
THIRD = "33333333-3333-4333-8333-333333333333"


SENDABLE = OAuthDocument.of(
    {"refreshToken": "rt", "clientId": "c", "clientSecret": "s", "tokenEndpoint": "https://idp.example.com/token"}
)


@dataclass
class FakeRefresher:
    """Ends as told, after so many requests."""

    ending: Ending
    requests: int
    targets: list[Target] = field(default_factory=list)

    async def run(self, target: Target) -> Ending:
        self.targets.append(target)
        for _ in range(self.requests):
            await target.endpoint.send(SENDABLE, before_send=lambda: True)
        return self.ending


class Service:
    """A token service on a fake store, a fake provider and, unless another one is given, a fake protocol."""

    def __init__(
        self,
        ending: Ending | Callable[[Bench], Refresher],
        requests: int = 0,
        *,
        answers: Sequence[tuple[object, ...]] = ((200, "{}"),),
    ) -> None:
        self.bench = Bench()
        self.refresher = FakeRefresher(cast(Ending, ending), requests)
        self.transport = FakeTransport(answers)
        self.counted: list[tuple[str, str]] = []
        self.unsent: list[tuple[str, str]] = []
        self.remaining: list[float | None] = []
        self.lost = 0
        self.checks: list[tuple[str, str]] = []
        self.service = TokenService(
            refresher=ending(self.bench) if callable(ending) else cast(Refresher, self.refresher),
            endpoints=Endpoints(
                TokenClient(self.transport, clock=self.bench.time.wall),
                load_catalogue(None),
                Reach(hosts=("idp.example.com",)),
                self.bench.time.monotonic,
            ),
            secrets=self.bench.service,
            clock=self.bench.time.wall,
            on_refresh=self.count,
            on_check=lambda tool, outcome: self.checks.append((tool, outcome)),
            record=self.bench.audited.append,
        )

    def count(self, tool: str, outcome: str, *, sent: bool, remaining: float | None, lost: bool) -> None:
        (self.counted if sent else self.unsent).append((tool, outcome))
        self.remaining.append(remaining)
        self.lost += lost

    @property
    def now(self) -> float:
        return self.bench.time.wall()

    async def served(self) -> str:
        found = await self.bench.service.get(NAME)
        return found.version.version_id


def document(ends: float | None = None, **members: object) -> OAuthDocument:
    found = {"accessToken": "at-s3cr3t", "refreshToken": "rt-s3cr3t", **members}
    if ends is not None:
        found["expiresAt"] = int(ends * 1000)
    return OAuthDocument.of({key: value for key, value in found.items() if value is not None})


@pytest.mark.parametrize(
    ("ending", "result"),
    [
        (Current(FIRST, document(1e9), None), Refreshed(FIRST, document(1e9))),
        (Waiting(7.0, "why"), Refreshed(cause="why", retry_after=7.0)),
        (MirrorOnly(rival=False), Refreshed(foreign=True)),
        (MirrorOnly(rival=True), Refreshed(foreign=True, rival=True)),
        (
            Failed(Problem.REFRESH_FAILING, "why", 3.0),
            Refreshed(problem=Problem.REFRESH_FAILING, cause="why", retry_after=3.0),
        ),
    ],
)
async def test_every_ending_has_a_result(ending: Ending, result: Refreshed) -> None:
    assert await Service(ending).service.ensure_valid(NAME) == result


async def test_what_we_made_is_served_at_once_without_a_read() -> None:
    service = Service(Current(SECOND, document(2e9), FIRST, refreshed=True))
    service.bench.store.write(NAME, dict(document(1e9).members), version_id=FIRST)
    assert await service.served() == FIRST
    result = await service.service.ensure_valid(NAME)
    assert result.made
    assert await service.served() == SECOND
    assert service.bench.reads() == 1


async def test_what_others_made_is_read() -> None:
    service = Service(Current(SECOND, document(2e9), FIRST))
    service.bench.store.write(NAME, dict(document(1e9).members), version_id=FIRST)
    assert await service.served() == FIRST
    service.bench.store.write(NAME, dict(document(2e9).members), version_id=SECOND)
    assert not (await service.service.ensure_valid(NAME)).made
    assert await service.served() == SECOND
    assert service.bench.reads() == 2


async def test_a_consent_that_came_meanwhile_is_not_hidden_by_ours() -> None:
    service = Service(Current(SECOND, document(2e9), FIRST, refreshed=True))
    service.bench.store.write(NAME, dict(document(3e9).members), version_id=THIRD)
    assert await service.served() == THIRD
    await service.service.ensure_valid(NAME)
    assert await service.served() == THIRD


async def test_tokens_in_the_journal_are_served_before_the_store_has_them() -> None:
    service = Service(Journalled(SECOND, document(2e9), 4.0))
    service.bench.store.write(NAME, dict(document(1e9).members), version_id=FIRST)
    assert await service.served() == FIRST
    result = await service.service.ensure_valid(NAME)
    assert (result.made, result.version, result.retry_after) == (True, SECOND, 4.0)
    assert await service.served() == SECOND


async def test_what_the_store_does_not_have_yet_stays_served_until_it_has() -> None:
    service = Service(Journalled(SECOND, document(2e9), 900.0))
    service.bench.store.write(NAME, dict(document(1e9).members), version_id=FIRST)
    assert await service.served() == FIRST
    await service.service.ensure_valid(NAME)
    service.bench.time.sleep(850)
    assert not service.bench.service.note_version(NAME, FIRST)
    assert await service.served() == SECOND
    assert service.bench.service.note_version(NAME, THIRD), "a new consent is news at any time"


@pytest.mark.parametrize(
    ("ending", "outcome"),
    [
        (Current(SECOND, document(2e9), FIRST, refreshed=True), "ok"),
        (Journalled(SECOND, document(2e9), 4.0), "ok"),
        (Failed(Problem.CLIENT_MISCONFIGURED, "why"), "ClientMisconfigured"),
        (Failed(Problem.REFRESH_FAILING, "why", in_doubt=True), "InDoubt"),
        (Current(SECOND, document(2e9), FIRST), "ok"),
        (Waiting(1, "why"), WAITING),
        (MirrorOnly(rival=False), WAITING),
    ],
)
async def test_what_was_tried_is_counted_and_audited(ending: Ending, outcome: str) -> None:
    service = Service(ending, requests=2)
    await service.service.ensure_valid(NAME)
    assert (service.counted, service.unsent) == ([("acme", outcome)], [])
    (entry,) = service.bench.audited
    assert (entry.operation, entry.secret, entry.outcome, entry.requests) == (Operation.REFRESH, NAME, outcome, 2)


async def test_how_late_a_refresh_was_is_told() -> None:
    ends = Service(Waiting(1, "why")).now + 250
    for ending in (
        Current(SECOND, document(2e9), FIRST, refreshed=True, replaced_ends=ends),
        Journalled(SECOND, document(2e9), 4.0, replaced_ends=ends),
    ):
        service = Service(ending, requests=1)
        await service.service.ensure_valid(NAME)
        assert service.remaining == [250]


async def test_a_grant_is_lost_once_however_often_that_is_said_again() -> None:
    lost = Failed(Problem.ROTATION_RESPONSE_LOST, "why", verdict=True)
    for ending, count in ((lost, 1), (replace(lost, verdict=False), 0)):
        service = Service(ending)
        await service.service.ensure_valid(NAME)
        assert service.lost == count


@pytest.mark.parametrize(
    ("ending", "unsent"),
    [
        (Current(FIRST, document(), None), []),
        (MirrorOnly(rival=False), []),
        (Waiting(1, "why"), [("acme", WAITING)]),
        (Failed(Problem.CLIENT_MISCONFIGURED, "why"), [("acme", "ClientMisconfigured")]),
    ],
)
async def test_what_was_not_sent_is_counted_apart_and_not_audited(
    ending: Ending, unsent: list[tuple[str, str]]
) -> None:
    service = Service(ending)
    await service.service.ensure_valid(NAME)
    assert (service.counted, service.unsent) == ([], unsent)
    assert service.bench.audited == []


async def test_what_is_only_delivered_is_a_write_and_no_refresh() -> None:
    service = Service(Current(SECOND, document(2e9), FIRST, refreshed=True, replaced_ends=5.0))
    await service.service.ensure_valid(NAME)
    await service.service.deliver(NAME)
    assert (service.counted, service.unsent, service.remaining) == ([], [], [])
    assert service.bench.audited == [Entry(Operation.WRITE, NAME, version=SECOND)] * 2


REFUSED = (401, '{"error":"invalid_client"}')
TOKENS = [(200, f'{{"access_token":"at-{n}","refresh_token":"rt-{n}","expires_in":300}}') for n in range(3)]


@dataclass
class Clocks:
    """The bench's time, as the protocol reads it."""

    time: Time

    def read(self) -> ClockReading:
        return ClockReading(monotonic=self.time.monotonic(), boottime=self.time.monotonic(), wall=self.time.wall())

    async def sleep(self, seconds: float) -> None:
        self.time.sleep(seconds)


def exclusive(bench: Bench) -> Refresher:
    """The real protocol, of the only cluster that refreshes."""
    return Refresher(
        Parts(
            store=bench.store,
            journal=FakeJournal(),
            clocks=Clocks(bench.time),
            random=Draws("a"),
            owner="a",
            cluster="blue",
            exclusive=True,
        )
    )


async def test_the_counts_are_those_of_the_provider() -> None:
    service = Service(exclusive, answers=[REFUSED, REFUSED, REFUSED, *TOKENS])
    service.bench.store.write(NAME, dict(SENDABLE.members))
    for seconds in (0.0, 1.0, BREAKER_S, 300.0, 1200.0, 1.0):
        service.bench.time.sleep(seconds)
        await service.service.ensure_valid(NAME)

    refused, ok = "ClientMisconfigured", "ok"
    assert service.unsent == [("acme", refused)], "while the client has to pause"
    assert service.counted == [("acme", refused), *[("acme", ok)] * 3]
    audited = [entry for entry in service.bench.audited if entry.operation is not Operation.READ]
    assert [(entry.operation, entry.outcome, entry.requests) for entry in audited] == [
        (Operation.REFRESH, refused, 2),  # in each way that the client has
        (Operation.REFRESH, ok, 2),
        (Operation.REFRESH, ok, 1),  # these stay in the journal
        (Operation.WRITE, ok, None),  # until a pass delivers them
        (Operation.REFRESH, ok, 1),
    ]
    assert [left for left in service.remaining if left is not None] == [0, -901]
    assert sum(entry.requests or 0 for entry in audited) == len(service.transport.sent)


async def test_the_tool_follows_from_the_name() -> None:
    service = Service(Waiting(1, "why"))
    await service.service.ensure_valid("some-platform-secret")
    await service.service.ensure_valid("tolstoy/github/org-1", insist=True)
    unknown, github = service.refresher.targets
    assert unknown.traits != github.traits
    assert (unknown.insist, github.insist) == (False, True)
    assert [tool for tool, _ in service.unsent] == ["", "github"]


class TestDue:
    @pytest.mark.parametrize(
        ("lived", "left", "due_in"),
        [
            (3600, 3600, 3600 - 300),
            (3600, 100, 100 - 300),
            (60, 60, 60 - 20),
        ],
    )
    def test_a_lead_before_the_end_with_some_spread(self, lived: float, left: float, due_in: float) -> None:
        service = Service(Waiting(1, "why"))
        issued = service.now + left - lived
        found = document(service.now + left, lastUpdated=_iso(issued))
        due = service.service.due_at(NAME, found)
        assert due is not None
        assert due_in - lived / 10 - 1 <= due - service.now <= due_in + 1

    def test_without_an_access_token_it_is_due(self) -> None:
        assert Service(Waiting(1, "why")).service.due_at(NAME, document(accessToken=None)) == 0

    def test_an_unknown_end_is_never_due_unless_the_provider_is_known(self) -> None:
        service = Service(Waiting(1, "why")).service
        assert service.due_at(NAME, document()) is None
        assert service.due_at("tolstoy/google/org-1", document()) == pytest.approx(0, abs=4000)
        issued = document(lastUpdated=_iso(2e9))
        assert service.due_at("tolstoy/google/org-1", issued) == pytest.approx(2e9 + 3600 - 300, abs=1200)

    async def test_the_protocol_asks_by_the_same_rule_or_by_the_callers(self) -> None:
        service = Service(Waiting(1, "why"))
        soon, later = document(service.now + 200), document(service.now + 9000)
        await service.service.ensure_valid(NAME)
        await service.service.ensure_valid(NAME, buffer=100)
        await service.service.ensure_valid(NAME, buffer=10_000)
        usual, small, large = (target.due for target in service.refresher.targets)
        assert (usual(FIRST, soon), usual(FIRST, later)) == (True, False)
        assert (small(FIRST, soon), small(FIRST, later)) == (False, False)
        assert (large(FIRST, soon), large(FIRST, later)) == (True, True)
        assert (small(FIRST, document()), small(FIRST, document(accessToken=None))) == (False, True)


async def test_the_health_of_a_tool_that_cannot_be_asked_is_unknown() -> None:
    service = Service(Waiting(1, "why"))
    service.bench.store.write(NAME, dict(document(1e9).members), version_id=FIRST)
    checked = await service.service.validate_health(NAME)
    assert (checked.version, checked.health.liveness) == (FIRST, Liveness.UNKNOWN)
    assert service.checks == []
    assert [entry for entry in service.bench.audited if entry.operation is Operation.VALIDATE] == []
    assert not service.service.checks_health(NAME)
    assert service.service.checks_health("tolstoy/github/org-1")


async def test_a_question_is_counted_and_audited() -> None:
    service, name = Service(Waiting(1, "why")), "tolstoy/github/org-1"
    service.bench.store.write(name, dict(document(1e9).members), version_id=FIRST)
    await service.service.validate_health(name)
    assert service.checks == [("github", "ok")]
    (entry,) = [entry for entry in service.bench.audited if entry.operation is Operation.VALIDATE]
    assert (entry.secret, entry.outcome, entry.version) == (name, "ok", FIRST)


async def test_a_token_that_does_not_work_is_due_whatever_its_expiry_says() -> None:
    service = Service(Waiting(1, "why"))
    await service.service.ensure_valid(NAME, instead_of=FIRST)
    due = service.refresher.targets[0].due
    assert due(FIRST, document(service.now + 9000))
    assert not due(SECOND, document(service.now + 9000)), "somebody has replaced it already"


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
