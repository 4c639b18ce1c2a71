"""The clocks and the chance that the protocol runs by outside of its simulation."""

from __future__ import annotations

import time

import pytest

from tolstoy_operator.services.refresh.system import SystemClocks, SystemRandom


def test_the_clocks_are_those_of_the_machine() -> None:
    before, reading, after = time.monotonic(), SystemClocks().read(), time.monotonic()
    assert before <= reading.monotonic <= after
    assert reading.wall == pytest.approx(time.time(), abs=5)
    assert reading.boottime >= reading.monotonic, "a machine that slept was switched on for longer than it ran"


def test_without_a_clock_that_counts_sleep_the_other_one_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    reading = SystemClocks().read()
    assert reading.boottime == reading.monotonic


async def test_a_pause_takes_its_time() -> None:
    started = time.monotonic()
    await SystemClocks().sleep(0.01)
    assert time.monotonic() - started >= 0.01


def test_jitter_stays_within_its_bounds_and_a_nonce_comes_once() -> None:
    chance = SystemRandom()
    assert all(2 <= chance.uniform(2, 3) <= 3 for _ in range(100))
    assert len({chance.nonce() for _ in range(1000)}) == 1000
