"""The secrets service: what is served, from where, and at the price of which calls."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.services.bench import ACTOR, EPOCH, NAME, STALE, TTL, Bench
from tolstoy_operator.domain.documents import MalformedSecret
from tolstoy_operator.domain.errors import (
    AccessDenied,
    DecryptionFailed,
    IdentityRefused,
    SecretNotFound,
    SecretPendingDeletion,
    StoreError,
    StoreUnavailable,
    Throttled,
)
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.observability.audit import Entry, Operation


async def test_a_value_is_read_once_while_it_is_fresh(bench: Bench) -> None:
    version_id = bench.store.write(NAME, {"apiKey": "s3cr3t"})
    first = await bench.service.get(NAME)
    bench.time.sleep(TTL - 1)
    second = await bench.service.get(NAME)
    assert bench.reads() == 1
    assert (first.version.version_id, first.stale, first.age) == (version_id, False, 0)
    assert (second.stale, second.age, second.read_at) == (False, TTL - 1, EPOCH + 1000)
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


class TestOutage:
    @pytest.mark.parametrize("error", [StoreUnavailable, Throttled, IdentityRefused])
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
        small = Bench(max_bytes=3 * (1024 + 100))
        versions = {name: small.store.write(name, "x" * 100) for name in ("a", "b", "c", "d")}
        for name in ("a", "b", "c", "a", "d"):
            await small.service.get(name)
        stats = small.service.stats()
        assert (stats.entries, stats.evictions, stats.bytes) == (3, 1, 3 * (1024 + 100))
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
        await bench.service.replace(NAME, SecretValue("s3cr3t"), parent=other, version_id="f" * 32, actor=ACTOR)
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
