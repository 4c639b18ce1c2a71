"""Clocks that are set while the operator runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.support.virtualtime import run_virtual
from tolstoy_operator.engine.clockwatch import PAUSE, TOLERANCE, ClockWatch


class Clocks:
    """Two clocks, of which people set the one."""

    def __init__(self) -> None:
        self.monotonic = 100.0
        self.set_by = 1.8e9
        self.told = 0
        self.deaf = False
        """Whoever is told fails."""
        self.watch = ClockWatch(
            wall=lambda: self.monotonic + self.set_by, monotonic=lambda: self.monotonic, moved=self._hear
        )

    def _hear(self) -> None:
        if self.deaf:
            raise RuntimeError("a defect")
        self.told += 1


@pytest.mark.parametrize("by", [-90_000.0, -TOLERANCE - 1, TOLERANCE + 1, 3600.0])
def test_a_clock_that_is_set_is_told_once(by: float, caplog: pytest.LogCaptureFixture) -> None:
    clocks = Clocks()
    clocks.set_by += by
    clocks.watch.look()
    clocks.watch.look()
    assert clocks.told == 1
    assert "the clock was set by" in caplog.text


def test_time_that_passes_is_nothing_to_tell() -> None:
    clocks = Clocks()
    for _ in range(100):
        clocks.monotonic += 3600
        clocks.set_by += TOLERANCE / 200  # a clock that is a little slow
        clocks.watch.look()
    assert clocks.told == 0


def test_small_steps_add_up() -> None:
    clocks = Clocks()
    for _ in range(10):
        clocks.set_by -= TOLERANCE / 4
        clocks.watch.look()
    assert clocks.told == 2


@contextlib.asynccontextmanager
async def running(clocks: Clocks) -> AsyncIterator[asyncio.Task[None]]:
    """The watch of the clocks, a second after its first look."""
    task = asyncio.create_task(clocks.watch.run())
    await asyncio.sleep(1)
    yield task
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def test_it_looks_again_and_again() -> None:
    async def story() -> None:
        clocks = Clocks()
        async with running(clocks):
            for _ in range(3):
                clocks.set_by += 3600
                await asyncio.sleep(PAUSE)
            assert clocks.told == 3

    run_virtual(story())


def test_who_fails_when_told_is_told_again_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        clocks = Clocks()
        async with running(clocks) as task:
            clocks.deaf = True
            clocks.set_by += 3600
            await asyncio.sleep(PAUSE)
            assert (clocks.told, task.done()) == (0, False)
            assert "a defect" in caplog.text
            clocks.deaf = False
            await asyncio.sleep(PAUSE)
            assert clocks.told == 1

    run_virtual(story())
