"""When a provider is asked whether a token works, and what its answer changes. Time is virtual."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import cast

import pytest

from tests.unit.engine.test_grants import EPOCH, KEY, NAME, World, document, failed, play, version
from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.domain.grant import Told, Trouble
from tolstoy_operator.domain.tokenhealth import Liveness
from tolstoy_operator.engine.checks import CHECK_EVERY, CHECK_SPACING, SOON, TURN, Checks
from tolstoy_operator.services.refresh.endings import Problem
from tolstoy_operator.services.tokens import Refreshed, TokenService

ALIVE, DEAD, UNKNOWN = Liveness.ALIVE, Liveness.DEAD, Liveness.UNKNOWN
STATIC = document(None, refresh_token=None)
SEEN = Told(seen=True)


def held(*answers: Liveness) -> World:
    """A token without an end; every pass of the protocol finds it as it is."""
    world = World(Refreshed("version-1", STATIC))
    world.tokens.health = list(answers)
    return world


def test_a_token_that_somebody_stored_is_asked_about_soon_and_then_seldom() -> None:
    async def story() -> None:
        world = held(ALIVE)
        grant = world.grants.note(version(), STATIC)
        await world.until(61)
        assert world.tokens.checked == [60]
        assert grant.check.alive
        assert world.told == [KEY], "nobody knew whether it works"
        await world.until(CHECK_EVERY + 70)
        assert world.tokens.checked == [60, CHECK_EVERY + 60]
        assert world.told == [KEY], "no news"
        await world.end()

    play(story)


def test_a_token_that_was_there_before_a_restart_is_not_asked_about_at_once() -> None:
    async def story() -> None:
        world = held(ALIVE)
        world.grants.note(version(), STATIC, Told(seen=True, alive=True))
        await world.until(CHECK_EVERY - 1)
        assert world.tokens.checked == []
        await world.until(CHECK_EVERY + 1)
        assert world.tokens.checked == [CHECK_EVERY]
        assert world.told == []
        await world.end()

    play(story)


def test_a_static_token_that_is_dead_is_revoked_until_it_lives() -> None:
    async def story() -> None:
        world = held(DEAD, DEAD, ALIVE)
        world.grants.note(version(), STATIC)
        await world.until(61)
        trouble = world.trouble()
        assert trouble is not None
        assert (trouble.reason, trouble.dead) == (Reason.REVOKED, True)
        await world.until(CHECK_EVERY + 61)
        assert world.trouble() is trouble, "the same again is no news"
        await world.until(2 * CHECK_EVERY + 61)
        assert world.trouble() is None
        assert world.told == [KEY, KEY]
        assert world.tokens.replaced == []
        await world.end()

    play(story)


def test_a_provider_in_trouble_says_nothing_about_a_token() -> None:
    async def story() -> None:
        world = held(ALIVE, UNKNOWN)
        grant = world.grants.note(version(), STATIC)
        await world.until(CHECK_EVERY + 61)
        assert len(world.tokens.checked) == 2
        assert (grant.check.alive, grant.trouble) == (True, None)
        await world.end()

    play(story)


def test_an_answer_about_another_version_is_none() -> None:
    async def story() -> None:
        world = held(DEAD)
        world.tokens.version = "version-2"
        world.grants.note(version(), STATIC)
        await world.until(61)
        assert world.trouble() is None
        await world.end()

    play(story)


@pytest.mark.parametrize("lives", [True, False])
def test_a_token_that_died_before_its_time_is_replaced_once(lives: bool) -> None:
    async def story() -> None:
        old, new = document(99_999), document(99_999)
        world = World(Refreshed("version-1", old), Refreshed("version-2", new, made=True), Refreshed("version-2", new))
        world.tokens.health = [DEAD, ALIVE if lives else DEAD]
        world.grants.note(version(), old)
        await world.until(61)
        assert world.tokens.replaced == ["version-1"]
        assert (world.told, world.trouble()) == ([KEY], None)
        world.tokens.version = "version-2"
        world.grants.note(version(2), new)
        await world.until(60 + CHECK_SPACING + 1)
        assert world.tokens.checked == [60, 60 + CHECK_SPACING]
        trouble = world.trouble()
        assert (trouble is None) is lives
        assert world.tokens.replaced == ["version-1"], "no second time"
        await world.end()

    play(story)


def test_what_a_replacement_fails_with_is_told_as_usual() -> None:
    async def story() -> None:
        old = document(99_999)
        world = World(Refreshed("version-1", old), failed(Problem.REAUTHORIZATION_REQUIRED))
        world.tokens.health = [DEAD]
        world.grants.note(version(), old)
        await world.until(61)
        trouble = world.trouble()
        assert trouble is not None
        assert trouble.reason is Reason.REAUTHORIZATION_REQUIRED
        await world.end()

    play(story)


def test_a_replacement_that_takes_several_tries_is_tried_until_it_has_ended() -> None:
    async def story() -> None:
        old = document(99_999)
        refused = failed(Problem.REFRESH_FAILING, pause=30)
        world = World(Refreshed("version-1", old), refused, failed(Problem.REAUTHORIZATION_REQUIRED))
        world.tokens.health = [DEAD]
        world.grants.note(version(), old)
        await world.until(61)
        trouble = world.trouble()
        assert trouble is not None
        assert trouble.reason is Reason.REFRESH_FAILING
        await world.until(120)
        trouble = world.trouble()
        assert trouble is not None
        assert trouble.reason is Reason.REAUTHORIZATION_REQUIRED
        assert world.tokens.replaced == ["version-1", "version-1"]
        assert world.tokens.checked == [60]
        await world.end()

    play(story)


def test_a_person_can_have_it_asked_but_not_all_the_time() -> None:
    async def story() -> None:
        world = held(ALIVE)
        world.grants.note(version(), STATIC, SEEN)
        for moment in (100, 250, 400):
            await world.until(moment)
            world.grants.refresh_now(NAME, "uid-1", str(moment))
        await world.until(450)
        assert world.tokens.checked == [100]
        await world.until(100 + CHECK_SPACING + 1)
        assert world.tokens.checked == [100, 100 + CHECK_SPACING]
        await world.end()

    play(story)


def test_a_restart_repeats_a_dead_token_until_it_has_asked() -> None:
    async def story() -> None:
        world = held(DEAD)
        dead = Trouble(Reason.REVOKED, "the provider does not accept the access token any more", EPOCH - 99, dead=True)
        world.grants.note(version(), STATIC, Told(dead, seen=True))
        assert world.trouble() is dead
        await world.until(61)
        assert world.tokens.checked == [60]
        assert world.trouble() is dead
        assert world.told == []
        await world.end()

    play(story)


def test_a_question_that_has_to_wait_is_asked_soon_after() -> None:
    async def story() -> None:
        world = held(UNKNOWN, ALIVE)
        world.tokens.pause = 900.0
        grant = world.grants.note(version(), STATIC)
        await world.until(61)
        world.tokens.pause = None
        assert world.tokens.checked == [60]
        await world.until(60 + 900 + 61)
        assert world.tokens.checked == [60, 60 + 900 + 60]
        assert grant.check.alive
        await world.end()

    play(story)


def test_however_short_the_pause_no_sooner_than_is_decent() -> None:
    async def story() -> None:
        world = held(UNKNOWN)
        world.tokens.pause = 1.0
        world.grants.note(version(), STATIC)
        await world.until(60 + CHECK_SPACING + 1)
        assert world.tokens.checked == [60, 60 + CHECK_SPACING]
        await world.end()

    play(story)


def test_many_that_come_at_once_are_no_stampede() -> None:
    drawn = Random(7)
    checks = Checks(cast(TokenService, Askable()), clock=lambda: EPOCH, uniform=drawn.uniform, time_scale=1.0)
    planned = [checks.plan(f"tolstoy/github/org-{n}", Told(), fresh=True).at or 0.0 for n in range(10_000)]
    other = checks.plan("tolstoy/slack/org-1", Told(), fresh=True)
    asked = Counter(int(at - EPOCH) // 60 for at in planned)
    assert min(planned) >= EPOCH
    assert max(planned) <= EPOCH + 10_000 * TURN + SOON
    assert max(asked.values()) <= 1.3 * 60 / TURN, "questions in a minute"
    assert (other.at or 0.0) <= EPOCH + SOON, "another tool's do not wait for these"


class Askable:
    """A token service whose every token can be asked about."""

    def checks_health(self, name: str) -> bool:
        return True
