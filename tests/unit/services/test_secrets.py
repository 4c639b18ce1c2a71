"""The secrets service: what is served, from where, and at the price of which calls."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.support.fakestore import Call, FakeStore
from tolstoy_operator.domain.documents import MalformedSecret
from tolstoy_operator.domain.errors import (
    AccessDenied,
    AlreadyExists,
    DecryptionFailed,
    SecretNotFound,
    SecretPendingDeletion,
    StoreError,
    StoreUnavailable,
    Throttled,
)
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.observability.audit import Actor, Entry, Operation
from tolstoy_operator.services.cache import OWN_WRITE_LAG
from tolstoy_operator.services.secrets import Fetched, SecretsService

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


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture(autouse=True)
def no_value_in_audit(bench: Bench) -> Iterator[None]:
    yield
    assert "s3cr3t" not in repr(bench.audited)


async def test_a_value_is_read_once_while_it_is_fresh(bench: Bench) -> None:
    version_id = bench.store.write(NAME, {"apiKey": "s3cr3t"})
    first = await bench.service.get(NAME)
    bench.time.sleep(TTL - 1)
    second = await bench.service.get(NAME)
    assert bench.reads() == 1
    assert (first.version.version_id, first.stale, first.age) == (version_id, False, 0)
    assert (second.stale, second.age, second.read_at) == (False, TTL - 1, EPOCH + 1000)
    assert second.document() is first.document(), "a version is parsed once"
    bench.time.sleep(1)
    assert (await bench.service.get(NAME)).age == 0
    assert bench.reads() == 2


async def test_without_a_ttl_every_read_asks(bench: Bench) -> None:
    eager = Bench(ttl=0)
    eager.store.write(NAME, "a")
    await eager.service.get(NAME)
    await eager.service.get(NAME)
    assert eager.reads() == 2


async def test_a_fetched_value_shows_nothing(bench: Bench) -> None:
    bench.store.write(NAME, {"apiKey": "s3cr3t"})
    assert "s3cr3t" not in repr(await bench.service.get(NAME))


async def test_a_malformed_value_is_served_and_says_what_is_wrong_each_time(bench: Bench) -> None:
    bench.store.write(NAME, "s3cr3t")
    fetched = await bench.service.get(NAME)
    with pytest.raises(MalformedSecret) as first:
        fetched.document()
    with pytest.raises(MalformedSecret) as second:
        fetched.document()
    assert first.value is not second.value, "a shared exception gathers tracebacks"
    assert "not JSON" in first.value.cause


async def test_one_key(bench: Bench) -> None:
    bench.store.write(NAME, {"apiKey": "s3cr3t", "n": 5})
    assert await bench.service.get_key(NAME, "apiKey") == SecretValue("s3cr3t")
    assert (await bench.service.get_key(NAME, "n")).reveal() == "5"
    with pytest.raises(MalformedSecret, match='no member "absent"'):
        await bench.service.get_key(NAME, "absent")


class TestManyAskers:
    async def test_who_asks_for_the_same_secret_joins_the_read(self, bench: Bench) -> None:
        bench.store.write(NAME, "a")
        await asyncio.gather(*(bench.service.get(NAME) for _ in range(50)))
        assert bench.store.calls == [Call("get", (NAME,))]
        assert bench.service.stats().joined == 49

    async def test_an_asker_who_comes_while_the_read_is_out_joins_it_too(self, bench: Bench) -> None:
        bench.store.write(NAME, "a")
        gate = bench.store.hold("get")
        first = asyncio.create_task(bench.service.get(NAME))
        while not bench.store.calls:
            await asyncio.sleep(0)
        second = asyncio.create_task(bench.service.get(NAME))
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(first, second)
        assert bench.reads() == 1

    async def test_reads_that_start_together_travel_together(self, bench: Bench) -> None:
        names = [f"tolstoy/github/org-{i}" for i in range(45)]
        for name in names:
            bench.store.write(name, name)
        fetched = await asyncio.gather(*map(bench.service.get, names))
        assert [one.version.name for one in fetched] == names
        assert [(call.operation, len(call.names)) for call in bench.store.calls] == [
            ("get_many", 20),
            ("get_many", 20),
            ("get_many", 5),
        ]

    async def test_in_a_batch_each_gets_its_own_answer(self, bench: Bench) -> None:
        bench.store.write("good", "a")
        bench.store.write("locked", "b")
        bench.store.fail("get_many", AccessDenied, name="locked")
        answers = await asyncio.gather(*map(bench.service.get, ["good", "locked", "absent"]), return_exceptions=True)
        assert isinstance(answers[0], Fetched)
        assert isinstance(answers[1], AccessDenied)
        assert isinstance(answers[2], SecretNotFound)

    async def test_a_whole_call_that_fails_is_everybodys_answer_under_their_own_name(self, bench: Bench) -> None:
        bench.store.fail("get_many", Throttled)
        answers = await asyncio.gather(*map(bench.service.get, ["a", "b"]), return_exceptions=True)
        assert [(type(answer), answer.name) for answer in answers if isinstance(answer, StoreError)] == [
            (Throttled, "a"),
            (Throttled, "b"),
        ]

    async def test_an_asker_who_gives_up_takes_nobody_along(self, bench: Bench) -> None:
        bench.store.write(NAME, "a")
        gate = bench.store.hold("get")
        impatient, patient = (asyncio.create_task(bench.service.get(NAME)) for _ in range(2))
        while not bench.store.calls:
            await asyncio.sleep(0)
        impatient.cancel()
        gate.set()
        assert (await patient).version.name == NAME
        with pytest.raises(asyncio.CancelledError):
            await impatient

    async def test_a_read_that_nobody_waits_for_any_more_is_kept_and_leaves_no_noise(self, bench: Bench) -> None:
        bench.store.write(NAME, "a")
        gate = bench.store.hold("get")
        asker = asyncio.create_task(bench.service.get(NAME))
        while not bench.store.calls:
            await asyncio.sleep(0)
        asker.cancel()
        gate.set()
        await asyncio.gather(asker, return_exceptions=True)
        while not bench.service.versions_known():
            await asyncio.sleep(0)
        await bench.service.get(NAME)
        assert bench.reads() == 1

    async def test_each_asker_gets_an_error_of_their_own(self, bench: Bench) -> None:
        answers = await asyncio.gather(*(bench.service.get(NAME) for _ in range(3)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {SecretNotFound}
        assert len(set(map(id, answers))) == 3

    async def test_a_defect_of_the_store_reaches_who_waits(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        async def broken(name: str) -> None:
            raise RuntimeError("defect")

        monkeypatch.setattr(bench.store, "get", broken)
        with pytest.raises(RuntimeError, match="defect"):
            await asyncio.wait_for(bench.service.get(NAME), 5)
        monkeypatch.undo()
        bench.store.write(NAME, "a")
        assert await bench.text() == "a", "the read of before is over"

    async def test_a_defect_with_one_answer_takes_no_other_back(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(entry: Entry) -> None:
            if entry.secret == "b":
                raise RuntimeError("defect")

        monkeypatch.setattr(bench.service, "_record", broken)
        for name in ("a", "b", "c"):
            bench.store.write(name, name)
        answers = await asyncio.gather(*map(bench.service.get, ["a", "b", "c"]), return_exceptions=True)
        assert [type(answer) for answer in answers] == [Fetched, RuntimeError, RuntimeError]

    async def test_a_store_that_leaves_a_secret_out_did_not_answer(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def forgetful(names: object) -> dict[str, object]:
            return {}

        monkeypatch.setattr(bench.store, "get_many", forgetful)
        answers = await asyncio.gather(*map(bench.service.get, ["a", "b"]), return_exceptions=True)
        assert {type(answer) for answer in answers} == {StoreUnavailable}

    async def test_when_the_loop_ends_nobody_is_left_waiting(self, bench: Bench) -> None:
        bench.store.hold("get")
        asker = asyncio.create_task(bench.service.get(NAME))
        while not bench.store.calls:
            await asyncio.sleep(0)
        reads = [task for task in asyncio.all_tasks() if task not in (asker, asyncio.current_task())]
        for task in reads:
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asker, 5)


class TestOutage:
    @pytest.mark.parametrize("error", [StoreUnavailable, Throttled])
    async def test_the_last_value_stands_in_for_a_bounded_time(self, bench: Bench, error: type[StoreError]) -> None:
        bench.store.write(NAME, "a")
        read_at = (await bench.service.get(NAME)).read_at
        bench.store.fail("get", error)
        bench.time.sleep(STALE)
        fetched = await bench.service.get(NAME)
        assert (fetched.stale, fetched.age, fetched.read_at) == (True, STALE, read_at)
        assert bench.service.stats().stale_served == 1
        bench.time.sleep(1)
        with pytest.raises(error):
            await bench.service.get(NAME)

    async def test_without_a_last_value_the_outage_is_told(self, bench: Bench) -> None:
        bench.store.write(NAME, "a")
        bench.store.fail("get", StoreUnavailable, times=1)
        with pytest.raises(StoreUnavailable):
            await bench.service.get(NAME)
        assert await bench.text() == "a"

    async def test_afterwards_the_store_counts_again(self, bench: Bench) -> None:
        bench.store.write(NAME, "a")
        await bench.service.get(NAME)
        bench.time.sleep(TTL)
        bench.store.fail("get", StoreUnavailable)
        assert (await bench.service.get(NAME)).stale
        bench.store.heal()
        bench.store.write(NAME, "b")
        fetched = await bench.service.get(NAME)
        assert not fetched.stale
        assert await bench.text() == "b"

    async def test_a_failed_read_does_not_hide_that_the_value_is_still_fresh_for_others(self, bench: Bench) -> None:
        bench.store.write(NAME, "a")
        await bench.service.get(NAME)
        bench.store.fail("get", Throttled)
        assert not (await bench.service.get(NAME)).stale

    @pytest.mark.parametrize("error", [AccessDenied, DecryptionFailed, SecretNotFound, SecretPendingDeletion])
    async def test_a_refusal_is_told_and_ends_what_could_stand_in(self, bench: Bench, error: type[StoreError]) -> None:
        bench.store.write(NAME, "a")
        await bench.service.get(NAME)
        bench.time.sleep(TTL)
        bench.store.fail("get", error, times=1)
        with pytest.raises(error):
            await bench.service.get(NAME)
        bench.store.fail("get", StoreUnavailable, times=1)
        with pytest.raises(StoreUnavailable):
            await bench.service.get(NAME)
        assert NAME not in bench.service.versions_known()


class TestVersions:
    async def test_a_confirmed_version_is_fresh_again_without_a_read(self, bench: Bench) -> None:
        version_id = bench.store.write(NAME, "a")
        await bench.service.get(NAME)
        bench.time.sleep(TTL - 1)
        assert bench.service.note_version(NAME, version_id) is False
        bench.time.sleep(TTL - 1)
        fetched = await bench.service.get(NAME)
        assert (bench.reads(), fetched.age, fetched.read_at) == (1, TTL - 1, EPOCH + 1000 + TTL - 1)

    async def test_an_expired_value_can_be_confirmed(self, bench: Bench) -> None:
        version_id = bench.store.write(NAME, "a")
        await bench.service.get(NAME)
        bench.time.sleep(TTL * 2)
        bench.service.note_version(NAME, version_id)
        assert await bench.text() == "a"
        assert bench.reads() == 1

    async def test_another_version_is_news_and_is_read(self, bench: Bench) -> None:
        bench.store.write(NAME, "a")
        await bench.service.get(NAME)
        changed = bench.store.write(NAME, "b")
        assert bench.service.note_version(NAME, changed) is True
        assert bench.service.note_version(NAME, changed) is True, "until it was read"
        assert await bench.text() == "b"
        assert bench.service.note_version(NAME, changed) is False

    async def test_an_outdated_value_can_still_stand_in(self, bench: Bench) -> None:
        before = bench.store.write(NAME, "a")
        await bench.service.get(NAME)
        bench.service.note_version(NAME, bench.store.write(NAME, "b"))
        bench.store.fail("get", StoreUnavailable)
        fetched = await bench.service.get(NAME)
        assert (fetched.stale, fetched.version.version_id) == (True, before)

    async def test_an_invalidated_value_is_not_confirmed_by_hearsay(self, bench: Bench) -> None:
        version_id = bench.store.write(NAME, "a")
        await bench.service.get(NAME)
        bench.service.invalidate(NAME)
        assert bench.service.note_version(NAME, version_id) is False
        await bench.service.get(NAME)
        assert bench.reads() == 2

    async def test_a_secret_without_a_current_version_or_unknown_is_news(self, bench: Bench) -> None:
        bench.store.write(NAME, "a")
        await bench.service.get(NAME)
        assert bench.service.note_version(NAME, None) is True
        assert bench.service.note_version("unknown", "v") is True
        assert bench.service.note_version("unknown", None) is True

    async def test_the_known_versions_are_a_copy(self, bench: Bench) -> None:
        version_id = bench.store.write(NAME, "a")
        await bench.service.get(NAME)
        known = bench.service.versions_known()
        bench.service.clear()
        assert known == {NAME: version_id}

    async def test_news_during_a_read_call_for_another_read(self, bench: Bench) -> None:
        before = bench.store.write(NAME, "a")
        bench.store.lag(NAME, before)
        gate = bench.store.hold("get")
        early = asyncio.create_task(bench.service.get(NAME))
        while not bench.store.calls:
            await asyncio.sleep(0)
        bench.service.note_version(NAME, bench.store.write(NAME, "b"))
        gate.set()
        await early
        bench.store.heal()
        assert await bench.text() == "b"
        assert bench.reads() == 2

    async def test_a_refusal_from_before_the_news_ends_nothing(self, bench: Bench) -> None:
        bench.store.write(NAME, "a")
        await bench.service.get(NAME)
        bench.time.sleep(TTL)
        gate = bench.store.hold("get")
        bench.store.fail("get", AccessDenied, times=1)
        early = asyncio.create_task(bench.service.get(NAME))
        while bench.reads() < 2:
            await asyncio.sleep(0)
        bench.service.invalidate(NAME)
        gate.set()
        with pytest.raises(AccessDenied):
            await early
        assert NAME in bench.service.versions_known()


class TestForgetting:
    async def test_an_invalidated_value_is_read_again(self, bench: Bench) -> None:
        bench.store.write(NAME, "a")
        await bench.service.get(NAME)
        bench.service.invalidate(NAME)
        bench.service.invalidate("unknown")
        bench.store.write(NAME, "b")
        assert await bench.text() == "b"

    async def test_one_or_all_can_be_cleared(self, bench: Bench) -> None:
        for name in ("a", "b", "c"):
            bench.store.write(name, name)
            await bench.service.get(name)
        bench.service.clear("a")
        bench.service.clear("unknown")
        assert set(bench.service.versions_known()) == {"b", "c"}
        bench.service.clear()
        assert bench.service.versions_known() == {}
        assert (bench.service.stats().entries, bench.service.stats().bytes) == (0, 0)
        bench.store.fail("get", StoreUnavailable)
        with pytest.raises(StoreUnavailable):
            await bench.service.get("b")

    async def test_a_read_that_is_under_way_brings_nothing_back(self, bench: Bench) -> None:
        bench.store.write(NAME, "a")
        gate = bench.store.hold("get")
        early = asyncio.create_task(bench.service.get(NAME))
        while not bench.store.calls:
            await asyncio.sleep(0)
        bench.service.clear()
        gate.set()
        await early
        assert bench.service.versions_known() == {}

    async def test_the_least_recently_used_values_go_for_room_and_their_versions_stay_known(self) -> None:
        small = Bench(max_bytes=3 * (1024 + 200))
        versions = {name: small.store.write(name, "x" * 100) for name in ("a", "b", "c", "d")}
        for name in ("a", "b", "c", "a", "d"):
            await small.service.get(name)
        stats = small.service.stats()
        assert (stats.entries, stats.evictions, stats.bytes) == (3, 1, 3 * (1024 + 200))
        assert small.service.versions_known() == versions
        assert small.service.note_version("b", versions["b"]) is False
        before = small.reads()
        await small.service.get("a")
        assert small.reads() == before
        await small.service.get("b")
        assert small.reads() == before + 1

    async def test_one_value_always_has_room(self) -> None:
        tiny = Bench(max_bytes=1)
        tiny.store.write(NAME, "x" * 100)
        await tiny.service.get(NAME)
        await tiny.service.get(NAME)
        assert tiny.reads() == 1


class TestWrites:
    async def test_what_was_written_is_read_from_memory(self, bench: Bench) -> None:
        bench.store.write(NAME, "a")
        arn = (await bench.service.get(NAME)).version.arn
        version_id = await bench.service.update(NAME, SecretValue("b"))
        fetched = await bench.service.get(NAME)
        assert (fetched.version.version_id, fetched.version.arn, fetched.age) == (version_id, arn, 0)
        assert await bench.text() == bench.store.read(NAME) == "b"
        assert bench.reads() == 1
        assert bench.service.note_version(NAME, version_id) is False

    async def test_what_was_written_unread_is_confirmed_first(self, bench: Bench) -> None:
        bench.store.write(NAME, "a")
        version_id = await bench.service.update(NAME, SecretValue("b"))
        assert bench.service.versions_known() == {NAME: version_id}
        assert await bench.text() == "b"
        assert bench.reads() == 1

    async def test_a_created_secret_is_known(self, bench: Bench) -> None:
        version_id = await bench.service.create(NAME, SecretValue("a"))
        assert (await bench.service.get(NAME)).version.version_id == version_id
        assert bench.reads() == 1
        with pytest.raises(AlreadyExists):
            await bench.service.create(NAME, SecretValue("b"))

    async def test_what_we_have_replaced_is_no_news_for_a_minute(self, bench: Bench) -> None:
        grandparent = bench.store.write(NAME, "a")
        await bench.service.get(NAME)
        parent = await bench.service.update(NAME, SecretValue("b"))
        bench.time.sleep(OWN_WRITE_LAG - 1)
        await bench.service.update(NAME, SecretValue("c"))
        for late in (grandparent, parent):
            bench.store.lag(NAME, late)
            assert bench.service.note_version(NAME, late) is False
            bench.service.invalidate(NAME)
            assert await bench.text() == "c"
            bench.store.heal()
        bench.time.sleep(OWN_WRITE_LAG)
        assert bench.service.note_version(NAME, parent) is True
        bench.store.lag(NAME, parent)
        assert await bench.text() == "b", "it was moved back"

    async def test_somebody_elses_write_after_ours_is_news_at_once(self, bench: Bench) -> None:
        bench.store.write(NAME, "a")
        await bench.service.get(NAME)
        await bench.service.update(NAME, SecretValue("b"))
        assert bench.service.note_version(NAME, bench.store.write(NAME, "c")) is True
        assert await bench.text() == "c"

    async def test_the_memory_of_own_writes_is_short(self, bench: Bench) -> None:
        bench.store.write(NAME, "a")
        await bench.service.get(NAME)
        parent = await bench.service.update(NAME, SecretValue("b"))
        bench.time.sleep(OWN_WRITE_LAG)
        bench.store.write("other", "a")
        await bench.service.get("other")
        await bench.service.update("other", SecretValue("b"))
        assert bench.service.note_version(NAME, parent) is False
        assert bench.service.note_version(NAME, "f" * 32) is True

    async def test_a_read_from_before_our_write_does_not_undo_it(self, bench: Bench) -> None:
        parent = bench.store.write(NAME, "a")
        await bench.service.get(NAME)
        bench.service.invalidate(NAME)
        bench.store.lag(NAME, parent)
        gate = bench.store.hold("get")
        early = asyncio.create_task(bench.service.get(NAME))
        while bench.reads() < 2:
            await asyncio.sleep(0)
        version_id = await bench.service.update(NAME, SecretValue("b"))
        gate.set()
        assert (await early).version.version_id == version_id
        assert await bench.text() == "b"

    async def test_a_read_from_before_our_write_of_an_unread_secret_does_not_undo_it(self, bench: Bench) -> None:
        bench.store.lag(NAME, bench.store.write(NAME, "a"))
        gate = bench.store.hold("get")
        early = asyncio.create_task(bench.service.get(NAME))
        while not bench.reads():
            await asyncio.sleep(0)
        bench.store.hold_no_more("get")
        await bench.service.update(NAME, SecretValue("b"))
        gate.set()
        await early
        assert await bench.text() == "b"

    async def test_somebody_elses_write_before_our_answer_came_is_not_written_over_in_memory(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench.store.write(NAME, "a")
        await bench.service.get(NAME)
        put = bench.store.put

        async def slowly_answered(name: str, value: SecretValue, *, version_id: str) -> None:
            await put(name, value, version_id=version_id)
            bench.service.note_version(name, bench.store.write(name, "c"))
            await bench.service.get(name)

        monkeypatch.setattr(bench.store, "put", slowly_answered)
        await bench.service.update(NAME, SecretValue("b"))
        assert await bench.text() == "c"

    async def test_a_repeated_write_is_harmless(self, bench: Bench) -> None:
        bench.store.write(NAME, "a")
        await bench.service.get(NAME)
        token = "f" * 32
        assert await bench.service.update(NAME, SecretValue("b"), version_id=token) == token
        assert await bench.service.update(NAME, SecretValue("b"), version_id=token) == token
        assert await bench.text() == "b"
        with pytest.raises(AlreadyExists):
            await bench.service.update(NAME, SecretValue("c"), version_id=token)
        assert await bench.text() == "b"

    async def test_a_repeated_write_does_not_hide_somebody_elses(self, bench: Bench) -> None:
        bench.store.write(NAME, "a")
        token = "f" * 32
        await bench.service.update(NAME, SecretValue("b"), version_id=token)
        bench.store.write(NAME, "c")
        await bench.service.update(NAME, SecretValue("b"), version_id=token)
        assert await bench.text() == "c"

    async def test_after_a_write_of_unknown_outcome_the_store_is_asked(self, bench: Bench) -> None:
        bench.store.write(NAME, "a")
        await bench.service.get(NAME)
        bench.store.fail("put", StoreUnavailable, times=1)
        with pytest.raises(StoreUnavailable):
            await bench.service.update(NAME, SecretValue("b"))
        bench.store.write(NAME, "b")
        assert await bench.text() == "b"

    async def test_after_a_cancelled_write_the_store_is_asked(self, bench: Bench) -> None:
        bench.store.write(NAME, "a")
        await bench.service.get(NAME)
        bench.store.hold("put")
        writing = asyncio.create_task(bench.service.update(NAME, SecretValue("b")))
        while not bench.store.count("put"):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await bench.service.get(NAME)
        assert bench.reads() == 2

    async def test_a_write_that_cannot_be_confirmed_is_read_when_needed(self, bench: Bench) -> None:
        bench.store.fail("get", StoreUnavailable, times=1)
        await bench.service.create(NAME, SecretValue("a"))
        assert bench.service.versions_known() == {}
        assert await bench.text() == "a"


async def test_existence(bench: Bench) -> None:
    assert not await bench.service.exists(NAME)
    bench.store.write(NAME, "a")
    assert await bench.service.exists(NAME)
    bench.store.schedule_deletion(NAME)
    assert not await bench.service.exists(NAME)
    bench.store.schedule_deletion(NAME, pending=False)
    await bench.service.get(NAME)
    asked = len(bench.store.calls)
    assert await bench.service.exists(NAME)
    assert len(bench.store.calls) == asked, "a fresh value proves it"
    bench.store.fail("describe", AccessDenied)
    with pytest.raises(AccessDenied):
        await bench.service.exists("other")


async def test_access_is_validated_by_the_store(bench: Bench) -> None:
    await bench.service.validate_access()
    bench.store.fail("validate_access", AccessDenied)
    with pytest.raises(AccessDenied):
        await bench.service.validate_access()


async def test_every_operation_is_audited_for_who_asked(bench: Bench) -> None:
    version_id = await bench.service.create(NAME, SecretValue("s3cr3t"), actor=ACTOR)
    other = await bench.service.update(NAME, SecretValue("s3cr3t2"))
    bench.service.invalidate(NAME)
    await asyncio.gather(bench.service.get(NAME, actor=ACTOR), bench.service.get(NAME, actor=ACTOR))
    bench.store.fail("put", AccessDenied)
    with pytest.raises(AccessDenied):
        await bench.service.update(NAME, SecretValue("s3cr3t"), version_id="f" * 32, actor=ACTOR)
    bench.store.fail("get", Throttled)
    await bench.service.get(NAME)
    assert bench.audited == [
        Entry(Operation.CREATE, NAME, "ok", ACTOR, version_id),
        Entry(Operation.WRITE, NAME, "ok", None, other),
        Entry(Operation.READ, NAME, "ok", ACTOR, other),
        Entry(Operation.WRITE, NAME, "AccessDenied", ACTOR, "f" * 32),
        Entry(Operation.READ, NAME, "Throttled", None, None),
    ]


async def test_figures(bench: Bench) -> None:
    bench.store.write("a", "x")
    bench.store.write("b", "y")
    await asyncio.gather(bench.service.get("a"), bench.service.get("b"), bench.service.get("b"))
    await bench.service.get("a")
    with pytest.raises(SecretNotFound):
        await bench.service.get("absent")
    stats = bench.service.stats()
    assert (stats.entries, stats.hits, stats.joined, stats.reads, stats.calls) == (2, 1, 1, 3, 2)
    assert (stats.failures, stats.stale_served, stats.evictions) == (1, 0, 0)
    assert stats.bytes > 0
