"""How much time has passed, when clocks of one machine disagree.

A machine that is suspended stops `CLOCK_MONOTONIC`; a paused virtual machine may stop `CLOCK_BOOTTIME` as well; the
wall clock can be set to anything. No single clock is right in every case, but for each question one side of the error
is harmless: whoever asks "am I still quick enough?" takes the longest answer, whoever asks "has the other one had
enough time?" takes the shortest. Clocks of two machines are never compared.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Three clocks of one machine, read together. Seconds; only differences mean anything, except of `wall` (epoch)."""

    boottime: float
    monotonic: float
    wall: float


def longest(start: ClockReading, now: ClockReading) -> float:
    """Seconds that may have passed: for "am I still quick enough?"."""
    return max(now.boottime - start.boottime, now.monotonic - start.monotonic, now.wall - start.wall)


def shortest(start: ClockReading, now: ClockReading) -> float:
    """Seconds that have passed for certain: for "has the other one had its time?". Negative if a clock was set back."""
    return min(now.boottime - start.boottime, now.monotonic - start.monotonic, now.wall - start.wall)


class Sightings:
    """When this process first saw a thing. A new process has seen nothing, and so waits longest."""

    def __init__(self) -> None:
        self._first: dict[str, ClockReading] = {}

    def age(self, thing: str, now: ClockReading) -> float:
        """Seconds for which `thing` has certainly been in sight; 0 at first sight.

        A clock that was set back makes the sighting start anew: waiting once more is harmless.
        """
        seconds = shortest(self._first.setdefault(thing, now), now)
        if seconds < 0:
            self._first[thing] = now
            return 0.0
        return seconds
