"""A few hundred schedules on every run; `python -m tests.simulation` runs as many as one likes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.simulation.mutants import FACTORIES, PATCHES
from tests.simulation.runner import first_failure, simulate

_CHUNK = 40
_SEARCHED = 1000
"""Schedules in which a mutant must be caught; most are in a few dozen."""
_BEGIN = {
    "with a fence by the slowest clock": 1025,
    "without the fence": 575,
    "with a lease that two can have": 220,
    "without the journal": 100,
    "without tracing edited documents": 80,
    "without the compare-and-swap": 70,
    "without the second place for results": 65,
}
"""Where the search begins, for those that take a rare coincidence."""


@pytest.mark.parametrize("first", range(1, 241, _CHUNK))
def test_every_schedule_keeps_the_promises(first: int) -> None:
    broken = {seed: found for seed in range(first, first + _CHUNK) if (found := simulate(seed).violations)}

    assert not broken


@pytest.mark.parametrize("mutant", [*FACTORIES, *PATCHES])
def test_a_protocol_with_a_part_left_out_is_caught(mutant: str) -> None:
    assert first_failure(_BEGIN.get(mutant, 1), _SEARCHED, mutant) is not None


def test_a_schedule_replays_from_its_seed() -> None:
    first, again = simulate(7, tell=True), simulate(7, tell=True)

    assert first.story == again.story
    assert len(first.story) > 10


def test_telling_a_schedule_does_not_change_it() -> None:
    assert simulate(11, tell=True).counts == simulate(11).counts


def test_a_broken_schedule_is_told_and_fails_the_command() -> None:
    mutant = "without the claim"
    seed = first_failure(1, 50, mutant)
    command = [sys.executable, "-m", "tests.simulation", "--replay", str(seed), "--mutant", mutant]

    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    assert told.returncode == 1
    assert "BROKEN  promise" in told.stdout
    assert "AWSCURRENT" in told.stdout


def test_the_command_runs_schedules_and_counts_them() -> None:
    command = [sys.executable, "-m", "tests.simulation", "--schedules", "20", "--workers", "1"]

    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    assert run.returncode == 0
    assert "requests per expiry served" in run.stdout
