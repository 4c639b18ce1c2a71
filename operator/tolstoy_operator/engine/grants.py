"""Refreshing tokens in time: one due time for each upstream secret, whoever and how many use it.

The reconciler tells which OAuth secrets are in use and when their tokens end; from that follows when to refresh. The
token service does it, and what came of it is told to all credentials of the secret. What a failed refresh means for a
person is kept here until the secret changes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.domain.grant import Trouble
from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.schedule import refresh_lead, refresh_retry
from tolstoy_operator.engine.inventory import Inventory, Key
from tolstoy_operator.engine.workqueue import Priority, WorkQueue
from tolstoy_operator.services.refresh.endings import Problem
from tolstoy_operator.services.tokens import Refreshed, TokenService
from tolstoy_operator.stores.base import SecretVersion

_log = logging.getLogger(__name__)

PROBE_PAUSE: Final = 6 * 3600.0
"""Seconds after which a refused grant is tried once more: a verdict may be wrong."""
_FINAL = frozenset(
    {
        Problem.REAUTHORIZATION_REQUIRED,
        Problem.ROTATION_RESPONSE_LOST,
        Problem.TOKEN_ENDPOINT_NOT_ALLOWED,
        Problem.SECRET_MALFORMED,
        Problem.REVOKED,
    }
)
"""Only a change of the secret, or a person, helps."""

_REASONS = {
    Problem.REAUTHORIZATION_REQUIRED: Reason.REAUTHORIZATION_REQUIRED,
    Problem.ROTATION_RESPONSE_LOST: Reason.ROTATION_RESPONSE_LOST,
    Problem.CLIENT_MISCONFIGURED: Reason.CLIENT_MISCONFIGURED,
    Problem.TOKEN_ENDPOINT_NOT_ALLOWED: Reason.TOKEN_ENDPOINT_NOT_ALLOWED,
    Problem.VERSION_BUDGET_EXCEEDED: Reason.VERSION_BUDGET_EXCEEDED,
    Problem.REVOKING: Reason.REVOKED,
    Problem.REVOKED: Reason.REVOKED,
}


@dataclass(slots=True)
class Grant:
    """What is known of the tokens in one upstream secret. Times in epoch seconds.

    `version`: the one this is about. `lead`: seconds before the end at which it is refreshed.
    """

    tool: str | None
    version: str
    expires_at: float | None
    lead: float
    trouble: Trouble | None = None
    failures: int = 0

    @property
    def due_at(self) -> float | None:
        """When to refresh; None when nobody knows when the token ends."""
        return self.expires_at - self.lead if self.expires_at is not None else None


class Grants:
    """Grants by the name of their upstream secret. `clock`: epoch seconds."""

    def __init__(
        self,
        *,
        inventory: Inventory,
        tokens: TokenService,
        queue: WorkQueue,
        clock: Callable[[], float],
        uniform: Callable[[float, float], float],
        workers: int,
    ) -> None:
        self._inventory = inventory
        self._tokens = tokens
        self._queue = queue
        self._changed: Callable[[Iterable[Key]], None] = lambda keys: None
        self._clock = clock
        self._uniform = uniform
        self._workers = workers
        self._grants: dict[str, Grant] = {}
        self._insist: set[str] = set()

    def on_change(self, changed: Callable[[Iterable[Key]], None]) -> None:
        """Say who is told which credentials have news."""
        self._changed = changed

    def note(
        self, version: SecretVersion, document: OAuthDocument, tool: str | None, told: Trouble | None = None
    ) -> Grant:
        """An OAuth secret is in use, and this is its current version. Returns what is known of its grant.

        `told`: the trouble that a status tells of this version. A process that has not found out for itself repeats it,
        so that a restart changes no status; it decides nothing.
        """
        known = self._grants.get(version.name)
        if known is None or known.version != version.version_id:
            known = self._grants[version.name] = self._of(version, document, tool)
            known.trouble = known.trouble or told
        if known.due_at is not None and not self._queue.knows(("", version.name)):
            self._queue.schedule(("", version.name), max(0.0, known.due_at - self._clock()))
        return known

    def trouble(self, name: str) -> Trouble | None:
        """Why the grant is not refreshed; None when all is well or nothing is known."""
        known = self._grants.get(name)
        return known.trouble if known else None

    async def run(self) -> None:
        """Refresh whatever is due, until `stop`. Returns when the refreshes in hand are finished."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())

    def stop(self) -> None:
        """Begin no more refreshes."""
        self._queue.close()

    def refresh_now(self, name: str) -> None:
        """Try at once, also a grant whose refusal is on record."""
        if name in self._grants:
            self._insist.add(name)
            self._queue.add(("", name), Priority.CHANGE)

    async def _work(self) -> None:
        while (key := await self._queue.get()) is not None:
            try:
                pause = await self._refresh(key[1])
            except Exception:
                _log.exception("refresh failed", extra={"secret": key[1]})
                pause = self._retry(self._grants.get(key[1]))
            finally:
                self._queue.done(key)
            if pause is not None:
                self._queue.schedule(key, pause)

    async def _refresh(self, name: str) -> float | None:
        """Returns seconds until the next look, None when there is nothing to look at."""
        grant = self._grants.get(name)
        if grant is None or not self._is_used(name):
            self._grants.pop(name, None)
            return None
        insist = name in self._insist
        self._insist.discard(name)
        result = await self._tokens.ensure_valid(name, grant.tool, buffer=grant.lead, insist=insist)
        if self._take(grant, result):
            self._changed(self._inventory.users_of(name))
        return self._next(name, grant, result)

    def _take(self, grant: Grant, result: Refreshed) -> bool:
        """Take in how it ended; returns whether that is news for those who use the secret."""
        before = grant.trouble
        if result.problem is not None:
            reason = _REASONS.get(result.problem, Reason.REFRESH_FAILING)
            grant.failures += 1
            if before is None or (before.reason, before.cause) != (reason, result.cause):
                grant.trouble = Trouble(reason, result.cause, self._clock())
        elif result.expires_at is not None:
            grant.failures, grant.expires_at, grant.trouble = 0, result.expires_at, None
        return result.made or grant.trouble != before

    def _next(self, name: str, grant: Grant, result: Refreshed) -> float | None:
        if result.retry_after is not None:
            return result.retry_after
        if result.problem in _FINAL:
            self._insist.add(name)
            return PROBE_PAUSE
        if result.problem is not None:
            return self._retry(grant)
        return max(0.0, grant.due_at - self._clock()) if grant.due_at is not None else None

    def _retry(self, grant: Grant | None) -> float:
        if grant is None or grant.expires_at is None:
            return refresh_retry(1, expired=True, uniform=self._uniform)
        return refresh_retry(grant.failures, expired=grant.expires_at <= self._clock(), uniform=self._uniform)

    def _is_used(self, name: str) -> bool:
        users = (self._inventory.credential(key) for key in self._inventory.users_of(name))
        return any(user.spec is not None and not user.spec.suspend for user in users if user is not None)

    def _of(self, version: SecretVersion, document: OAuthDocument, tool: str | None) -> Grant:
        ends, issued = document.expires_at, document.last_updated
        lifetime = ends - issued if ends is not None and issued is not None else None
        grant = Grant(tool, version.version_id, ends, refresh_lead(version.name, lifetime))
        if document.revoked:
            grant.trouble = Trouble(Reason.REVOKED, "the grant was revoked", self._clock())
        elif document.refresh_token is None and ends is not None:
            grant.trouble = Trouble(Reason.REAUTHORIZATION_REQUIRED, "no refresh token available", self._clock())
        return grant
