"""Waiting for something that other processes bring about: ask often, and say what did not happen."""

from __future__ import annotations

import time
from collections.abc import Callable

PAUSE = 0.05
"""Seconds between two questions."""


def wait_until(holds: Callable[[], object], what: str, *, seconds: float = 30) -> None:
    """Return when `holds()` is true; fail with `what` when it is not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(PAUSE)
