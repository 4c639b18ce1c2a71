"""When tokens are refreshed, and what is told of it. The token service is scripted, time is virtual."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, cast

import pytest

from tests.support.objects import credential_object, namespace_object
from tests.support.virtualtime import run_virtual
from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.domain.existing import fingerprint_with
from tolstoy_operator.domain.grant import Told, Trouble
from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.domain.tokenhealth import Health, Liveness
from tolstoy_operator.engine import grants as module
from tolstoy_operator.engine.grants import Grants
from tolstoy_operator.engine.inventory import Inventory
from tolstoy_operator.engine.records import Key
from tolstoy_operator.engine.workqueue import WorkQueue
from tolstoy_operator.services.refresh.endings import Failed, Problem
from tolstoy_operator.services.refresh.refresher import no_refresh_token
from tolstoy_operator.services.tokens import Checked, Refreshed, TokenService
from tolstoy_operator.stores.base import SecretVersion

EPOCH = 1_790_000_000.0
NAME = "tolstoy/github/org-abc123"
KEY = ("shop", "github")
UID = credential_object()["metadata"]["uid"]


def document(ends: float | None = 3600.0, *, refresh_token: str | None = "r1", **members: object) -> OAuthDocument:
    """Ends so many seconds after the start."""
    expires = None if ends is None else int((EPOCH + ends) * 1000)
    found = {"accessToken": "a1", "refreshToken": refresh_token, "expiresAt": expires, **members}
    return OAuthDocument.of({key: value for key, value in found.items() if value is not None})


def version(number: int = 1, name: str = NAME) -> SecretVersion:
    return SecretVersion(name, f"arn:{name}", f"version-{number}", frozenset(), SecretValue("{}"), EPOCH)


@dataclass
class FakeTokens:
    """Answers as scripted, the last answer for ever; refreshes are due 300 s before the end."""

    now: Callable[[], float]
    answers: list[Refreshed | Exception] = field(default_factory=list)
    asked: list[tuple[float, str, bool]] = field(default_factory=list)
    before: Callable[[str], Awaitable[None]] | None = None
    health: list[Liveness] | None = None
    pause: float | None = None
    version: str = "version-1"
    checked: list[int] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    def forget(self, name: str) -> None:
        self.forgotten.append(name)

    def due_at(self, name: str, document: OAuthDocument, lead: float | None = None) -> float | None:
        return None if document.expires_at is None else document.expires_at - (lead or 300)

    def lacks(self, name: str, document: OAuthDocument) -> Failed | None:
        return no_refresh_token(document)

    def unusable(self, name: str, document: OAuthDocument) -> str:
        return "" if document.token_type != "DPoP" else "of no use"

    def checks_health(self, name: str) -> bool:
        return self.health is not None

    async def validate_health(self, name: str) -> Checked:
        assert self.health is not None
        self.checked.append(round(self.now() - EPOCH))
        liveness = self.health.pop(0) if len(self.health) > 1 else self.health[0]
        return Checked(self.version, Health(liveness, retry_after=self.pause))

    def consent_ends(self, name: str, arn: str, document: OAuthDocument) -> float | None:
        return document.refresh_expires_at

    async def ensure_valid(
        self, name: str, *, lead: float | None = None, insist: bool = False, instead_of: str | None = None
    ) -> Refreshed:
        if instead_of is not None:
            self.replaced.append(instead_of)
        self.asked.append((self.now() - EPOCH, name, insist))
        if self.before is not None:
            await self.before(name)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def times(self) -> list[float]:
        return [round(at, 1) for at, _, _ in self.asked]


class CountingQueue(WorkQueue):
    """Counts the keys that it has given out."""

    given = 0

    async def get(self) -> Key | None:
        key = await super().get()
        self.given += 1
        return key


class World:
    """Grants with one credential on `NAME`, running in virtual time."""

    def __init__(self, *answers: Refreshed | Exception, workers: int = 4, queue: WorkQueue | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.set_by = 0.0
        """Seconds by which somebody has set the clock."""
        self.inventory = Inventory(fingerprint_with(b"key"))
        self.inventory.observe_namespace(namespace_object(allowed_orgs="org-abc123"))
        self.inventory.observe_credential(credential_object())
        self.tokens = FakeTokens(now=lambda: EPOCH + loop.time(), answers=list(answers))
        self.told: list[Key] = []
        self._edits = 0
        self.grants = Grants(
            inventory=self.inventory,
            tokens=cast(TokenService, self.tokens),
            queue=queue or WorkQueue(loop.time),
            clock=lambda: EPOCH + self.set_by + loop.time(),
            uniform=lambda low, high: high,
            workers=workers,
        )
        self.grants.on_change(self.hear)

    def hear(self, keys: Iterable[Key]) -> None:
        self.told.extend(keys)

    def trouble(self) -> Trouble | None:
        """What is wrong with the grant, if anything is known of it."""
        grant = self.grants._grants.get(NAME)
        return grant.trouble if grant else None

    def want(self, *, lead: str) -> None:
        """The credential wants another lead."""
        self._edits += 1
        spec = {"tool": "github", "orgId": "org-abc123", "oauth": {"leadTime": lead}}
        self.inventory.observe_credential(
            credential_object(version=100 + self._edits, generation=1 + self._edits, spec=spec)
        )

    async def until(self, seconds: float) -> None:
        """Run up to this moment; the workers are started once and stopped with the loop."""
        if not hasattr(self, "_running"):
            self._running = asyncio.create_task(self.grants.run())
        await asyncio.sleep(seconds - asyncio.get_running_loop().time())

    async def end(self) -> None:
        await self.grants.finish(60)
        await self._running


def play(story: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await story()

    run_virtual(main())


def failed(problem: Problem, cause: str = "cause", pause: float | None = None) -> Refreshed:
    return Refreshed(problem=problem, cause=cause, retry_after=pause)


def fresh(ends: float, number: int = 2, **options: Any) -> Refreshed:
    return Refreshed(f"version-{number}", document(ends), **{"made": True, **options})


def test_it_is_refreshed_when_due_and_the_users_are_told() -> None:
    async def story() -> None:
        world = World(fresh(7200), fresh(99_999, 3))
        world.grants.note(version(), document(3600))
        await world.until(3299)
        assert world.tokens.asked == []
        await world.until(3301)
        assert world.tokens.times == [3300]
        assert world.told == [KEY]
        await world.until(6901)
        assert world.tokens.times == [3300, 6900], "the new tokens have a due time of their own"
        await world.end()

    play(story)


def test_a_version_that_another_replica_made_is_news_as_well() -> None:
    async def story() -> None:
        world = World(fresh(7200, made=False))
        world.grants.note(version(), document(100))
        await world.until(1)
        assert world.told == [KEY]
        await world.end()

    play(story)


def test_an_unchanged_version_is_no_news() -> None:
    async def story() -> None:
        world = World(Refreshed("version-1", document(3600)))
        world.grants.note(version(), document(3600))
        await world.until(3400)
        assert world.tokens.asked
        assert world.told == []
        await world.end()

    play(story)


def test_tokens_that_are_due_as_soon_as_they_come_do_not_make_it_spin() -> None:
    async def story() -> None:
        world = World(fresh(100), fresh(200, 3), fresh(300, 4), fresh(99_999, 5))
        world.grants.note(version(), document(60))
        await world.until(1000)
        assert world.tokens.times == [0, 60, 120, 180]
        await world.end()

    play(story)


def test_tokens_that_wait_in_the_journal_are_refreshed_before_they_end_all_the_same() -> None:
    async def story() -> None:
        world = World(fresh(1300, retry_after=900), fresh(5000, 3, retry_after=900), fresh(5000, 3, made=False))
        world.grants.note(version(), document(300))
        await world.until(2500)
        assert world.tokens.times == [0, 900, 1800], "upstream in time"
        await world.end()

    play(story)


def test_the_journal_does_not_delay_what_is_due() -> None:
    async def story() -> None:
        world = World(fresh(700, retry_after=900), fresh(99_999, 3))
        world.grants.note(version(), document(300))
        await world.until(500)
        assert world.tokens.times == [0, 400]
        await world.end()

    play(story)


def test_a_new_process_looks_before_it_believes_that_due_tokens_are_the_newest() -> None:
    async def story() -> None:
        world = World(Refreshed("version-1", document(3600)))
        assert not world.grants.settling(NAME), "nothing is known of it"
        world.grants.note(version(), document(3600))
        assert not world.grants.settling(NAME), "it is not due"
        world.grants.note(version(2), document(300))
        assert world.grants.settling(NAME)
        world.tokens.answers = [Refreshed("version-2", document(300))]
        await world.until(1)
        assert world.told == [KEY], "there is no news, but somebody waits for that"
        assert not world.grants.settling(NAME)
        await world.until(61)
        assert world.told == [KEY]
        await world.end()

    play(story)


def test_nobody_knows_when_it_ends_so_nothing_is_due() -> None:
    async def story() -> None:
        world = World(fresh(7200))
        assert world.grants.note(version(), document(None)).trouble is None
        await world.until(100_000)
        assert world.tokens.asked == []
        await world.end()

    play(story)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (document(refresh_token=None), Reason.REAUTHORIZATION_REQUIRED),
        (OAuthDocument.of({"tolstoy": {"revoked": True}}), Reason.REVOKED),
    ],
)
def test_what_no_refresh_can_help_is_said_at_once_and_not_tried(found: OAuthDocument, reason: Reason) -> None:
    async def story() -> None:
        world = World(fresh(7200))
        trouble = world.grants.note(version(), found).trouble
        assert trouble is not None
        assert trouble.reason is reason
        await world.until(100_000)
        assert world.tokens.asked == []
        await world.end()

    play(story)


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (Problem.REFRESH_FAILING, Reason.REFRESH_FAILING),
        (Problem.UPSTREAM_UNAVAILABLE, Reason.REFRESH_FAILING),
        (Problem.SECRET_MALFORMED, Reason.SECRET_NOT_REFRESHABLE),
        (Problem.REAUTHORIZATION_REQUIRED, Reason.REAUTHORIZATION_REQUIRED),
        (Problem.ROTATION_RESPONSE_LOST, Reason.ROTATION_RESPONSE_LOST),
        (Problem.CLIENT_MISCONFIGURED, Reason.CLIENT_MISCONFIGURED),
        (Problem.TOKEN_ENDPOINT_NOT_ALLOWED, Reason.TOKEN_ENDPOINT_NOT_ALLOWED),
        (Problem.VERSION_BUDGET_EXCEEDED, Reason.VERSION_BUDGET_EXCEEDED),
        (Problem.REVOKING, Reason.REVOKED),
        (Problem.REVOKED, Reason.REVOKED),
    ],
)
def test_every_problem_has_a_reason_and_is_told_once(problem: Problem, reason: Reason) -> None:
    async def story() -> None:
        world = World(failed(problem))
        world.grants.note(version(), document(100))
        await world.until(20_000)
        trouble = world.trouble()
        assert trouble is not None
        assert (trouble.reason, trouble.cause, trouble.since) == (reason, "cause", EPOCH)
        assert world.told == [KEY], "the same again is no news"
        assert (world.grants.oldest_overdue() == 0) is (reason is not Reason.REFRESH_FAILING), "a person's turn or ours"
        await world.end()

    play(story)


def test_failures_come_back_quickly_while_there_is_something_to_save() -> None:
    async def story() -> None:
        world = World(failed(Problem.REFRESH_FAILING))
        world.grants.note(version(), document(400))
        await world.until(399)
        assert world.tokens.times == [100, 105, 120, 165, 285]
        await world.until(405 + 3600 * 12)
        assert world.tokens.times[5:7] == [405, 1605], "the token has ended: there is no hurry any more"
        pauses = [later - earlier for earlier, later in pairwise(world.tokens.times)]
        assert max(pauses) == 3600
        await world.end()

    play(story)


def test_a_provider_that_asks_for_a_pause_gets_it_and_no_small_pause_overrules_the_backoff() -> None:
    async def story() -> None:
        world = World(failed(Problem.REFRESH_FAILING, pause=77), failed(Problem.REFRESH_FAILING, pause=0))
        world.grants.note(version(), document(600))
        await world.until(590)
        assert world.tokens.times == [300, 377, 392, 437, 557]
        await world.end()

    play(story)


def test_a_step_that_is_planned_comes_when_it_is_due() -> None:
    async def story() -> None:
        refused = Refreshed(problem=Problem.REFRESH_FAILING, cause="to be confirmed", retry_after=40, planned=True)
        world = World(*[failed(Problem.REFRESH_FAILING)] * 6, refused, failed(Problem.REAUTHORIZATION_REQUIRED))
        world.grants.note(version(), document(300))
        await world.until(20_000)
        times = world.tokens.times
        assert times[7] - times[6] == 40
        await world.end()

    play(story)


def test_a_store_that_is_away_is_asked_often_also_when_the_token_has_ended() -> None:
    async def story() -> None:
        world = World(failed(Problem.UPSTREAM_UNAVAILABLE))
        world.grants.note(version(), document(100))
        await world.until(2000)
        times = world.tokens.times
        assert max(later - earlier for earlier, later in pairwise(times)) == 120
        await world.end()

    play(story)


def test_once_healed_all_is_forgotten() -> None:
    async def story() -> None:
        world = World(failed(Problem.REFRESH_FAILING), failed(Problem.REFRESH_FAILING), fresh(5000), fresh(9999, 3))
        world.grants.note(version(), document(400))
        await world.until(300)
        assert world.trouble() is None
        assert world.told == [KEY, KEY], "the trouble, and its end"
        await world.end()

    play(story)


def test_a_refused_grant_is_probed_slowly_and_not_for_ever() -> None:
    async def story() -> None:
        world = World(failed(Problem.REAUTHORIZATION_REQUIRED))
        world.grants.note(version(), document(300))
        await world.until(20 * 86_400)
        hours = [round(at / 3600) for at in world.tokens.times]
        assert hours[:4] == [0, 6, 18, 42]
        assert len(hours) == module.PROBES + 1
        assert [insist for _, _, insist in world.tokens.asked] == [False] + [True] * module.PROBES
        await world.end()

    play(story)


def test_a_new_consent_is_used_at_once_whatever_was_planned() -> None:
    async def story() -> None:
        world = World(failed(Problem.REAUTHORIZATION_REQUIRED), fresh(9999, 3))
        world.grants.note(version(), document(300))
        await world.until(1)
        assert world.grants.note(version(2), document(310)).trouble is None
        await world.until(12)
        assert world.tokens.asked[1:] == [(10.0, NAME, False)]
        await world.end()

    play(story)


def test_a_version_that_comes_during_a_refresh_is_not_forgotten() -> None:
    async def story() -> None:
        world = World(failed(Problem.REAUTHORIZATION_REQUIRED))

        async def consent_comes(_: str) -> None:
            world.grants.note(version(2), document(320))
            world.tokens.before = None

        world.tokens.before = consent_comes
        world.grants.note(version(), document(300))
        await world.until(19)
        assert world.trouble() is None, "the verdict was about another version"
        await world.until(21)
        assert world.tokens.times == [0, 20]
        await world.end()

    play(story)


def test_a_restart_repeats_what_the_status_tells_until_it_knows_better() -> None:
    async def story() -> None:
        told = Trouble(Reason.ROTATION_RESPONSE_LOST, "cause", EPOCH - 5000)
        world = World(failed(Problem.ROTATION_RESPONSE_LOST))
        assert world.grants.note(version(), document(-10), Told(told, seen=True)).trouble is told
        await world.until(module.LOOK_PAUSE + 1)
        assert world.tokens.times == [module.LOOK_PAUSE], "not in the first second"
        assert world.trouble() is told
        assert world.told == []
        await world.end()

    play(story)


def test_a_restart_keeps_the_moment_of_a_trouble_that_the_document_shows() -> None:
    async def story() -> None:
        told = Trouble(Reason.REAUTHORIZATION_REQUIRED, "no refresh token available", EPOCH - 5000)
        world = World(fresh(7200))
        assert world.grants.note(version(), document(refresh_token=None), Told(told, seen=True)).trouble is told

    play(story)


def test_it_waits_for_another_attempt_and_says_so_once_the_token_has_ended() -> None:
    async def story() -> None:
        world = World(Refreshed(cause="another attempt is under way", retry_after=15))
        world.grants.note(version(), document(300))
        await world.until(299)
        assert world.trouble() is None
        await world.until(316)
        trouble = world.trouble()
        assert trouble is not None
        assert (trouble.reason, trouble.cause) == (Reason.REFRESH_FAILING, "another attempt is under way")
        assert len(world.tokens.asked) == 22
        assert world.told == [KEY]
        await world.end()

    play(story)


@pytest.mark.parametrize("rival", [False, True])
def test_a_secret_of_another_cluster_is_only_looked_at(rival: bool) -> None:
    async def story() -> None:
        world = World(Refreshed(foreign=True, rival=rival))
        world.grants.note(version(), document(200))
        await world.until(239)
        assert world.tokens.times == [0, 60, 120, 180]
        trouble = world.trouble()
        assert (trouble is not None) is rival
        assert world.told == ([KEY] if rival else [])
        await world.end()

    play(story)


@pytest.mark.parametrize("how", ["suspended", "unbound", "gone"])
def test_nothing_is_refreshed_that_nobody_uses(how: str) -> None:
    async def story() -> None:
        world = World(fresh(7200))
        world.grants.note(version(), document(3600))
        await world.until(1)
        match how:
            case "suspended":
                spec = {"tool": "github", "orgId": "org-abc123", "suspend": True}
                world.inventory.observe_credential(credential_object(version=11, generation=2, spec=spec))
            case "unbound":
                world.inventory.observe_namespace(namespace_object(version=2, allowed_orgs="another"))
            case _:
                world.inventory.forget_credential(KEY, "uid-1")
        await world.until(20_000)
        assert world.tokens.asked == []
        assert world.tokens.forgotten == [NAME]
        assert world.trouble() is None
        await world.end()

    play(story)


def test_one_user_is_enough_and_a_resumed_one_is_noted_again() -> None:
    async def story() -> None:
        world = World(fresh(7200), fresh(99_999, 3))
        spec = {"tool": "github", "orgId": "org-abc123", "suspend": True}
        world.inventory.observe_credential(credential_object("second", uid="uid-2", spec=spec))
        world.grants.note(version(), document(3600))
        await world.until(3301)
        assert world.tokens.times == [3300]
        assert set(world.told) == {KEY, ("shop", "second")}
        await world.end()

    play(story)


def test_the_most_overdue_refresh_is_known_unless_it_waits_for_a_person() -> None:
    async def story() -> None:
        world = World(failed(Problem.REFRESH_FAILING))
        world.grants.note(version(), document(3600))
        assert world.grants.oldest_overdue() == 0
        await world.until(3310)
        assert world.grants.oldest_overdue() == 10
        world.tokens.answers = [failed(Problem.REAUTHORIZATION_REQUIRED)]
        await world.until(3500)
        assert world.grants.oldest_overdue() == 0
        await world.end()

    play(story)


def test_a_tool_is_told_of_while_a_grant_of_it_is_known() -> None:
    async def story() -> None:
        world = World(fresh(7200))
        assert world.grants.tools() == set()
        world.grants.note(version(), document(3600))
        world.grants.note(version(name="no-tool"), document(3600))
        assert world.grants.tools() == {"github", ""}
        await world.until(3301)
        assert world.grants.tools() == {"github"}, "nobody uses the other one"
        await world.end()

    play(story)


def test_the_smallest_lead_that_anybody_wants_counts() -> None:
    async def story() -> None:
        world = World(fresh(7200))
        assert world.grants.note(version(), document(3600)).due_at == EPOCH + 3300
        for name, lead, due in (("one", "10m", 3000), ("two", "90s", 3510)):
            spec = {"tool": "github", "orgId": "org-abc123", "oauth": {"leadTime": lead}}
            world.inventory.observe_credential(credential_object(name=name, uid=name, spec=spec))
            assert world.grants.note(version(), document(3600)).due_at == EPOCH + due
        await world.until(3509)
        assert world.tokens.times == []
        await world.until(3511)
        assert world.tokens.times == [3510]
        await world.end()

    play(story)


@pytest.mark.parametrize("how", ["unbound", "suspended", "deleted"])
def test_who_may_not_have_it_or_does_not_want_it_has_no_say_in_when(how: str) -> None:
    async def story() -> None:
        world = World(fresh(7200))
        spec = {"tool": "github", "orgId": "org-abc123", "oauth": {"leadTime": "1s"}, "suspend": how == "suspended"}
        meta: dict[str, Any] = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if how == "deleted" else {}
        allowed = "another" if how == "unbound" else "org-abc123"
        world.inventory.observe_namespace(namespace_object("lab", allowed_orgs=allowed))
        world.inventory.observe_credential(credential_object(namespace="lab", uid="lab", spec=spec, **meta))
        assert world.grants.note(version(), document(3600)).due_at == EPOCH + 3300

    play(story)


def test_an_exception_ends_nothing() -> None:
    async def story() -> None:
        world = World(RuntimeError("bug"), fresh(99_999))
        world.grants.note(version(), document(100))
        await world.until(61)
        assert world.tokens.times == [0, 60]
        assert world.told == [KEY]
        await world.end()

    play(story)


def test_a_person_can_have_a_refused_grant_tried_at_once() -> None:
    async def story() -> None:
        world = World(failed(Problem.REAUTHORIZATION_REQUIRED), fresh(99_999))
        world.grants.note(version(), document(300))
        await world.until(10)
        world.grants.refresh_now(NAME, UID, "1")
        world.grants.refresh_now("tolstoy/github/of-nobody", UID, "1")
        await world.until(11)
        assert world.tokens.asked == [(0.0, NAME, False), (10.0, NAME, True)]
        assert world.trouble() is None
        await world.end()

    play(story)


def test_commands_without_end_ask_the_provider_once_a_minute() -> None:
    async def story() -> None:
        world = World(Refreshed("version-1", document(300)))
        world.grants.note(version(), document(99_999))
        for second in range(10, 10 + 3 * 60):
            await world.until(second)
            world.grants.refresh_now(NAME, UID, f"at {second}")
        await world.until(200)
        assert [at for at, _, insist in world.tokens.asked if insist] == [10, 70, 130]
        world.grants.note(version(2), document(300))
        await world.until(201)
        world.grants.refresh_now(NAME, UID, "another")
        await world.until(202)
        assert world.tokens.asked[-1] == (201.0, NAME, True), "new tokens are another matter"
        await world.end()

    play(story)


@pytest.mark.parametrize("problem", [Problem.REAUTHORIZATION_REQUIRED, Problem.REFRESH_FAILING])
def test_commands_that_do_not_help_leave_the_secret_most_versions_of_a_day(problem: Problem) -> None:
    async def story() -> None:
        world = World(failed(problem))
        world.grants.note(version(), document(300))
        for second in range(10, 86_400, 30):
            await world.until(second)
            world.grants.refresh_now(NAME, UID, f"at {second}")
        commanded = [at for at, _, insist in world.tokens.asked if insist]
        assert commanded[:5] == [10, 70, 190, 430, 910]
        assert len(world.tokens.asked) < 60
        await world.end()

    play(story)


def test_whoever_changes_the_lead_again_and_again_has_no_more_commands() -> None:
    async def story() -> None:
        world = World(failed(Problem.REAUTHORIZATION_REQUIRED))
        world.grants.note(version(), document(300))
        for second in range(10, 10 + 3 * 60):
            await world.until(second)
            world.want(lead=f"{5 + second % 2}m")
            world.grants.note(version(), document(300))
            world.grants.refresh_now(NAME, UID, f"at {second}")
        assert world.tokens.asked == [(0.0, NAME, False), (10.0, NAME, True), (70.0, NAME, True)]
        await world.end()

    play(story)


def test_another_lead_does_not_hurry_what_failed() -> None:
    async def story() -> None:
        world = World(failed(Problem.REFRESH_FAILING))
        world.grants.note(version(), document(1000))
        for second in range(690, 900):
            await world.until(second)
            world.want(lead=f"{5 + second % 2}m")
            world.grants.note(version(), document(1000))
        assert world.tokens.times == [691, 696, 711, 756, 876]
        await world.end()

    play(story)


@pytest.mark.parametrize(
    "answer",
    [fresh(99_999), fresh(99_999, 1, made=False), failed(Problem.REFRESH_FAILING), Refreshed(retry_after=5), OSError()],
    ids=["refreshed", "not due", "failed", "waits", "broken"],
)
def test_who_asks_is_told_when_the_pass_has_ended_however_it_ends(answer: Refreshed | Exception) -> None:
    async def story() -> None:
        world = World(answer)
        world.tokens.before = lambda _: asyncio.sleep(5)
        world.grants.note(version(), document(99_999))
        world.grants.refresh_now(NAME, UID, "1")
        await world.until(4)
        assert world.grants.questions.waits(NAME, UID, "1")
        assert world.told == []
        await world.until(6)
        assert not world.grants.questions.waits(NAME, UID, "1")
        assert KEY in world.told
        await world.end()

    play(story)


def test_a_question_that_is_repeated_while_it_waits_and_afterwards_costs_one_pass() -> None:
    async def story() -> None:
        world = World(fresh(99_999, 1, made=False))
        world.tokens.before = lambda _: asyncio.sleep(5)
        world.grants.note(version(), document(99_999))
        for second in range(20):
            world.grants.refresh_now(NAME, UID, "1")
            await world.until(second)
        assert world.tokens.times == [0]
        await world.end()

    play(story)


def test_questions_share_a_pass() -> None:
    async def story() -> None:
        world = World(fresh(99_999, 1, made=False))
        world.inventory.observe_credential(credential_object("second", uid="second"))
        world.tokens.before = lambda _: asyncio.sleep(5)
        world.grants.note(version(), document(99_999))
        world.grants.refresh_now(NAME, UID, "1")
        await world.until(1)
        world.grants.refresh_now(NAME, UID, "2")
        world.grants.refresh_now(NAME, "second", "1")
        assert world.grants.questions.waits(NAME, UID, "2")
        assert world.grants.questions.waits(NAME, "second", "1")
        await world.until(6)
        assert not world.grants.questions.waits(NAME, UID, "2")
        assert not world.grants.questions.waits(NAME, "second", "1")
        world.grants.refresh_now(NAME, UID, "3")
        assert not world.grants.questions.waits(NAME, UID, "3"), (
            "too soon for another one, so there is none to wait for"
        )
        await world.until(30)
        assert world.tokens.times == [0]
        await world.end()

    play(story)


def test_a_question_during_a_pass_that_nobody_asked_for_is_answered_by_the_next() -> None:
    async def story() -> None:
        world = World(failed(Problem.REFRESH_FAILING))
        world.tokens.before = lambda _: asyncio.sleep(5)
        world.grants.note(version(), document(300))
        await world.until(1)
        world.grants.refresh_now(NAME, UID, "1")
        await world.until(6)
        assert world.grants.questions.waits(NAME, UID, "1"), "that pass had begun before"
        await world.until(11)
        assert not world.grants.questions.waits(NAME, UID, "1")
        assert [insist for _, _, insist in world.tokens.asked[:2]] == [False, True]
        await world.end()

    play(story)


def test_a_secret_that_loses_its_users_keeps_nobody_waiting() -> None:
    async def story() -> None:
        world = World(fresh(99_999))
        world.grants.note(version(), document(99_999))
        world.grants.refresh_now(NAME, UID, "1")
        spec = {"tool": "github", "orgId": "org-abc123", "suspend": True}
        world.inventory.observe_credential(credential_object(version=11, generation=2, spec=spec))
        await world.until(1)
        assert world.tokens.asked == []
        assert not world.grants.questions.waits(NAME, UID, "1")
        assert world.told == [KEY]
        await world.end()

    play(story)


@pytest.mark.parametrize(("by", "refreshed_at"), [(3000.0, 300.0), (-3000.0, 6300.0), (90_000.0, 100.0)])
def test_a_clock_that_is_set_moves_the_refreshes(by: float, refreshed_at: float) -> None:
    """The refresh is due at 3300 s by the clock, whatever that was when it was planned."""

    async def story() -> None:
        world = World(fresh(999_999))
        world.grants.note(version(), document(3600))
        await world.until(100)
        world.set_by += by
        world.grants.clock_moved()
        await world.until(7000)
        assert world.tokens.times[0] == refreshed_at
        await world.end()

    play(story)


def outage(world: World, until: float, for_ever: set[str]) -> list[str]:
    """Ten grants whose tokens have ended, at two providers that are down until that moment; some fail for ever."""
    names = [f"tolstoy/{tool}/org-{number}" for tool in ("github", "slack") for number in range(5)]
    numbers = iter(range(2, 1000))
    world.inventory.observe_namespace(
        namespace_object(allowed_orgs=",".join(f"org-{number}" for number in range(5)), version=99)
    )

    async def answer(name: str) -> None:
        now = world.tokens.now() - EPOCH
        works = name not in for_ever and now >= until
        failure = failed(Problem.REFRESH_FAILING)
        world.tokens.answers[:] = [fresh(now + 3600, next(numbers)) if works else failure]

    world.tokens.before = answer
    for name in names:
        _, tool, org = name.split("/")
        spec = {"tool": tool, "orgId": org}
        world.inventory.observe_credential(credential_object(f"{tool}-{org}", uid=name, spec=spec))
        world.grants.note(version(name=name), document(1))
    return names


def test_when_one_works_again_others_of_its_tool_need_not_wait_for_their_long_pauses() -> None:
    async def story() -> None:
        world = World()
        slack = {f"tolstoy/slack/org-{number}" for number in range(5)}
        names = outage(world, 10_000, slack)
        github = [name for name in names if name not in slack]
        urgent = github.pop()
        world.grants.note(version(2, name=urgent), document(10_200))
        await world.until(9_999)
        world.grants._queue.schedule(("github", github[0]), 1)  # chance has it tried first
        tries = len(world.tokens.asked)
        await world.until(10_000 + module.LOOK_PAUSE + 1)
        assert sorted(name for _, name, _ in world.tokens.asked[tries:]) == github, "each once, and all are well again"
        await world.until(10_086)
        assert world.tokens.asked[-1][:2] == (10_085, urgent), "as planned, since its token still lives"
        await world.end()

    play(story)


def test_one_that_fails_by_itself_is_tried_early_once_an_hour_at_most_however_often_others_recover() -> None:
    async def story() -> None:
        world = World()
        poor, flapping = outage(world, 10_000, {"tolstoy/github/org-0"})[:2]
        await world.until(20_000)
        before = [at for at, name, _ in world.tokens.asked if name == poor and at > 10_000]
        for moment in range(20_000, 40_000, 500):
            grant = world.grants._grants[flapping]
            grant.failures, grant.trouble = 1, Trouble(Reason.REFRESH_FAILING, "cause", EPOCH)
            world.grants._queue.schedule(("github", flapping), 0)
            await world.until(moment)
        after = [at for at, name, _ in world.tokens.asked if name == poor and at > 20_000]
        assert len(before) >= 2
        assert 8 <= len(after) <= 2 * 20_000 / 3600 + 2, "by its own pauses and once an hour by others"
        await world.end()

    play(story)


def test_a_slow_provider_leaves_workers_for_others() -> None:
    async def story() -> None:
        world = World(fresh(99_999), workers=4)
        world.inventory.observe_namespace(namespace_object(version=2, allowed_orgs="a,b,c,d,e"))
        slow = [f"tolstoy/slow/{org}" for org in "abcde"]
        for number, name in enumerate([*slow, "tolstoy/quick/a"]):
            _, tool, org = name.split("/")
            spec = {"tool": tool, "orgId": org}
            world.inventory.observe_credential(credential_object(f"c{number}", uid=f"u{number}", spec=spec))
            world.grants.note(version(1, name), document(300))

        async def take_long(name: str) -> None:
            await asyncio.sleep(30 if "slow" in name else 1)

        world.tokens.before = take_long
        await world.until(29)
        first = [name for _, name, _ in world.tokens.asked]
        assert len([name for name in first if "slow" in name]) == 3
        assert "tolstoy/quick/a" in first
        await world.until(61)
        assert {name for _, name, _ in world.tokens.asked} >= set(slow), "those who waited had their turn"
        await world.end()

    play(story)


def test_who_waits_for_a_slow_provider_is_not_called_again_by_whoever_looks() -> None:
    async def story() -> None:
        queue = CountingQueue(asyncio.get_running_loop().time)
        world = World(fresh(99_999), workers=4, queue=queue)
        world.inventory.observe_namespace(namespace_object(version=2, allowed_orgs="a,b,c,d"))
        names = [f"tolstoy/slow/{org}" for org in "abcd"]
        for number, name in enumerate(names):
            spec = {"tool": "slow", "orgId": name[-1]}
            world.inventory.observe_credential(credential_object(f"c{number}", uid=f"u{number}", spec=spec))
            world.grants.note(version(1, name), document(300))
        world.tokens.before = lambda _: asyncio.sleep(30)
        for second in range(1, 30):
            await world.until(second)
            world.grants.note(version(1, names[3]), document(300))
        assert queue.given == 4
        await world.end()

    play(story)


def test_a_request_in_hand_is_heard_out() -> None:
    async def story() -> None:
        world = World(fresh(99_999))

        async def take_long(_: str) -> None:
            await asyncio.sleep(20)

        world.tokens.before = take_long
        world.grants.note(version(), document(300))
        await world.until(1)
        await world.grants.finish(10)
        assert world.told == []
        await world.grants.finish(60)
        assert world.told == [KEY]
        assert asyncio.get_running_loop().time() == pytest.approx(20)

    play(story)
