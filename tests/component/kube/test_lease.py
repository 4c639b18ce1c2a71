"""Electors among crashes, pauses and a server that comes and goes: never two leaders."""

from __future__ import annotations

import asyncio
import itertools
import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fakelease import FakeServer, Replica, virtual_time
from tests.support.virtualtime import run_virtual


class Simulation:
    """Replicas with unreliable links, wrong clocks, freezes and crashes. Watches who leads at each moment."""

    STEP = 0.25

    def __init__(self, seed: int, count: int) -> None:
        self.rng = random.Random(seed)
        self.server = FakeServer()
        self.count = count
        self.names = itertools.count()
        self.alive: list[Replica] = []
        self.trouble = 0.0
        self.led: set[str] = set()

    def start(self) -> None:
        replica = Replica(
            self.server,
            f"r{next(self.names)}",
            rate=self.rng.uniform(0.92, 1.08),
            offset=self.rng.uniform(-1e6, 1e6),
            seed=self.rng.randrange(10**9),
        )
        replica.link.fault = self.fault
        self.alive.append(replica)

    def fault(self) -> tuple[float, str, float]:
        if self.rng.random() >= self.trouble:
            return self.rng.uniform(0, 0.05), "", self.rng.uniform(0, 0.05)
        kind = self.rng.choice(["refused", "answer lost", ""])
        return self.delay(), kind, self.delay()

    def delay(self) -> float:
        return self.rng.choice([0.0, self.rng.uniform(0, 3), self.rng.uniform(0, 30)])

    async def watch(self, seconds: float) -> None:
        until = virtual_time() + seconds
        while virtual_time() < until:
            leaders = [one.name for one in self.alive if one.elector.is_leader]
            assert len(leaders) <= 1, leaders
            self.led.update(leaders)
            await asyncio.sleep(self.STEP * self.rng.random())

    async def disturb(self) -> None:
        self.trouble = self.rng.choice([0.0, 0.2, 0.6, 0.95])
        victim = self.rng.choice(self.alive)
        match self.rng.randrange(5):
            case 0:
                self.alive.remove(victim)
                await victim.crash()
                self.start()
            case 1:
                victim.frozen_until = virtual_time() + self.rng.uniform(0, 40)
            case 2:
                self.alive.remove(victim)
                await asyncio.gather(victim.elector.release(), self.watch(7))
                await victim.crash()
                self.start()
            case 3:
                victim.link.up = not victim.link.up
            case _:
                pass

    async def calm(self) -> None:
        """All is well again: within 15 s after the last late write there is a leader, and a crash is healed in 15 s."""
        self.trouble = 0.0
        for one in self.alive:
            one.link.up = True
            one.frozen_until = 0.0
        await self.watch(40 + 30 + 15)
        leaders = [one for one in self.alive if one.elector.is_leader]
        assert len(leaders) == 1
        self.alive.remove(leaders[0])
        await leaders[0].crash()
        await self.watch(15)
        assert sum(one.elector.is_leader for one in self.alive) == 1

    async def run(self) -> None:
        for _ in range(self.count):
            self.start()
        for _ in range(25):
            await self.disturb()
            await self.watch(self.rng.uniform(0, 20))
        await self.calm()
        for one in self.alive:
            await one.crash()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), count=st.integers(2, 4))
def test_never_two_leaders_whatever_fails(seed: int, count: int) -> None:
    run_virtual(Simulation(seed, count).run())
