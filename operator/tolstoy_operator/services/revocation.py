"""The service that ends grants: one pass of the protocol when asked, told in the words of who asked.

It is the counterpart of the token service, which keeps grants alive. Every pass is audited.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from tolstoy_operator.domain.naming import tool_of
from tolstoy_operator.observability import audit
from tolstoy_operator.observability.audit import Actor, Entry, Operation
from tolstoy_operator.services.endpoints import Endpoints
from tolstoy_operator.services.refresh.endings import Failed, MirrorOnly, Problem, Waiting
from tolstoy_operator.services.refresh.revocation import Buried, Order, RevocationEnding, Revoker, Superseded
from tolstoy_operator.services.secrets import SecretsService


class Outcome(StrEnum):
    """How a pass ended."""

    REVOKED = "ok"
    SUPERSEDED = "Superseded"
    """A new consent was stored meanwhile, and stays."""
    FOREIGN = "Foreign"
    """Another cluster alone refreshes this secret, so it alone may end it."""
    IMPOSSIBLE = "impossible"
    """It will not do by trying again."""
    LATER = "later"
    """Not yet."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """How an attempt to end a grant ended.

    `cause`: for people, free of values. `retry_after`: seconds until another try is worth it, None = by the usual rule.
    """

    outcome: Outcome
    cause: str
    problem: Problem | None = None
    retry_after: float | None = None


_IMPOSSIBLE = frozenset({Problem.REVOCATION_UNSUPPORTED, Problem.NOTHING_TO_REVOKE, Problem.SECRET_MALFORMED})


class RevocationService:
    """Ends grants by the names of their secrets. `on_revocation(tool, outcome)` is told of every pass."""

    def __init__(
        self,
        *,
        revoker: Revoker,
        endpoints: Endpoints,
        secrets: SecretsService,
        on_revocation: Callable[[str, str], None],
        record: Callable[[Entry], None] = audit.record,
    ) -> None:
        self._revoker = revoker
        self._endpoints = endpoints
        self._secrets = secrets
        self._on_revocation = on_revocation
        self._record = record

    def supports(self, name: str) -> bool:
        """Whether there is a way to end grants of the tool that secret `name` belongs to."""
        return bool(self._endpoints.of(tool_of(name)).revocable)

    async def revoke(self, name: str, *, actor: Actor) -> Revoked:
        """End the grant in secret `name`, at the provider and in the store. Raises nothing."""
        endpoint = self._endpoints.of(tool_of(name))
        ending = await self._revoker.run(Order(name=name, traits=endpoint.traits, endpoint=endpoint))
        if isinstance(ending, Buried):
            self._secrets.invalidate(name)
        result = _result(ending)
        told = str(result.problem or result.outcome)
        self._on_revocation(tool_of(name) or "", told)
        if result.outcome is not Outcome.LATER or result.problem is not None:
            version = ending.version if isinstance(ending, Buried) else None
            self._record(Entry(Operation.REVOKE, name, told, actor=actor, version=version))
        return result

    async def finish(self, name: str) -> None:
        """Nobody asks for the end of this grant any more. Unless it has ended, others can refresh it again."""
        await self._revoker.finish(name)


def _result(ending: RevocationEnding) -> Revoked:
    match ending:
        case Buried():
            return Revoked(Outcome.REVOKED, _told(ending))
        case Superseded():
            return Revoked(Outcome.SUPERSEDED, "a new consent was stored meanwhile, and stays")
        case MirrorOnly():
            return Revoked(Outcome.FOREIGN, "another cluster alone refreshes this secret, so only it may end the grant")
        case Waiting(seconds=seconds, why=why):
            return Revoked(Outcome.LATER, why, retry_after=seconds)
        case Failed(problem=problem, cause=cause, retry_after=pause):
            outcome = Outcome.IMPOSSIBLE if problem in _IMPOSSIBLE else Outcome.LATER
            return Revoked(outcome, cause, problem, pause)


def _told(buried: Buried) -> str:
    if buried.already:
        return "the grant had been revoked before"
    checked = "" if buried.lives is False else ", as the provider says; nobody can check it"
    text = f"the tokens are revoked{checked}"
    if buried.lives:
        text = "the refresh token is revoked; this provider lets the access token work until it ends"
    lost = "; the response of an earlier refresh was lost, and what it brought may live on: look at the provider"
    return text + (lost if buried.doubt else "")
