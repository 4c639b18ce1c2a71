"""How the demo speaks: chapters, commands with their output, and checks."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from dev.testbed import Testbed, eventually

_BOLD, _DIM, _GREEN, _PLAIN = "\033[1m", "\033[2m", "\033[32m", "\033[0m"


class Narrator:
    """Prints; in colour on a terminal."""

    def __init__(self, testbed: Testbed) -> None:
        self._testbed = testbed
        self._colour = sys.stdout.isatty()
        self._started = time.monotonic()

    def chapter(self, title: str, *lines: str) -> None:
        """Begin a chapter, with what the reader should know."""
        print(f"\n{self._in(_BOLD, title)}")
        for line in lines:
            print(f"  {line}")

    def kubectl(self, *args: str, check: bool = True) -> str:
        """Show a command and what it prints; returns that."""
        print(self._in(_DIM, f"  $ kubectl {' '.join(args)}"))
        done = self._testbed.plane.kubectl(*args, check=check)
        output = (done.stdout + done.stderr).rstrip()
        for line in output.splitlines():
            print(f"    {line}")
        return output

    def check(self, what: str, holds: Callable[[], object], *, timeout: float = 60.0) -> None:
        """Wait until it holds and say how long that took; the demo fails if it never does."""
        started = time.monotonic()
        eventually(holds, what=what, timeout=timeout)
        print(f"  {self._in(_GREEN, '✓')} {what} {self._in(_DIM, f'({time.monotonic() - started:.1f} s)')}")

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def _in(self, style: str, text: str) -> str:
        return f"{style}{text}{_PLAIN}" if self._colour else text
