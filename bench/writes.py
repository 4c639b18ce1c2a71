"""What the operator asked of the API server, followed through the API server's own log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from dev.controlplane import ControlPlane
from dev.controlplane.audit import AuditLog, Request
from dev.helmcli import NAMESPACE, RELEASE

_OPERATOR = f'"system:serviceaccount:{NAMESPACE}:{RELEASE}"'.encode()
STATUS = "toolcredentials/status"
_WRITES = frozenset({"create", "update", "patch", "delete"})


class Log:
    """Requests of the operator from the moment it is made, in the order in which they were answered.

    `check` raises when there is nothing to wait for any more.
    """

    def __init__(self, plane: ControlPlane, check: Callable[[], None]) -> None:
        assert plane.audit_log is not None
        self._log = AuditLog(plane.audit_log, at=plane.audit_log.stat().st_size, of=_OPERATOR)
        self._check = check

    def requests(self) -> Sequence[Request]:
        """All until now."""
        return self._log.requests()

    def writes(self) -> list[Request]:
        """Writes that changed something, but for the renewal of the Lease."""
        return [
            item for item in self.requests() if item.verb in _WRITES and item.code < 300 and item.resource != "leases"
        ]

    def of(self, resource: str) -> list[Request]:
        """Writes of one resource."""
        return [item for item in self.writes() if item.resource == resource]

    async def until(self, holds: Callable[[Log], bool], *, what: str, timeout: float, pause: float = 0.1) -> None:
        """Wait. Raises `TimeoutError`."""
        deadline = time.monotonic() + timeout
        while not holds(self):
            self._check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {timeout:.0f} s: {what}")
            await asyncio.sleep(pause)
