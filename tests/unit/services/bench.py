"""A secrets service on a fake store, in a time of its own."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.support.fakestore import FakeStore
from tolstoy_operator.observability.audit import Actor, Entry
from tolstoy_operator.services.secrets import SecretsService

TTL = 300.0
STALE = 3600.0
EPOCH = 1_790_000_000.0
NAME = "tolstoy/github/org-1"
ACTOR = Actor("team-a", "github", "uid-1")


@dataclass
class Time:
    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return EPOCH + self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Bench:
    """A service on a fake store, in a time of its own."""

    ttl: float = TTL
    max_bytes: int = 2**20
    time: Time = field(default_factory=Time)
    audited: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = FakeStore(wall=self.time.wall)
        self.service = SecretsService(
            self.store,
            cache_ttl=self.ttl,
            stale_max_age=STALE,
            max_bytes=self.max_bytes,
            clock=self.time.monotonic,
            wall=self.time.wall,
            window=0,
            record=self.audited.append,
        )

    async def text(self, name: str = NAME) -> str:
        fetched = await self.service.get(name)
        assert fetched.version.value is not None
        return fetched.version.value.reveal()

    def reads(self) -> int:
        return self.store.count("get", "get_many")
