"""Who of several replicas acts. Only waste rests on it: what must not happen twice is guarded where it happens."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Elector(Protocol):
    """Who acts: see `LeaseElector`."""

    @property
    def is_leader(self) -> bool:
        """Whether this process may act at this very moment."""
        ...

    async def wait_leader(self) -> None:
        """Return once this process may act."""
        ...

    async def run(self) -> None:
        """Stay a candidate until cancelled."""
        ...

    async def release(self) -> None:
        """Act no more, and let another replica know."""
        ...


class SoleReplica:
    """The elector of an installation that never has a second replica."""

    is_leader = True

    async def wait_leader(self) -> None:
        """At once."""

    async def run(self) -> None:
        """Nothing to do."""
        await asyncio.Event().wait()

    async def release(self) -> None:
        """Nobody waits."""
