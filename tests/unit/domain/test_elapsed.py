"""Which of three clocks answers which question."""

from __future__ import annotations

from tolstoy_operator.domain.elapsed import ClockReading, Sightings, longest, shortest

START = ClockReading(boottime=100.0, monotonic=50.0, wall=1_000_000.0)


def test_a_suspended_machine_is_slow_by_one_question_and_has_not_waited_by_the_other() -> None:
    resumed = ClockReading(boottime=400.0, monotonic=51.0, wall=1_000_300.0)

    assert longest(START, resumed) == 300.0
    assert shortest(START, resumed) == 1.0


def test_a_wall_clock_that_jumps_ahead_counts_against_the_hurried_and_not_for_the_patient() -> None:
    jumped = ClockReading(boottime=101.0, monotonic=51.0, wall=1_003_600.0)

    assert longest(START, jumped) == 3600.0
    assert shortest(START, jumped) == 1.0


def test_the_first_sight_counts() -> None:
    sightings = Sightings()
    later = ClockReading(boottime=130.0, monotonic=80.0, wall=1_000_030.0)

    assert sightings.age("claim", START) == 0.0
    assert sightings.age("claim", later) == 30.0
    assert sightings.age("another claim", later) == 0.0


def test_a_clock_that_was_set_back_makes_the_wait_start_anew() -> None:
    sightings = Sightings()
    sightings.age("claim", START)
    set_back = ClockReading(boottime=101.0, monotonic=51.0, wall=900_000.0)
    later = ClockReading(boottime=121.0, monotonic=71.0, wall=900_020.0)

    assert sightings.age("claim", set_back) == 0.0
    assert sightings.age("claim", later) == 20.0
