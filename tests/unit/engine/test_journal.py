"""Rounds through the journal of refreshes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from tests.unit.engine.world import UPSTREAM, World
from tolstoy_operator.domain.errors import StoreUnavailable
from tolstoy_operator.domain.refreshrecords import JournalEntry
from tolstoy_operator.engine.journal import JournalRounds


class FakeKeeper:
    """Knows some secrets, and can be made to fail once."""

    def __init__(self, *names: str, fails: bool = False) -> None:
        self._names, self._fails, self.rounds = frozenset(names), fails, 0

    async def entries(self) -> list[JournalEntry]:
        if self._fails:
            self._fails = False
            raise StoreUnavailable("journal", "cannot be listed")
        return [JournalEntry(name, name, 0.0) for name in sorted(self._names)]

    async def tidy(self, known: Sequence[JournalEntry]) -> int:
        assert {entry.secret for entry in known} == self._names
        self.rounds += 1
        return 1


class FakeTokens:
    def __init__(self) -> None:
        self.delivered: list[str] = []

    async def deliver(self, name: str) -> None:
        self.delivered.append(name)


def rounds(world: World, keeper: FakeKeeper, tokens: FakeTokens) -> JournalRounds:
    return JournalRounds(world.inventory, cast(Any, keeper), cast(Any, tokens), time_scale=0.0)


async def test_what_waits_for_a_secret_that_nobody_uses_goes_upstream_before_anything_is_removed(world: World) -> None:
    world.credential()
    world.deliver()
    keeper, tokens = FakeKeeper(UPSTREAM, "tolstoy/left/org-1"), FakeTokens()

    await rounds(world, keeper, tokens).go_round()

    assert tokens.delivered == ["tolstoy/left/org-1"]
    assert keeper.rounds == 1


async def test_a_round_that_failed_is_made_again(world: World, caplog: pytest.LogCaptureFixture) -> None:
    keeper = FakeKeeper(fails=True)

    task = asyncio.create_task(rounds(world, keeper, FakeTokens()).run())
    while not keeper.rounds:
        await asyncio.sleep(0)
    task.cancel()

    assert "not looked through" in caplog.text
