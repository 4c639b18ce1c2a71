"""What a sweep finds out, whom it tells, and what it does when the store does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.support.fakestore import FakeStore
from tests.support.objects import credential_object
from tests.unit.engine.world import Clock
from tolstoy_operator.domain.errors import AccessDenied, IdentityRefused, SecretPendingDeletion, StoreUnavailable
from tolstoy_operator.domain.existing import fingerprint_with
from tolstoy_operator.engine.inventory import Inventory
from tolstoy_operator.engine.records import Key
from tolstoy_operator.engine.sweep import MOST_PREFIXES, OVERLAP, RETRY_PAUSE, Sweep
from tolstoy_operator.engine.upstream import UpstreamHealth
from tolstoy_operator.services.secrets import SecretsService

NAME = "tolstoy/github/org-abc123"
KEY = ("shop", "github")
INTERVAL, FULL, POLL = 60.0, 21_600.0, 300.0


class Bench:
    """A sweep over a fake store, and a list of whom it told."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.set_by = 0.0
        """Seconds by which somebody has set our wall clock; the store's is right."""
        self.store = FakeStore(wall=lambda: self.clock.now - self.set_by)
        self.inventory = Inventory(fingerprint_with(b"key"))
        self.health = UpstreamHealth(self.clock)
        self.secrets = SecretsService(
            self.store,
            cache_ttl=300,
            stale_max_age=86_400,
            clock=self.clock,
            wall=self.clock,
            window=0,
            record=lambda entry: None,
        )
        self.changed: list[Key] = []
        self.later: list[Key] = []
        self.succeeded: list[str] = []
        self.sweep = self.new_sweep()

    def new_sweep(self) -> Sweep:
        """As of a process that starts now."""
        return Sweep(
            store=self.store,
            secrets=self.secrets,
            inventory=self.inventory,
            health=self.health,
            changed=self.changed.extend,
            look_later=self.later.extend,
            on_success=lambda kind, at: self.succeeded.append(kind),
            clock=lambda: self.clock.now - self.set_by,
            wall=self.clock,
            interval=INTERVAL,
            full_interval=FULL,
            poll_interval=POLL,
        )

    def use(self, name: str = "github", *, mirrored: str | None = None, **spec: str) -> None:
        status = {"upstream": {"name": NAME, "versionId": mirrored}} if mirrored else None
        self.inventory.observe_credential(
            credential_object(name, uid=name, spec=spec or None, status=status, version=len(self.changed) + 10)
        )

    async def step(self, *, after: float = INTERVAL) -> float:
        self.clock.now += after
        self.changed.clear()
        self.later.clear()
        return await self.sweep.step()


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_new_version_is_told_to_all_who_use_it(bench: Bench) -> None:
    bench.use()
    bench.use("second")
    bench.store.write(NAME, {"apiKey": "1"})
    assert await bench.step() == INTERVAL
    assert sorted(bench.changed) == [KEY, ("shop", "second")]
    assert bench.succeeded == ["changed"]


async def test_what_everybody_has_is_no_news(bench: Bench) -> None:
    bench.use(mirrored=bench.store.write(NAME, {"apiKey": "1"}))
    await bench.secrets.get(NAME)
    await bench.step()
    assert bench.changed == []
    assert bench.store.count("get") == 1, "nothing is read for it"


async def test_what_one_reader_found_first_is_told_to_the_others(bench: Bench) -> None:
    bench.use(mirrored="old-version")
    version = bench.store.write(NAME, {"apiKey": "2"})
    bench.use("first", mirrored=version)
    await bench.secrets.get(NAME)
    await bench.step()
    assert bench.changed == [KEY]


async def test_others_secrets_are_nothing_to_us(bench: Bench) -> None:
    bench.use()
    bench.store.write("tolstoy/github/somebody-else", {"apiKey": "1"})
    bench.store.write("elsewhere", {"apiKey": "1"})
    await bench.step()
    assert bench.changed == []


async def test_platform_secrets_are_listed_by_name(bench: Bench) -> None:
    bench.use(secretName="conductor-db-secret")
    bench.store.write("conductor-db-secret", {"DATABASE_URL": "x"})
    await bench.step()
    assert bench.changed == [KEY]


async def test_many_platform_secrets_are_one_listing(bench: Bench) -> None:
    for number in range(MOST_PREFIXES + 1):
        bench.use(f"c{number}", secretName=f"platform-{number}")
        bench.store.write(f"platform-{number}", {"a": "b"})
    await bench.step()
    assert bench.store.count("list_changed") == 1
    assert len(bench.changed) == MOST_PREFIXES + 1


async def test_a_listing_that_lags_is_caught_by_the_overlap(bench: Bench) -> None:
    bench.use()
    await bench.step()
    bench.clock.now -= OVERLAP - INTERVAL - 1
    bench.store.write(NAME, {"apiKey": "late"})
    bench.clock.now += OVERLAP - INTERVAL - 1
    await bench.step()
    assert bench.changed == [KEY]


async def test_it_looks_back_no_further_than_it_must(bench: Bench) -> None:
    bench.use()
    asked: list[float | None] = []
    listing = bench.store.list_changed

    def list_changed(*, prefix: str, since: float | None) -> object:
        asked.append(since)
        return listing(prefix=prefix, since=since)

    bench.store.list_changed = list_changed  # type: ignore[assignment, method-assign]
    first = bench.clock.now
    bench.store.write(NAME, {"apiKey": "1"})
    for _ in range(3):
        await bench.step()
    # A change was told 60 s after it was made, so by the store it is 60 s earlier than it could be, at the least.
    assert asked == [None, first - OVERLAP, first + INTERVAL - OVERLAP]
    await bench.step(after=FULL)
    assert asked[-1] is None


async def test_a_first_sweep_ends_where_it_began(bench: Bench) -> None:
    """Changes from before the start are not looked through, however many there are."""
    names = [f"tolstoy/github/org-{number}" for number in range(50)]
    for number, name in enumerate(names):
        bench.use(f"c{number}", tool="github", orgId=f"org-{number}")
        bench.store.write(name, {"apiKey": "1"})
        bench.clock.now += OVERLAP / 10
    bench.sweep = bench.new_sweep()
    await bench.step()
    assert 10 <= len(bench.changed) <= 13


async def test_a_first_sweep_that_comes_late_looks_back_to_the_start(bench: Bench) -> None:
    bench.use()
    bench.store.fail("list_changed", StoreUnavailable)
    await bench.step(after=0)
    bench.store.write(NAME, {"apiKey": "1"})
    await bench.step(after=3 * OVERLAP)
    bench.store.write("tolstoy/github/somebody-else", {"apiKey": "1"})
    bench.store.heal()
    await bench.step()
    assert bench.changed == [KEY]


class TestAClockThatIsWrong:
    """The store's times are compared with each other only."""

    @pytest.mark.parametrize("by", [-90_000.0, -3600.0, 3600.0, 90_000.0, 1e9])
    async def test_from_the_start(self, bench: Bench, by: float) -> None:
        bench.use()
        bench.clock.now += by
        bench.set_by = by
        for number in range(5):
            bench.store.write(NAME, {"apiKey": str(number)})
            await bench.step()
            assert bench.changed == [KEY]
            await bench.secrets.get(NAME)

    @pytest.mark.parametrize("by", [-90_000.0, -3600.0, 3600.0, 90_000.0])
    async def test_set_while_it_runs_and_set_back(self, bench: Bench, by: float) -> None:
        bench.use()
        for change in (0.0, by, 0.0, -by, 0.0):
            bench.clock.now += change
            bench.set_by += change
            bench.store.write(NAME, {"apiKey": str(bench.clock.now)})
            await bench.step(after=OVERLAP)
            assert bench.changed == [KEY]
            await bench.secrets.get(NAME)

    async def test_set_back_it_does_not_put_off_the_sweep_of_everything(self, bench: Bench) -> None:
        bench.clock.now -= 90_000
        bench.set_by -= 90_000
        await bench.step(after=FULL)
        assert bench.succeeded == ["full"]


async def test_after_a_failure_it_looks_back_to_the_last_success(bench: Bench) -> None:
    bench.use()
    await bench.step()
    bench.store.fail("list_changed", StoreUnavailable)
    bench.store.write(NAME, {"apiKey": "meanwhile"})
    await bench.step(after=2 * OVERLAP)
    bench.store.heal()
    await bench.step()
    assert bench.changed == [KEY]


@pytest.mark.parametrize("gone", [lambda store: store.schedule_deletion(NAME), lambda store: store.remove(NAME)])
async def test_a_secret_that_is_gone_is_found_by_a_full_sweep_at_the_latest(
    bench: Bench, gone: Callable[[FakeStore], None]
) -> None:
    bench.use(mirrored=bench.store.write(NAME, {"apiKey": "1"}))
    await bench.secrets.get(NAME)
    bench.clock.now += FULL
    gone(bench.store)
    await bench.step()
    assert bench.succeeded == ["full"]
    assert bench.changed == [KEY]


async def test_pending_deletion_is_seen_by_the_next_sweep(bench: Bench) -> None:
    bench.use(mirrored=bench.store.write(NAME, {"apiKey": "1"}))
    await bench.secrets.get(NAME)
    bench.store.schedule_deletion(NAME)
    await bench.step()
    assert bench.changed == [KEY]
    with pytest.raises(SecretPendingDeletion):
        await bench.secrets.get(NAME)


async def test_values_that_nobody_uses_are_not_kept(bench: Bench) -> None:
    bench.use()
    bench.store.write(NAME, {"apiKey": "1"})
    await bench.secrets.get(NAME)
    bench.inventory.forget_credential(KEY, "github")
    await bench.step()
    assert bench.secrets.stats().entries == 0


class TestOutage:
    async def test_one_failure_is_none_two_are(self, bench: Bench) -> None:
        bench.use()
        bench.store.fail("list_changed", StoreUnavailable)
        assert await bench.step() == RETRY_PAUSE
        assert (bench.health.unavailable_since, bench.later) == (None, [])
        await bench.step(after=RETRY_PAUSE)
        assert bench.health.unavailable_since is not None
        assert bench.later == [KEY]
        await bench.step(after=RETRY_PAUSE)
        assert bench.later == [], "everybody knows"

    async def test_the_end_of_it_is_told_to_all(self, bench: Bench) -> None:
        bench.use()
        bench.store.fail("list_changed", StoreUnavailable, times=2)
        await bench.step()
        await bench.step()
        await bench.step()
        assert bench.health.unavailable_since is None
        assert bench.health.last_success == bench.clock.now
        assert bench.later == [KEY]

    async def test_an_operator_that_the_store_does_not_know_has_no_answer(self, bench: Bench) -> None:
        bench.use()
        bench.store.fail("list_changed", IdentityRefused)
        assert [await bench.step() for _ in range(2)] == [RETRY_PAUSE, RETRY_PAUSE]
        assert bench.health.unavailable_since is not None
        assert bench.health.last_success is None

    async def test_who_may_not_list_looks_at_each(self, bench: Bench) -> None:
        bench.use()
        bench.store.fail("list_changed", AccessDenied)
        assert await bench.step() == POLL
        assert bench.later == [KEY]

    async def test_a_refusal_is_an_answer(self, bench: Bench) -> None:
        bench.store.fail("list_changed", StoreUnavailable, times=2)
        await bench.step()
        await bench.step()
        bench.store.fail("list_changed", AccessDenied)
        await bench.step()
        assert bench.health.unavailable_since is None


async def test_it_goes_on_after_a_defect(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.use()
    bench.store.write(NAME, {"apiKey": "1"})
    pauses: list[float] = []
    steps = iter([RuntimeError("a defect"), None])

    async def step() -> float:
        problem = next(steps)
        if problem is not None:
            raise problem
        raise asyncio.CancelledError

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    bench.sweep.step = step  # type: ignore[method-assign]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "sleep", sleep)
        with pytest.raises(asyncio.CancelledError):
            await bench.sweep.run()
    assert pauses == [INTERVAL]
    assert "sweep failed" in caplog.text
