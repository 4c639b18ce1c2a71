"""Asking providers whether an access token works, seldom and never more often than they like.

A token can die before its time: an organisation takes its consent back, a person revokes it. Where the provider offers
introspection or a free request, a token that somebody has just stored is shown to it at once, and every token that
lives for hours now and then. Only a clear answer changes anything: a provider in trouble says nothing about a token.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.domain.errors import StoreError
from tolstoy_operator.domain.grant import Told, Trouble
from tolstoy_operator.domain.naming import tool_of
from tolstoy_operator.domain.oauthdocument import MalformedDocument
from tolstoy_operator.domain.tokenhealth import Liveness
from tolstoy_operator.services.tokens import TokenService

CHECK_EVERY: Final = 6 * 3600.0
"""Seconds between two questions about a token that nothing has happened to."""
CHECK_SPACING: Final = 600.0
"""Seconds between two questions about one secret, whatever happens."""
SOON: Final = 60.0
"""Seconds over which first questions are spread."""
TURN: Final = 0.5
"""Seconds that each first question of a tool adds to that: ten thousand grants that come at once are no stampede."""


@dataclass(slots=True)
class Check:
    """What is known of the access token of one version.

    `at`: when to ask next, epoch seconds; None: the provider cannot be asked. `alive`: it said so last. `dead`: it said
    that it is not. `rejected`: so another one is being had. `suspected`: this token replaced one that was dead
    before its time.
    """

    at: float | None = None
    alive: bool = False
    dead: Trouble | None = None
    rejected: bool = False
    suspected: bool = False


class Checks:
    """Plans questions, and takes in the answers. `clock`: epoch seconds. `time_scale`: all pauses times this."""

    def __init__(
        self,
        tokens: TokenService,
        *,
        clock: Callable[[], float],
        uniform: Callable[[float, float], float],
        time_scale: float,
    ) -> None:
        self._tokens = tokens
        self._clock = clock
        self._uniform = uniform
        self._scale = time_scale
        self._asked: dict[str, float] = {}
        self._turns: dict[str | None, float] = {}
        """When the next first question of a tool may be asked, epoch seconds."""

    def plan(self, name: str, told: Told, *, fresh: bool) -> Check:
        """The first question about a version. `fresh`: somebody else stored it, and no status tells of it yet."""
        if not self._tokens.checks_health(name):
            return Check()
        dead = told.trouble if told.trouble is not None and told.trouble.reason is Reason.REVOKED else None
        soon = fresh or dead is not None
        at = self._soon(name) if soon else self._in(self._uniform(CHECK_EVERY / 10, CHECK_EVERY))
        return Check(self._not_before(name, at), alive=told.alive, dead=dead)

    def hasten(self, name: str, check: Check) -> None:
        """Ask as soon as it is decent."""
        if check.at is not None:
            check.at = min(check.at, self._not_before(name, self._clock()))

    def follow(self, name: str, check: Check) -> None:
        """This token replaced one that was dead before its time: see whether it is any better."""
        check.suspected = True
        self.hasten(name, check)

    def is_due(self, check: Check) -> bool:
        """Whether it is time to ask."""
        return check.at is not None and check.at <= self._clock()

    async def ask(self, name: str, version: str, check: Check) -> Liveness:
        """Ask once. `UNKNOWN` also when the token that was asked about is not that of `version`.

        A provider that has to be left alone for a while is asked soon after that.
        """
        self._asked[name] = self._clock()
        check.at = self._in(self._uniform(0.9 * CHECK_EVERY, CHECK_EVERY))
        try:
            found = await self._tokens.validate_health(name)
        except (StoreError, MalformedDocument):
            return Liveness.UNKNOWN
        if (pause := found.health.retry_after) is not None:
            check.at = self._not_before(name, self._soon(name) + pause)
        if found.version != version or found.health.liveness is Liveness.UNKNOWN:
            return Liveness.UNKNOWN
        check.alive = found.health.liveness is Liveness.ALIVE
        if check.alive:
            check.dead, check.rejected = None, False
        return found.health.liveness

    def forget(self, name: str) -> None:
        """Nobody uses the secret any more."""
        self._asked.pop(name, None)

    def _in(self, seconds: float) -> float:
        return self._clock() + seconds * self._scale

    def _soon(self, name: str) -> float:
        """When to ask about one of perhaps many tokens that are to be asked about soon."""
        tool = tool_of(name)
        turn = max(self._turns.get(tool, 0.0), self._clock())
        self._turns[tool] = turn + TURN * self._scale
        return turn + self._uniform(0.0, SOON) * self._scale

    def _not_before(self, name: str, moment: float) -> float:
        asked = self._asked.get(name)
        return moment if asked is None else max(moment, asked + CHECK_SPACING * self._scale)
