"""Waiting for something to become true, by asking."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(ask: Callable[[], T], *, what: str, timeout: float = 30.0, pause: float = 0.05) -> T:
    """The first truthy answer of `ask`. Raises `AssertionError` that names `what` after `timeout` seconds.

    An assertion that fails inside `ask` counts as "not yet"; the last one is shown.
    """
    deadline = time.monotonic() + timeout
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
        time.sleep(pause)
