"""Waiting for something to become true, by asking."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(ask: Callable[[], T], *, what: str, timeout: float = 90.0, pause: float = 0.2) -> T:
    """The first truthy answer of `ask`. Raises `AssertionError` that names `what` after `timeout` seconds.

    It is asked again at once at first and every `pause` seconds in the end, since looking has its price too. An
    assertion that fails inside `ask` counts as "not yet"; the last one is shown.
    """
    deadline = time.monotonic() + timeout
    delay = min(pause, 0.02)
    last: object = None
    while True:
        try:
            answer = ask()
            if answer:
                return answer
            last = answer
        except AssertionError as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:.0f} s: {what} (last: {last!r})")
        time.sleep(delay)
        delay = min(pause, delay * 1.25)
