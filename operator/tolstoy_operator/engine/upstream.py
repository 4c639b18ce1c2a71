"""Whether the store of secrets answers at all, which is another question than whether one secret can be read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

_FAILURES_UNTIL_DOWN = 2


class UpstreamHealth:
    """Judged by the sweeps, which ask the store all the time. `clock`: epoch seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self.unavailable_since: datetime | None = None
        """When the store stopped answering; None while it answers."""
        self.last_success: float | None = None
        """Epoch seconds of the last answer; None before the first."""

    def failed(self) -> bool:
        """The store did not answer. Returns whether it counts as down from now on; one failure does not make it so."""
        self._failures += 1
        if self._failures < _FAILURES_UNTIL_DOWN or self.unavailable_since is not None:
            return False
        self.unavailable_since = datetime.fromtimestamp(self._clock(), UTC)
        return True

    def succeeded(self) -> bool:
        """The store answered. Returns whether it was down before."""
        was_down = self.unavailable_since is not None
        self._failures = 0
        self.unavailable_since = None
        self.last_success = self._clock()
        return was_down
