from __future__ import annotations

import asyncio

import pytest

from tolstoy_operator.stores.ratelimit import TokenBucket


class FakeTime:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def bucket(time: FakeTime, rate: float, burst: float | None = None) -> TokenBucket:
    return TokenBucket(rate, burst, clock=time.clock, sleep=time.sleep)


async def take(bucket: TokenBucket, count: int) -> None:
    for _ in range(count):
        await bucket.acquire()


async def test_a_burst_passes_at_once_and_then_the_rate_holds() -> None:
    time = FakeTime()
    limited = bucket(time, rate=10)
    await take(limited, 10)
    assert time.now == 0
    await take(limited, 25)
    assert time.now == pytest.approx(2.5)


async def test_an_idle_bucket_holds_one_burst_and_no_more() -> None:
    time = FakeTime()
    limited = bucket(time, rate=10, burst=3)
    time.now = 1_000.0
    await take(limited, 4)
    assert time.now == pytest.approx(1_000.1)


async def test_less_than_one_call_a_second() -> None:
    time = FakeTime()
    limited = bucket(time, rate=0.5)
    await take(limited, 3)
    assert time.now == pytest.approx(4.0)


async def test_waiting_calls_are_served_in_turn() -> None:
    sleeps: list[float] = []

    async def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        await asyncio.sleep(0)

    limited = TokenBucket(2, 1, clock=lambda: 0.0, sleep=sleep)
    await asyncio.gather(*(limited.acquire() for _ in range(4)))
    assert sleeps == pytest.approx([0.5, 1.0, 1.5])


async def test_a_cancelled_wait_gives_its_turn_back() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.Event().wait()

    limited = TokenBucket(1, 1, clock=lambda: 0.0, sleep=sleep)
    await limited.acquire()
    for _ in range(3):
        waiting = asyncio.create_task(limited.acquire())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert waits == [1.0, 1.0, 1.0]


async def test_throttling_halves_the_rate_down_to_a_sixteenth_and_success_restores_it() -> None:
    time = FakeTime()
    limited = bucket(time, rate=16, burst=1)
    limited.slow_down()
    assert limited.rate == 8
    for _ in range(10):
        limited.slow_down()
    assert limited.rate == 1
    await take(limited, 2)
    assert time.now == pytest.approx(1.0)
    for _ in range(1_000):
        limited.speed_up()
    assert limited.rate == 16
