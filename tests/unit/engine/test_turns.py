"""A tool has its share of the workers and no more, and a place that gets free is filled by whoever waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tolstoy_operator.engine.records import Key
from tolstoy_operator.engine.turns import Turns
from tolstoy_operator.engine.workqueue import Priority, WorkQueue

A, B, C, D, E = (("tool", name) for name in "abcde")
SHARE = 2


class Office:
    """The workers, as many as there is work for. What waits in the queue is taken in hand at once."""

    def __init__(self) -> None:
        self.queue = WorkQueue(lambda: 0.0)
        self.turns = Turns(self.queue, share=SHARE)
        self.hands: list[Key] = []
        self.known: set[Key] = set()

    async def come(self, key: Key) -> None:
        """The key is due, or somebody wants it."""
        self.known.add(key)
        self.queue.add(key, Priority.CHANGE)
        await self._work()

    async def end(self, key: Key) -> None:
        self.hands.remove(key)
        self.known.discard(key)
        self.queue.done(key)
        self.turns.give_back(key)
        await self._work()

    async def _work(self) -> None:
        while self.queue.depth:
            key = await self.queue.get()
            assert key is not None
            if self.turns.take(key):
                self.hands.append(key)
            else:
                self.queue.done(key)


async def test_they_have_their_turn_in_the_order_in_which_they_came() -> None:
    office = Office()
    for key in (A, B, C, D, E):
        await office.come(key)
    await office.end(A)
    assert office.hands == [B, C]
    await office.end(C)
    await office.end(B)
    assert office.hands == [D, E]


async def test_who_comes_again_and_again_waits_once() -> None:
    office = Office()
    for key in (A, B, *[C] * 100, D, E):
        await office.come(key)
    await office.end(A)
    await office.end(B)
    assert office.hands == [C, D], "no place stays empty while C, who has one, is called again"


async def test_who_waits_is_known() -> None:
    office = Office()
    for key in (A, B, C):
        await office.come(key)
    assert not office.queue.knows(C)
    assert office.turns.knows(C)
    assert not office.turns.knows(D)
    await office.end(A)
    await office.end(C)
    assert not office.turns.knows(C)


@given(st.lists(st.one_of(st.sampled_from([A, B, C, D, E]), st.integers(0, SHARE - 1)), max_size=60))
async def test_no_place_is_empty_while_somebody_waits_and_nobody_is_forgotten(steps: list[Key | int]) -> None:
    """A key comes, or the work on the key in that hand ends."""
    office = Office()
    for step in steps:
        if not isinstance(step, int):
            await office.come(step)
        elif step < len(office.hands):
            await office.end(office.hands[step])
        assert len(set(office.hands)) == len(office.hands) <= SHARE
        assert len(office.hands) == SHARE or all(key in office.hands for key in office.known)
        assert all(office.turns.knows(key) for key in office.known)
