"""An OAuth server with one client: it knows every family of tokens, and remembers every request.

Strict: a refresh token is accepted once, and a second use revokes its family. Grace: a second use within the window
gets new tokens. Lenient: a second use is refused, nothing else. Fixed: the refresh token never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import StrEnum

from tests.simulation.loop import Future, Loop, Process
from tests.simulation.network import Network
from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.refresh import RefreshRules
from tolstoy_operator.domain.revocation import TokenKind
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.domain.tokenhealth import Revocation, RevocationResult
from tolstoy_operator.domain.tokenoutcome import (
    Accepted,
    DoubtCause,
    InDoubt,
    NotSent,
    NotSentCause,
    Outcome,
    Rejected,
    Rejection,
    Tokens,
)


class Behaviour(StrEnum):
    STRICT = "strict"
    GRACE = "grace"
    LENIENT = "lenient"
    FIXED = "fixed"


@dataclass(slots=True)
class Family:
    """All tokens of one consent."""

    name: str
    alive: bool = True
    ended_by: str = ""
    issued: int = 0


@dataclass(slots=True)
class RefreshToken:
    text: str
    family: Family
    spent_by: Request | None = None
    requests: list[Request] = field(default_factory=list)


@dataclass(slots=True)
class AccessToken:
    family: Family
    expires: float
    dead: bool = False


@dataclass(slots=True)
class Request:
    """One token request as it really went. Times are simulated seconds; None = did not happen.

    `claimed`: when its attempt began, as the process meant it. `issued`: the refresh token in the reply.
    `delivered`: when the process had the tokens in hand; `given_up`: when it learned that it
    would not, `answered`: from a complete reply.
    """

    process: str
    cluster: str
    life: int
    token: str
    claimed: float
    fenced: float
    sent: float
    processed: float | None = None
    issued: str | None = None
    delivered: float | None = None
    given_up: float | None = None
    answered: bool = False


class SimulatedProvider:
    """The server side."""

    def __init__(self, loop: Loop, behaviour: Behaviour, *, lifetime: float, grace: float, old_dies: bool) -> None:
        self.loop, self.behaviour = loop, behaviour
        self.lifetime, self.grace, self.old_dies = lifetime, grace, old_dies
        self.refresh_tokens: dict[str, RefreshToken] = {}
        self.access_tokens: dict[str, AccessToken] = {}
        self.families: list[Family] = []
        self.requests: list[Request] = []
        self.broken_until = 0.0
        self.on_second_use: Callable[[RefreshToken, Request], None] = lambda _token, _request: None

    def consent(self) -> tuple[str, str]:
        """A new family: its first refresh token and access token."""
        family = Family(f"family{len(self.families)}")
        self.families.append(family)
        return self._issue(family, None)

    def end(self, family: Family, by: str) -> None:
        if family.alive:
            family.alive, family.ended_by = False, by

    def process(self, request: Request) -> tuple[str, str] | str:
        """New tokens, or an error code."""
        token = self.refresh_tokens.get(request.token)
        if token is None:
            return "invalid_grant"
        request.processed = self.loop.now
        token.requests.append(request)
        if not token.family.alive:
            return "invalid_grant"
        if token.spent_by is not None:
            self.on_second_use(token, request)
            if self.behaviour is Behaviour.STRICT:
                self.end(token.family, "reuse")
            spent_at = token.spent_by.processed or 0.0
            if self.behaviour is not Behaviour.GRACE or self.loop.now - spent_at > self.grace:
                return "invalid_grant"
        if self.behaviour is not Behaviour.FIXED and token.spent_by is None:
            token.spent_by = request
        refresh, access = self._issue(token.family, token)
        request.issued = refresh
        return refresh, access

    def revoke(self, text: str) -> None:
        """Of either token; it ends the family."""
        found = self.refresh_tokens.get(text) or self.access_tokens.get(text)
        if found is not None:
            self.end(found.family, "operator")

    def lives(self, access: str) -> bool:
        token = self.access_tokens.get(access)
        return token is not None and token.family.alive and not token.dead and token.expires > self.loop.now

    def _issue(self, family: Family, spent: RefreshToken | None) -> tuple[str, str]:
        family.issued += 1
        if self.old_dies and spent is not None:
            for access in self.access_tokens.values():
                access.dead = access.dead or access.family is family
        issued = f"at-{family.name}-{family.issued}"
        self.access_tokens[issued] = AccessToken(family, self.loop.now + self.lifetime)
        if spent is not None and self.behaviour is Behaviour.FIXED:
            return spent.text, issued
        refresh = f"rt-{family.name}-{family.issued}"
        self.refresh_tokens[refresh] = RefreshToken(refresh, family)
        return refresh, issued


@dataclass(slots=True)
class Line:
    """The way to the provider. Probabilities, each of one request."""

    unreachable: float = 0.0
    lost: float = 0.0
    slow: float = 0.0
    unreadable: float = 0.0
    failing: float = 0.0
    stopped_before_send: float = 0.0


class EndpointClient:
    """The `TokenEndpoint` of one process."""

    def __init__(
        self, provider: SimulatedProvider, network: Network, process: Process, line: Line, rules: RefreshRules
    ) -> None:
        self._provider, self._network, self._process = provider, network, process
        self._line, self._rules = line, rules
        self.started = 0.0

    async def send(self, document: OAuthDocument, *, before_send: Callable[[], bool]) -> Outcome:
        loop, draw, line = self._process.loop, self._network.random.random, self._line
        began = loop.now
        await self._process.sleep(0.05 + 0.3 * draw())
        if draw() < line.unreachable:
            return NotSent(NotSentCause.CONNECT)
        if not before_send():
            return NotSent(NotSentCause.FENCE)
        fenced = loop.now
        if draw() < line.stopped_before_send:
            self._process.stop(20.0 + 500.0 * draw() ** 2)
            await self._process.sleep(0.0)
        token = document.refresh_token
        request = Request(
            process=self._process.name,
            cluster=self._process.cluster,
            life=self._process.life,
            token=token.reveal() if token is not None else "",
            claimed=self.started,
            fenced=fenced,
            sent=loop.now,
        )
        self._provider.requests.append(request)
        reply: Future[Outcome] = Future()
        if loop.now > began + self._rules.request_deadline_s:  # the bytes leave before the timer is looked at
            loop.after(0.05, lambda: self._process_request(request, Future()))
            request.given_up = loop.now
            return InDoubt(DoubtCause.TIMEOUT)
        self._travel(request, reply)
        loop.at(began + self._rules.request_deadline_s, lambda: reply.set(InDoubt(DoubtCause.TIMEOUT)))
        outcome = await reply
        if isinstance(outcome, Accepted):
            request.delivered = loop.now
        else:
            request.given_up = loop.now
            request.answered = not isinstance(outcome, InDoubt) or outcome.status is not None
        return outcome

    async def alive(self, document: OAuthDocument) -> bool | None:
        await self._process.sleep(0.2)
        token = document.access_token
        if token is None or self._network.random.random() < self._line.unreachable:
            return None
        return self._provider.lives(token.reveal())

    @property
    def revocable(self) -> Collection[TokenKind]:
        return frozenset(TokenKind)

    async def revoke(self, document: OAuthDocument, kind: TokenKind) -> Revocation:
        await self._process.sleep(0.2)
        draw = self._network.random.random
        token = document.refresh_token if kind is TokenKind.REFRESH else document.access_token
        if draw() < self._line.unreachable or token is None:
            return Revocation(RevocationResult.RETRY)
        self._provider.revoke(token.reveal())
        await self._process.sleep(0.2)
        return Revocation(RevocationResult.RETRY if draw() < self._line.lost else RevocationResult.DONE)

    def _travel(self, request: Request, reply: Future[Outcome]) -> None:
        loop, draw, line = self._process.loop, self._network.random.random, self._line
        there = 0.02 + 0.1 * draw()
        if draw() < line.slow:
            there += 250.0 * draw() ** 3
        fate = draw()
        if fate < line.lost:
            if draw() < 0.4:
                return  # the request itself is lost
            reply = Future()  # executed, and nobody hears of it
        loop.after(there, lambda: self._process_request(request, reply))

    def _process_request(self, request: Request, reply: Future[Outcome]) -> None:
        loop, draw, line = self._process.loop, self._network.random.random, self._line
        back = 0.02 + 0.1 * draw()
        if loop.now < self._provider.broken_until:
            loop.after(back, lambda: reply.set(Rejected(Rejection.CLIENT_MISCONFIGURED, "invalid_client", 401)))
            return
        if draw() < line.failing:
            loop.after(back, lambda: reply.set(_failure(draw())))
            return
        answer = self._provider.process(request)
        unreadable = draw() < line.unreadable
        loop.after(back, lambda: reply.set(self._outcome(answer, unreadable=unreadable)))

    def _outcome(self, answer: tuple[str, str] | str, *, unreadable: bool) -> Outcome:
        if isinstance(answer, str):
            return Rejected(Rejection.REAUTHORIZE, answer, 400)
        if unreadable:
            return InDoubt(DoubtCause.UNREADABLE, 200, raw=SecretValue("<html>" + answer[0]))
        refresh, access = answer
        expires_at = self._process.read().wall + self._provider.lifetime
        return Accepted(
            Tokens(SecretValue(access), SecretValue(refresh), "bearer", None, expires_at),
        )


def _failure(draw: float) -> Outcome:
    """Before the token was looked at."""
    if draw < 0.5:
        return Rejected(Rejection.THROTTLED, "http_429", 429, retry_after=20.0)
    return InDoubt(DoubtCause.SERVER_ERROR, 503)
