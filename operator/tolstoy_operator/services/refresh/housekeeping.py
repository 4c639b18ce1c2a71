"""Keeping the journal small without losing what only the journal has.

A record must outlive every view of the store that could lead to the same attempt again, so nothing is removed for a
while. A record is removed only when the store has had a newer version since: then it was made current, or something
that came later was. The clocks of the store and of this cluster may differ, so newer means newer by a margin. And a
newer version may be an edit: what is known of the refresh token in it, doubts above all, stays as long as the token.

To learn that takes reads of the store, which cost money. So a few old records of a secret wait for more of them.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence

from tolstoy_operator.domain.errors import SecretNotFound, StoreError
from tolstoy_operator.domain.oauthdocument import MalformedDocument
from tolstoy_operator.domain.refreshrecords import JournalEntry
from tolstoy_operator.services.refresh.ledger import journal_keys
from tolstoy_operator.services.refresh.parts import Parts
from tolstoy_operator.services.refresh.view import look

_log = logging.getLogger(__name__)


class JournalKeeper:
    """Looks through the journal of this cluster."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def entries(self) -> Sequence[JournalEntry]:
        """All of it. A pass over each secret that is named writes upstream what waits. Raises `StoreError`."""
        return await self._parts.journal.list()

    async def tidy(self, known: Sequence[JournalEntry]) -> int:
        """Remove what nobody can need any more of these; returns how many objects. Raises nothing."""
        now, rules, removed = self._parts.clocks.read().wall, self._parts.rules, 0
        by_secret: dict[str, list[JournalEntry]] = defaultdict(list)
        for entry in known:
            if now - entry.created_at > rules.journal_kept_s:
                by_secret[entry.secret].append(entry)
        for secret, entries in by_secret.items():
            age = now - min(entry.created_at for entry in entries)
            if len(entries) < rules.journal_crowd and age < rules.journal_longest_s:
                continue
            try:
                removed += await self._remove(secret, entries)
            except StoreError as error:
                _log.warning("the journal keeps %d old objects: %s", len(entries), error)
        return removed

    async def _remove(self, secret: str, entries: Sequence[JournalEntry]) -> int:
        try:
            view = await look(self._parts.store, secret)
        except SecretNotFound:
            done = entries
        except MalformedDocument:
            return 0  # somebody's mistake, perhaps, and about to be put right
        else:
            since, kept = view.created_at - self._parts.rules.far_ttl_s, journal_keys(view)
            done = [entry for entry in entries if entry.created_at < since and entry.key not in kept]
        for entry in done:
            await self._parts.journal.delete(entry.key)
        return len(done)
