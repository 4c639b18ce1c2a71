"""Whatever happens in whatever order: what is served was current when the service says it was."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fakestore import FakeStore
from tolstoy_operator.domain.errors import StoreError, StoreUnavailable, Throttled
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.services.secrets import Fetched, SecretsService

TTL = 300.0
STALE = 1000.0
NAMES = ("a", "b")


@dataclass
class World:
    """One service, one store, somebody else who writes, and the truth about which version was current when."""

    now: float = 0.0
    down: bool = False
    truth: dict[str, list[tuple[float, str]]] = field(default_factory=lambda: {name: [] for name in NAMES})

    def __post_init__(self) -> None:
        self.store = FakeStore()
        self.service = SecretsService(
            self.store,
            cache_ttl=TTL,
            stale_max_age=STALE,
            max_bytes=1500,
            clock=lambda: self.now,
            wall=lambda: self.now,
            window=0,
            record=lambda entry: None,
        )
        for name in NAMES:
            self.changed(name, self.store.write(name, f"{name}0"))

    def changed(self, name: str, version_id: str) -> None:
        self.now += 1
        self.truth[name].append((self.now, version_id))

    def current_at(self, name: str, moment: float) -> str:
        return [version_id for since, version_id in self.truth[name] if since <= moment][-1]

    def check(self, fetched: Fetched) -> None:
        name = fetched.version.name
        assert fetched.version.version_id == self.current_at(name, self.now - fetched.age)
        assert fetched.read_at == self.now - fetched.age
        assert self.down or not fetched.stale
        assert fetched.age <= STALE
        assert fetched.stale or fetched.age < TTL


async def get(world: World, name: str, _: float) -> None:
    try:
        world.check(await world.service.get(name))
    except StoreError:
        assert world.down


async def somebody_writes(world: World, name: str, amount: float) -> None:
    world.changed(name, world.store.write(name, f"{name}{amount}{world.now}"))


async def we_write(world: World, name: str, amount: float) -> None:
    if not world.down:
        version_id = await world.service.update(name, SecretValue(f"own{amount}{world.now}"))
        world.truth[name].append((world.now, version_id))
        world.check(await world.service.get(name))
        assert (await world.service.get(name)).version.version_id == version_id


async def sweep(world: World, name: str, _: float) -> None:
    current = world.truth[name][-1][1]
    news = world.service.note_version(name, current)
    assert news or world.service.versions_known()[name] == current
    if news and not world.down:
        assert (await world.service.get(name)).version.version_id == current


async def invalidate(world: World, name: str, _: float) -> None:
    world.service.invalidate(name)
    if not world.down:
        assert (await world.service.get(name)).version.version_id == world.truth[name][-1][1]


async def clear(world: World, name: str, amount: float) -> None:
    world.service.clear(name if amount < TTL else None)


async def wait(world: World, _: str, amount: float) -> None:
    world.now += amount


async def outage(world: World, _: str, amount: float) -> None:
    world.store.heal()
    world.down = not world.down
    if world.down:
        for operation in ("get", "get_many"):
            world.store.fail(operation, Throttled if amount < TTL else StoreUnavailable)


Step = Callable[[World, str, float], Awaitable[None]]
STEPS: list[Step] = [get, get, get, somebody_writes, we_write, sweep, invalidate, clear, wait, wait, outage]


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(st.sampled_from(STEPS), st.sampled_from(NAMES), st.sampled_from([1.0, 61.0, 299.0, 300.0, 1001.0])),
        max_size=30,
    )
)
def test_what_is_served_was_current_when_the_service_says_it_was(steps: list[tuple[Step, str, float]]) -> None:
    async def story() -> None:
        world = World()
        for step, name, amount in steps:
            await step(world, name, amount)
        assert world.service.stats().entries <= len(NAMES)

    asyncio.run(story())
