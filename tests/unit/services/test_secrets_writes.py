"""Writes through the secrets service, and what reads make of them."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.services.bench import NAME, Bench
from tolstoy_operator.domain.errors import AlreadyExists, LabelMoved, StoreUnavailable
from tolstoy_operator.domain.publication import STALE_S
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.stores.base import CURRENT, PREVIOUS


async def test_what_was_written_is_read_from_memory(bench: Bench) -> None:
    bench.store.write(NAME, "a")
    arn = (await bench.service.get(NAME)).version.arn
    version_id = await bench.service.update(NAME, SecretValue("b"))
    fetched = await bench.service.get(NAME)
    assert (fetched.version.version_id, fetched.version.arn, fetched.age) == (version_id, arn, 0)
    assert await bench.text() == bench.store.read(NAME) == "b"
    assert bench.reads() == 1
    assert bench.service.note_version(NAME, version_id) is False


async def test_what_was_written_unread_is_confirmed_first(bench: Bench) -> None:
    bench.store.write(NAME, "a")
    version_id = await bench.service.update(NAME, SecretValue("b"))
    assert bench.service.versions_known() == {NAME: version_id}
    assert await bench.text() == "b"
    assert bench.reads() == 1


async def test_a_created_secret_is_known(bench: Bench) -> None:
    version_id = await bench.service.create(NAME, SecretValue("a"))
    assert (await bench.service.get(NAME)).version.version_id == version_id
    assert bench.reads() == 1
    with pytest.raises(AlreadyExists):
        await bench.service.create(NAME, SecretValue("b"))


async def test_what_was_replaced_is_no_news_for_an_hour(bench: Bench) -> None:
    grandparent = bench.store.write(NAME, "a")
    await bench.service.get(NAME)
    parent = await bench.service.update(NAME, SecretValue("b"))
    bench.service.note_version(NAME, bench.store.write(NAME, "c"))
    assert await bench.text() == "c"
    bench.time.sleep(STALE_S - 1)
    for late in (grandparent, parent):
        bench.store.lag(NAME, late)
        assert bench.service.note_version(NAME, late) is False
        bench.service.invalidate(NAME)
        assert await bench.text() == "c"
        bench.store.heal()
    bench.time.sleep(1)
    assert bench.service.note_version(NAME, parent) is True
    bench.store.lag(NAME, parent)
    assert await bench.text() == "b", "it was moved back"


async def test_what_was_moved_back_by_hand_is_news_at_once(bench: Bench) -> None:
    parent = bench.store.write(NAME, "a")
    await bench.service.get(NAME)
    moved = await bench.service.update(NAME, SecretValue("b"))
    bench.store.lag(NAME, parent)
    assert bench.service.note_version(NAME, parent, previous=moved) is True
    assert await bench.text() == "a"


async def test_somebody_elses_write_after_ours_is_news_at_once(bench: Bench) -> None:
    bench.store.write(NAME, "a")
    await bench.service.get(NAME)
    await bench.service.update(NAME, SecretValue("b"))
    assert bench.service.note_version(NAME, bench.store.write(NAME, "c")) is True
    assert await bench.text() == "c"


async def test_a_read_from_before_our_write_does_not_undo_it(bench: Bench) -> None:
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


async def test_a_read_from_before_our_write_of_an_unread_secret_does_not_undo_it(bench: Bench) -> None:
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
    bench: Bench, monkeypatch: pytest.MonkeyPatch
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


TOKEN = "f" * 32


async def labels(bench: Bench) -> dict[str, str]:
    return dict((await bench.store.describe(NAME)).labels)


async def test_a_version_replaces_the_one_that_was_meant(bench: Bench) -> None:
    parent = bench.store.write(NAME, "a")
    await bench.service.get(NAME)
    await bench.service.replace(NAME, SecretValue("b"), parent=parent, version_id=TOKEN)
    assert await bench.text() == bench.store.read(NAME) == "b"
    assert await labels(bench) == {CURRENT: TOKEN, PREVIOUS: parent}


async def test_a_version_replaces_no_other_one(bench: Bench) -> None:
    parent = bench.store.write(NAME, "a")
    await bench.service.get(NAME)
    other = bench.store.write(NAME, "c")
    with pytest.raises(LabelMoved):
        await bench.service.replace(NAME, SecretValue("b"), parent=parent, version_id=TOKEN)
    assert await bench.text() == "c"
    assert await labels(bench) == {CURRENT: other, PREVIOUS: parent}
    assert [(entry.operation, entry.outcome) for entry in bench.audited[1:2]] == [("write", "LabelMoved")]


async def test_a_repeated_replacement_is_harmless(bench: Bench) -> None:
    parent = bench.store.write(NAME, "a")
    await bench.service.replace(NAME, SecretValue("b"), parent=parent, version_id=TOKEN)
    await bench.service.replace(NAME, SecretValue("b"), parent=parent, version_id=TOKEN)
    assert await bench.text() == "b"
    with pytest.raises(AlreadyExists):
        await bench.service.replace(NAME, SecretValue("c"), parent=parent, version_id=TOKEN)
    assert await bench.text() == "b"
    bench.store.write(NAME, "d")
    with pytest.raises(LabelMoved):
        await bench.service.replace(NAME, SecretValue("b"), parent=parent, version_id=TOKEN)
    assert await bench.text() == "d"


async def test_a_replacement_that_stopped_half_way_is_finished(bench: Bench) -> None:
    parent = bench.store.write(NAME, "a")
    bench.store.fail("move_label", StoreUnavailable)
    with pytest.raises(StoreUnavailable):
        await bench.service.replace(NAME, SecretValue("b"), parent=parent, version_id=TOKEN)
    assert await bench.text() == "a"
    bench.store.heal()
    await bench.service.replace(NAME, SecretValue("b"), parent=parent, version_id=TOKEN)
    assert await bench.text() == "b"
    assert await labels(bench) == {CURRENT: TOKEN, PREVIOUS: parent}


async def test_after_a_write_of_unknown_outcome_the_store_is_asked(bench: Bench) -> None:
    bench.store.write(NAME, "a")
    await bench.service.get(NAME)
    bench.store.fail("put", StoreUnavailable, times=1)
    with pytest.raises(StoreUnavailable):
        await bench.service.update(NAME, SecretValue("b"))
    bench.store.write(NAME, "b")
    assert await bench.text() == "b"


async def test_after_a_cancelled_write_the_store_is_asked(bench: Bench) -> None:
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


async def test_a_write_that_cannot_be_confirmed_is_read_when_needed(bench: Bench) -> None:
    bench.store.fail("get", StoreUnavailable, times=1)
    await bench.service.create(NAME, SecretValue("a"))
    assert bench.service.versions_known() == {}
    assert await bench.text() == "a"
