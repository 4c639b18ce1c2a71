"""Many askers of the secrets service, few calls to the store."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.fakestore import Call
from tests.unit.services.bench import ACTOR, NAME, Bench
from tolstoy_operator.domain.errors import (
    AccessDenied,
    SecretNotFound,
    StoreError,
    StoreUnavailable,
    Throttled,
)
from tolstoy_operator.observability.audit import Actor, Entry
from tolstoy_operator.services.secrets import Fetched


async def test_who_asks_for_the_same_secret_joins_the_read(bench: Bench) -> None:
    bench.store.write(NAME, "a")
    await asyncio.gather(*(bench.service.get(NAME) for _ in range(50)))
    assert bench.store.calls == [Call("get", (NAME,))]
    assert bench.service.stats().joined == 49


async def test_an_asker_who_comes_while_the_read_is_out_joins_it_too(bench: Bench) -> None:
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


async def test_reads_that_start_together_travel_together(bench: Bench) -> None:
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


async def test_in_a_batch_each_gets_its_own_answer(bench: Bench) -> None:
    bench.store.write("good", "a")
    bench.store.write("locked", "b")
    bench.store.fail("get_many", AccessDenied, name="locked")
    answers = await asyncio.gather(*map(bench.service.get, ["good", "locked", "absent"]), return_exceptions=True)
    assert isinstance(answers[0], Fetched)
    assert isinstance(answers[1], AccessDenied)
    assert isinstance(answers[2], SecretNotFound)


async def test_a_whole_call_that_fails_is_everybodys_answer_under_their_own_name(bench: Bench) -> None:
    bench.store.fail("get_many", Throttled)
    answers = await asyncio.gather(*map(bench.service.get, ["a", "b"]), return_exceptions=True)
    assert [(type(answer), answer.name) for answer in answers if isinstance(answer, StoreError)] == [
        (Throttled, "a"),
        (Throttled, "b"),
    ]


async def test_an_asker_who_gives_up_takes_nobody_along(bench: Bench) -> None:
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


async def test_a_read_that_nobody_waits_for_any_more_is_kept_and_leaves_no_noise(bench: Bench) -> None:
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


async def test_each_asker_gets_an_error_of_their_own(bench: Bench) -> None:
    answers = await asyncio.gather(*(bench.service.get(NAME) for _ in range(3)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {SecretNotFound}
    assert len(set(map(id, answers))) == 3


async def test_a_defect_of_the_store_reaches_who_waits(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(name: str) -> None:
        raise RuntimeError("defect")

    monkeypatch.setattr(bench.store, "get", broken)
    with pytest.raises(RuntimeError, match="defect"):
        await asyncio.wait_for(bench.service.get(NAME), 5)
    monkeypatch.undo()
    bench.store.write(NAME, "a")
    assert await bench.text() == "a", "the read of before is over"


async def test_a_defect_with_one_answer_takes_no_other_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(entry: Entry) -> None:
        if entry.secret == "b":
            raise RuntimeError("defect")

    monkeypatch.setattr(bench.service, "_record", broken)
    for name in ("a", "b", "c"):
        bench.store.write(name, name)
    answers = await asyncio.gather(*map(bench.service.get, ["a", "b", "c"]), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Fetched, RuntimeError, RuntimeError]


async def test_a_store_that_leaves_a_secret_out_did_not_answer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def forgetful(names: object) -> dict[str, object]:
        return {}

    monkeypatch.setattr(bench.store, "get_many", forgetful)
    answers = await asyncio.gather(*map(bench.service.get, ["a", "b"]), return_exceptions=True)
    assert {type(answer) for answer in answers} == {StoreUnavailable}


async def test_when_the_loop_ends_nobody_is_left_waiting(bench: Bench) -> None:
    bench.store.hold("get")
    asker = asyncio.create_task(bench.service.get(NAME))
    while not bench.store.calls:
        await asyncio.sleep(0)
    reads = [task for task in asyncio.all_tasks() if task not in (asker, asyncio.current_task())]
    for task in reads:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asker, 5)


async def test_free_seats_of_a_read_go_to_who_asks_next(bench: Bench) -> None:
    names = [f"tolstoy/github/org-{i}" for i in range(30)]
    for name in names:
        bench.store.write(name, name)
    bench.service.read_ahead(lambda: [(name, Actor("team", name, name)) for name in names])
    for name in names:
        await bench.service.get(name)
    assert [(call.operation, len(call.names)) for call in bench.store.calls] == [("get_many", 20), ("get_many", 10)]
    assert {entry.secret for entry in bench.audited} == set(names)
    assert all(entry.actor is not None for entry in bench.audited[1:20])


async def test_what_was_read_ahead_and_is_missing_is_asked_for_by_who_needs_it(bench: Bench) -> None:
    bench.store.write(NAME, "a")
    bench.service.read_ahead(lambda: [("absent", ACTOR)])
    await bench.service.get(NAME)
    with pytest.raises(SecretNotFound):
        await bench.service.get("absent")


async def test_reads_wait_for_one_that_is_under_way_and_fill_up_a_batch(bench: Bench) -> None:
    names = [f"tolstoy/github/org-{i}" for i in range(4)]
    for name in names:
        bench.store.write(name, name)
    gate = bench.store.hold("get")
    reads = [asyncio.create_task(bench.service.get(names[0]))]
    while not bench.store.calls:
        await asyncio.sleep(0)
    for name in names[1:]:
        reads.append(asyncio.create_task(bench.service.get(name)))
        await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*reads)
    assert [(call.operation, len(call.names)) for call in bench.store.calls] == [("get", 1), ("get_many", 3)]


async def test_a_read_that_hangs_does_not_hold_up_the_next_one_for_long(bench: Bench) -> None:
    bench.store.write(NAME, "a")
    bench.store.write("other", "b")
    gate = bench.store.hold("get")
    stuck = asyncio.create_task(bench.service.get(NAME))
    while not bench.store.calls:
        await asyncio.sleep(0)
    other = asyncio.create_task(bench.service.get("other"))
    async with asyncio.timeout(5):
        while len(bench.store.calls) < 2:
            await asyncio.sleep(0.01)
    gate.set()
    await asyncio.gather(stuck, other)
