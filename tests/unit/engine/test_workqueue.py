"""Order, fairness and due times of the work queue, on a clock that only moves when told."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest

from tolstoy_operator.engine.workqueue import Priority, WorkQueue

A, B, C = ("ns", "a"), ("ns", "b"), ("ns", "c")


class Clock:
    """Seconds that stand still."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def queue(clock: Clock) -> AsyncIterator[WorkQueue]:
    queue = WorkQueue(clock)
    yield queue
    queue.close()


async def take(queue: WorkQueue) -> tuple[str, str]:
    key = await asyncio.wait_for(queue.get(), 1)
    assert key is not None
    return key


async def nothing_to_take(queue: WorkQueue) -> bool:
    getting = asyncio.ensure_future(queue.get())
    for _ in range(5):
        await asyncio.sleep(0)
    done = getting.done()
    getting.cancel()
    return not done


async def test_first_in_first_out(queue: WorkQueue) -> None:
    for key in (A, B, C):
        queue.add(key, Priority.CHANGE)
    assert [await take(queue) for _ in range(3)] == [A, B, C]


async def test_never_synced_goes_first_and_background_last(queue: WorkQueue) -> None:
    queue.add(A, Priority.BACKGROUND)
    queue.add(B, Priority.CHANGE)
    queue.add(C, Priority.NEVER_SYNCED)
    assert [await take(queue) for _ in range(3)] == [C, B, A]


async def test_a_key_is_queued_once(queue: WorkQueue) -> None:
    queue.add(A, Priority.CHANGE)
    queue.add(A, Priority.CHANGE)
    await take(queue)
    queue.done(A)
    assert await nothing_to_take(queue)


async def test_a_more_urgent_reason_moves_a_key_up(queue: WorkQueue) -> None:
    queue.add(A, Priority.BACKGROUND)
    queue.add(B, Priority.CHANGE)
    queue.add(A, Priority.NEVER_SYNCED)
    assert [await take(queue) for _ in range(2)] == [A, B]
    queue.done(A)
    queue.done(B)
    assert await nothing_to_take(queue), "its old place is gone"


async def test_a_less_urgent_reason_does_not_move_it_down(queue: WorkQueue) -> None:
    queue.add(A, Priority.NEVER_SYNCED)
    queue.add(B, Priority.CHANGE)
    queue.add(A, Priority.BACKGROUND)
    assert await take(queue) == A


async def test_one_key_is_in_one_workers_hands(queue: WorkQueue) -> None:
    queue.add(A, Priority.CHANGE)
    await take(queue)
    queue.add(A, Priority.CHANGE)
    assert await nothing_to_take(queue)
    queue.done(A)
    assert await take(queue) == A, "what came meanwhile is done afterwards"


async def test_namespaces_take_turns(queue: WorkQueue) -> None:
    for number in range(100):
        queue.add(("noisy", str(number)), Priority.CHANGE)
    queue.add(("quiet", "one"), Priority.CHANGE)
    assert ("quiet", "one") in [await take(queue) for _ in range(2)]


class TestNobodyStarves:
    """A tenant who gives the operator work without end does not stop what is due elsewhere."""

    FLOOD = 10_000
    NEIGHBOUR = ("neighbour", "one")

    async def turns_until_the_neighbour(self, queue: WorkQueue, again: Priority | None = None) -> int:
        for turn in range(1, self.FLOOD + 2):
            key = await take(queue)
            queue.done(key)
            if key == self.NEIGHBOUR:
                return turn
            if again is not None:
                queue.add(key, again)
        raise AssertionError("its turn never came")

    @pytest.mark.parametrize("theirs", Priority)
    @pytest.mark.parametrize("flood", Priority)
    async def test_behind_ten_thousand_objects_of_one_namespace(
        self, queue: WorkQueue, flood: Priority, theirs: Priority
    ) -> None:
        for number in range(self.FLOOD):
            queue.add(("noisy", str(number)), flood)
        queue.add(self.NEIGHBOUR, theirs)
        assert await self.turns_until_the_neighbour(queue) <= 8

    @pytest.mark.parametrize("theirs", Priority)
    @pytest.mark.parametrize("flood", Priority)
    async def test_beside_objects_that_are_touched_again_and_again(
        self, queue: WorkQueue, flood: Priority, theirs: Priority
    ) -> None:
        for number in range(50):
            queue.add(("noisy", str(number)), flood)
        queue.add(self.NEIGHBOUR, theirs)
        assert await self.turns_until_the_neighbour(queue, again=flood) <= 8

    async def test_behind_floods_of_every_kind_at_once(self, queue: WorkQueue) -> None:
        for number, priority in itertools.product(range(1000), Priority):
            queue.add((f"noisy-{priority}", str(number)), priority)
        queue.add(self.NEIGHBOUR, Priority.BACKGROUND)
        assert await self.turns_until_the_neighbour(queue) <= 16

    async def test_what_is_new_still_gets_most_of_the_turns(self, queue: WorkQueue) -> None:
        for number, priority in itertools.product(range(100), Priority):
            queue.add((f"ns-{priority}", str(number)), priority)
        taken = [(await take(queue))[0] for _ in range(80)]
        assert taken.count(f"ns-{Priority.NEVER_SYNCED}") == 60


async def test_due_keys_come_when_their_time_comes(queue: WorkQueue, clock: Clock) -> None:
    queue.schedule(A, 0.01)
    assert await nothing_to_take(queue)
    clock.now += 1
    assert await take(queue) == A


async def test_the_latest_due_time_counts(queue: WorkQueue, clock: Clock) -> None:
    queue.schedule(A, 0.01)
    queue.schedule(A, 1000)
    queue.schedule(B, 0.02)
    clock.now += 1
    assert await take(queue) == B
    assert await nothing_to_take(queue)


async def test_work_now_takes_the_place_of_work_later(queue: WorkQueue, clock: Clock) -> None:
    queue.schedule(A, 0.01)
    queue.add(A, Priority.CHANGE)
    await take(queue)
    queue.done(A)
    clock.now += 1
    assert await nothing_to_take(queue)


async def test_a_queued_key_is_not_put_off(queue: WorkQueue) -> None:
    queue.add(A, Priority.CHANGE)
    queue.schedule(A, 1000)
    assert await take(queue) == A


async def test_forgotten_keys_do_not_come(queue: WorkQueue, clock: Clock) -> None:
    queue.add(A, Priority.CHANGE)
    queue.schedule(B, 0.01)
    queue.forget(A)
    queue.forget(B)
    clock.now += 1
    assert await nothing_to_take(queue)
    queue.add(A, Priority.CHANGE)
    assert await take(queue) == A, "and may come again"


async def test_overdue_is_the_wait_of_the_longest_waiting(queue: WorkQueue, clock: Clock) -> None:
    assert queue.oldest_overdue() == 0
    queue.schedule(A, 10)
    assert queue.oldest_overdue() == 0
    clock.now += 15
    assert queue.oldest_overdue() == 5
    queue.add(B, Priority.CHANGE)
    clock.now += 2
    assert queue.oldest_overdue() == 7
    assert queue.depth == 1


async def test_moving_up_does_not_restart_the_wait(queue: WorkQueue, clock: Clock) -> None:
    queue.add(A, Priority.BACKGROUND)
    clock.now += 5
    queue.add(A, Priority.CHANGE)
    assert queue.oldest_overdue() == 5


async def test_close_sends_all_workers_home(queue: WorkQueue) -> None:
    workers = [asyncio.ensure_future(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    queue.close()
    assert await asyncio.gather(*workers) == [None, None, None]
    assert await queue.get() is None


async def test_as_many_workers_wake_as_there_is_work(queue: WorkQueue) -> None:
    workers = [asyncio.ensure_future(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    queue.add(A, Priority.CHANGE)
    queue.add(B, Priority.CHANGE)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert sorted(worker.result() or ("", "") for worker in workers if worker.done()) == [A, B]


async def test_due_times_that_are_replaced_for_ever_take_no_memory(queue: WorkQueue) -> None:
    queue.schedule(B, 5)  # the next one, behind which they would pile up
    for number in range(10_000):
        queue.schedule(A, 1000 + number)
    assert len(queue._heap) < 500
    assert queue.knows(A)
    assert queue.oldest_overdue() == 0


async def test_it_tells_what_it_is_about_to_give_out(queue: WorkQueue) -> None:
    queue.add(("other", "x"), Priority.BACKGROUND)
    for key in (A, B, C, ("ns2", "a")):
        queue.add(key, Priority.CHANGE)
    queue.forget(B)
    expected = [A, ("ns2", "a"), C, ("other", "x")]
    assert list(queue.upcoming(10)) == expected
    assert list(queue.upcoming(2)) == expected[:2]
    assert [await take(queue) for _ in range(4)] == expected
    assert list(queue.upcoming(10)) == []
