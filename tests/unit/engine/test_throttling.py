"""Ten minutes in which the store answers every call with "too many": Secrets stay, it is said, and calls stay few."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tests.unit.engine.world import SHOP, World
from tolstoy_operator.api.reasons import SOUND_REASONS
from tolstoy_operator.domain.errors import Throttled
from tolstoy_operator.engine.records import Key
from tolstoy_operator.engine.sweep import Sweep
from tolstoy_operator.kube import paths

CREDENTIALS = 40
TICK = 1.0
MINUTES = 60.0


class Running:
    """A world in which a second is a tick: sweeps, and credentials when they are due, one after the other."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.due: dict[Key, float] = {}
        self.failures: Counter[Key] = Counter()
        self.sweep = Sweep(
            store=world.store,
            secrets=world.secrets,
            inventory=world.inventory,
            health=world.upstream,
            changed=self.look,
            look_later=self.look,
            on_success=lambda kind, at: None,
            clock=world.clock,
            wall=world.clock,
            interval=60.0,
            full_interval=21_600.0,
            poll_interval=300.0,
        )
        self._sweep_at = world.clock()

    def look(self, keys: Iterable[Key]) -> None:
        self.due.update(dict.fromkeys(keys, self.world.clock()))

    async def run(self, seconds: float) -> None:
        world = self.world
        for _ in range(round(seconds / TICK)):
            world.clock.now += TICK
            self.look(world.deliver())
            if self._sweep_at <= world.clock():
                self._sweep_at = world.clock() + await self.sweep.step()
            for key in [key for key, at in self.due.items() if at <= world.clock()]:
                del self.due[key]
                await self._reconcile(key)

    async def _reconcile(self, key: Key) -> None:
        reason, pause = await self.world.reconciler.reconcile(key, self.failures[key])
        self.failures[key] = 0 if reason is None or reason in SOUND_REASONS else self.failures[key] + 1
        if pause is not None:
            self.due[key] = self.world.clock() + pause


async def test_ten_minutes_of_throttling(world: World) -> None:
    names = [f"c{number}" for number in range(CREDENTIALS)]
    world.namespace(orgs=",".join(names))
    for name in names:
        world.store.write(f"tolstoy/github/{name}", {"apiKey": f"first-{name}"})
        world.credential(name, orgId=name)
    running = Running(world)
    await running.run(2 * MINUTES)
    assert all(world.data(name) == {"apiKey": f"first-{name}"} for name in names)

    for operation in ("get", "get_many", "describe", "list_changed"):
        world.store.fail(operation, Throttled)
    for name in names:
        world.store.write(f"tolstoy/github/{name}", {"apiKey": f"second-{name}"})
    world.store.calls.clear()
    world.kube.writes()
    await running.run(5 * MINUTES)
    world.kube.remove(paths.secrets(SHOP, "c0"))
    world.credential("late", orgId="c1", target={"name": "late"})
    world.credential("unknown", orgId="c2", tool="slack")
    await running.run(5 * MINUTES)

    for name in names:
        assert world.data(name) == {"apiKey": f"first-{name}"}, "also the one that was deleted meanwhile"
        assert world.reason(name) == "UpstreamUnavailable"
        assert world.condition("Ready", name)["status"] == "True"
        assert "keeps the value read at" in world.message(name)
    assert world.data("late") == {"apiKey": "first-c1"}
    assert (world.reason("unknown"), world.condition("Ready", "unknown")["status"]) == ("UpstreamUnavailable", "False")
    assert world.store.count("list_changed") <= 10 * MINUTES / 5 + 1
    assert world.store.count("get", "get_many") <= 10 * CREDENTIALS
    assert len(world.kube.writes()) <= 2 * CREDENTIALS + 8, "a status each, and nothing that ticks"

    world.store.heal()
    await running.run(5 * MINUTES)
    assert all(world.data(name) == {"apiKey": f"second-{name}"} for name in names)
    assert {world.reason(name) for name in names} == {"Synced"}
