"""Rounds through the journal of refreshes: what waits in it goes upstream, what nobody needs any more goes away.

A secret that somebody uses is looked at when its tokens are due, and what waits for it is found then. Nobody looks at
one whose last credential went while its new tokens were in the journal only, so the rounds do.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from tolstoy_operator.domain.errors import StoreError
from tolstoy_operator.engine.inventory import Inventory
from tolstoy_operator.services.refresh.housekeeping import JournalKeeper
from tolstoy_operator.services.tokens import TokenService

PAUSE: Final = 1800.0
"""Seconds between two rounds."""
_log = logging.getLogger(__name__)


class JournalRounds:
    """`time_scale`: the pause times this (benches)."""

    def __init__(
        self, inventory: Inventory, keeper: JournalKeeper, tokens: TokenService, *, time_scale: float = 1.0
    ) -> None:
        self._inventory = inventory
        self._keeper = keeper
        self._tokens = tokens
        self._pause = PAUSE * time_scale

    async def run(self) -> None:
        """Go round until cancelled."""
        while True:
            try:
                await self.go_round()
            except StoreError as error:
                _log.warning("the journal of refreshes was not looked through: %s", error)
            except Exception:
                _log.exception("the journal of refreshes was not looked through")
            await asyncio.sleep(self._pause)

    async def go_round(self) -> None:
        """One round. Raises `StoreError` when the journal cannot be listed."""
        entries = await self._keeper.entries()
        for name in sorted({entry.secret for entry in entries} - self._inventory.upstream_names()):
            await self._tokens.deliver(name)
        removed = await self._keeper.tidy(entries)
        if removed:
            _log.info("removed %d old objects from the journal of refreshes", removed)
