"""Revocations, refreshes and consents in any order, with crashes between any two steps."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.services.scene import NAME, Crash, Scene
from tolstoy_operator.domain.refreshids import REVOKING_LABEL
from tolstoy_operator.services.refresh.endings import Waiting
from tolstoy_operator.services.refresh.parts import Parts
from tolstoy_operator.services.refresh.refresher import Refresher
from tolstoy_operator.services.refresh.revocation import Buried, Revoker, Superseded
from tolstoy_operator.stores.base import CURRENT

_MOMENTS = 400
_QUIET = 30
_CRASHES = 3
_LOSES = frozenset({"keep", "journal"})
"""Before these, a crash loses new tokens: nobody can revoke what nobody knows."""


@dataclass
class Turns:
    """Lets one actor go on at a time, from one named step to the next. Time passes when all of them sleep."""

    scene: Scene
    random: Random
    at_step: dict[str, asyncio.Future[None]] = field(default_factory=dict)
    asleep: dict[str, asyncio.Future[None]] = field(default_factory=dict)
    crashes: int = 0
    spared: set[str] = field(default_factory=set)
    steps: dict[str, str] = field(default_factory=dict)

    def parts(self, actor: str) -> Parts:
        async def step(name: str) -> None:
            self.steps[actor] = name
            await self._wait(self.at_step, actor)

        return replace(self.scene.parts(actor, cluster=actor[0]), step=step)

    async def sleep(self, actor: str) -> None:
        await self._wait(self.asleep, actor)

    async def next(self) -> None:
        """One move of somebody."""
        for _ in range(_QUIET):
            await asyncio.sleep(0)
        if self.at_step:
            actor = self.random.choice(sorted(self.at_step))
            chosen, name, step = self.at_step.pop(actor), actor.partition(".")[0], self.steps[actor]
            if (
                self.crashes < _CRASHES
                and name not in self.spared
                and step not in _LOSES
                and self.random.random() < 0.1
            ):
                self.crashes += 1
                chosen.set_exception(Crash())
            else:
                chosen.set_result(None)
        elif self.asleep:
            self.scene.time.now += 15.0
            sleepers, self.asleep = self.asleep, {}
            for sleeper in sleepers.values():
                sleeper.set_result(None)

    async def _wait(self, where: dict[str, asyncio.Future[None]], actor: str) -> None:
        where[actor] = asyncio.get_running_loop().create_future()
        await where[actor]


class Play:
    """Some refreshers, some revokers, and consents in between."""

    def __init__(self, random: Random) -> None:
        self.random, self.scene = random, Scene()
        self.turns = Turns(self.scene, random)
        self.protected: set[int] = set()
        self.buried: set[int] = set()
        self.endings: list[object] = []

    async def run(self) -> None:
        actors = [self._refresher] * self.random.choice([0, 1, 2]) + [self._revoker] * self.random.choice([1, 1, 2])
        tasks = [
            asyncio.create_task(
                self._until_done(f"{'ab'[number % 2]}{number}", actor), name=f"{'ab'[number % 2]}{number}"
            )
            for number, actor in enumerate(actors)
        ]
        if actors.count(self._revoker) > 1:
            # One that forgets what it meant while another one clears the mark cannot tell a consent from the beginning.
            self.turns.spared = {task.get_name() for task in tasks}
        consents = sorted(self.random.sample(range(40), self.random.choice([0, 0, 1, 2])))
        for moment in range(_MOMENTS):
            if moment in consents:
                await self._consent(100 + moment)
            await self.turns.next()
            if all(task.done() for task in tasks):
                break
        await asyncio.gather(*tasks)

    async def _until_done(self, name: str, actor: Callable[[str], Awaitable[None]]) -> None:
        for life in range(_CRASHES + 1):
            try:
                await actor(f"{name}.{life}")
            except Crash:
                continue
            return

    async def _refresher(self, name: str) -> None:
        refresher = Refresher(self.turns.parts(name))
        for _ in range(40):
            ending = await refresher.run(self.scene.target())
            if not isinstance(ending, Waiting):
                self.endings.append(ending)
                return
            await self.turns.sleep(name)

    async def _revoker(self, name: str) -> None:
        revoker = Revoker(self.turns.parts(name))
        while True:
            ending = await revoker.run(self.scene.order())
            if not isinstance(ending, Waiting):
                self.endings.append(ending)
                await revoker.finish(NAME)
                return
            await self.turns.sleep(name)

    async def _consent(self, number: int) -> None:
        marked = await self.scene.label(REVOKING_LABEL)
        if marked is not None and marked == await self.scene.label(CURRENT):
            self.protected.add(number)
        self.scene.consent(number)

    def requests(self) -> list[tuple[str, str, int]]:
        """Verb, token and family of each request to the provider."""
        found = [re.split(" ", request) for request in self.scene.provider.requests]
        return [(verb, token, self.scene.provider.family[token]) for verb, token in found]


def judge(play: Play, document: dict[str, object], labels: set[str]) -> None:
    requests = play.requests()
    ended = [family for verb, _, family in requests if verb == "revoke"]
    assert not play.protected.intersection(ended), "a consent that came after the mark was revoked"
    for family in set(ended):
        first = next(n for n, request in enumerate(requests) if request[0] == "revoke" and request[2] == family)
        later = [request for request in requests[first:] if request[0] == "refresh" and request[2] == family]
        assert not later, f"refreshed after its revocation began: {later}"
    spent = [token for verb, token, _ in requests if verb == "refresh"]
    assert len(spent) == len(set(spent)), "a refresh token was spent twice"
    buried = document.get("tolstoy", {})
    if isinstance(buried, dict) and buried.get("revoked"):
        alive = [token for token in play.scene.provider.alive_tokens if token.startswith("refresh")]
        families = play.scene.provider.family
        assert not [token for token in alive if families[token] == ended[-1]], "buried alive"
    assert REVOKING_LABEL not in labels


async def once(seed: int) -> None:
    play = Play(Random(seed))
    await play.run()
    revoker = Revoker(play.scene.parts("z"))
    if any(isinstance(ending, Buried | Superseded) for ending in play.endings):
        described = await play.scene.store.describe(NAME)
        judge(play, play.scene.document(), set(described.labels))
    else:
        assert await revoker.finish(NAME)


@given(st.integers(0, 2**32))
@settings(max_examples=400, deadline=None)
def test_whatever_comes_in_between(seed: int) -> None:
    asyncio.run(once(seed))
