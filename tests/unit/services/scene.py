"""One secret, one provider, and as many replicas as a test wants, which crash where they are told."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from tests.support.fakestore import FakeStore
from tolstoy_operator.domain.elapsed import ClockReading
from tolstoy_operator.domain.errors import AlreadyExists
from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.refresh import ProviderTraits, Rotation
from tolstoy_operator.domain.refreshrecords import JournalEntry
from tolstoy_operator.domain.revocation import TokenKind
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.domain.tokenhealth import Revocation, RevocationResult
from tolstoy_operator.domain.tokenoutcome import Accepted, NotSent, NotSentCause, Outcome, Tokens
from tolstoy_operator.services.refresh.endings import Current, Ending
from tolstoy_operator.services.refresh.parts import Parts
from tolstoy_operator.services.refresh.refresher import Refresher, Target
from tolstoy_operator.services.refresh.revocation import Buried, Order, RevocationEnding, Revoker, Superseded

NAME = "tolstoy/github/org-1"
BOTH = (TokenKind.REFRESH, TokenKind.ACCESS)
STRICT = ProviderTraits(rotation=Rotation.ROTATES)


class Crash(Exception):
    """The process ends here."""


class Time:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def read(self) -> ClockReading:
        return ClockReading(self.now, self.now, self.now)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


class Draws:
    def __init__(self, name: str) -> None:
        self._name, self._count = name, 0

    def uniform(self, low: float, high: float) -> float:
        return high

    def nonce(self) -> str:
        self._count += 1
        return f"{self._name}-{self._count}"


class FakeJournal:
    def __init__(self) -> None:
        self.entries: dict[str, SecretValue] = {}

    async def create(self, key: str, payload: SecretValue, *, secret: str) -> None:
        if key in self.entries:
            raise AlreadyExists(secret, "exists")
        self.entries[key] = payload

    async def read(self, key: str) -> SecretValue | None:
        return self.entries.get(key)

    async def list(self) -> Sequence[JournalEntry]:
        return ()

    async def delete(self, key: str) -> None:
        self.entries.pop(key, None)


class FakeProvider:
    """Tokens that are alive, and how it answers. Refresh tokens are used once."""

    def __init__(self) -> None:
        self.alive_tokens = {"access-0", "refresh-0"}
        self.requests: list[str] = []
        self.answer: Revocation | None = None
        self.revocable: Collection[TokenKind] = BOTH
        self.issued = 0
        self.checks = True
        self.lifetime = 10_000.0
        self.family = {"refresh-0": 0, "access-0": 0}
        """Which consent each token comes from."""

    async def send(self, document: OAuthDocument, *, before_send: Any) -> Outcome:
        if not before_send():
            return NotSent(NotSentCause.FENCE)
        assert document.refresh_token is not None
        self.requests.append(f"refresh {document.refresh_token.reveal()}")
        self.alive_tokens.discard(document.refresh_token.reveal())
        self.issued += 1
        fresh = (f"access-{self.issued}", f"refresh-{self.issued}")
        self.alive_tokens.update(fresh)
        self.family |= dict.fromkeys(fresh, self.family[document.refresh_token.reveal()])
        ends = 1_800_000_000.0 + self.lifetime
        return Accepted(Tokens(SecretValue(fresh[0]), SecretValue(fresh[1]), expires_at=ends))

    async def revoke(self, document: OAuthDocument, kind: TokenKind) -> Revocation:
        token = document.refresh_token if kind is TokenKind.REFRESH else document.access_token
        assert token is not None
        self.requests.append(f"revoke {token.reveal()}")
        if self.answer is None or self.answer.result is RevocationResult.DONE:
            self.alive_tokens.discard(token.reveal())
        return self.answer or Revocation(RevocationResult.DONE)

    async def alive(self, document: OAuthDocument) -> bool | None:
        if not self.checks or document.access_token is None:
            return None
        return document.access_token.reveal() in self.alive_tokens


class Scene:
    """One secret, one provider, and as many replicas as a test wants."""

    def __init__(self, traits: ProviderTraits = STRICT) -> None:
        self.time, self.provider, self.traits = Time(), FakeProvider(), traits
        self.store = FakeStore(wall=lambda: self.time.now)
        self.crash_at: str | None = None
        self.before: dict[str, Any] = {}
        self.steps: list[str] = []
        self.consent(0)

    def consent(self, number: int, **members: Any) -> str:
        tokens = {f"access-{number}", f"refresh-{number}"}
        self.provider.alive_tokens |= tokens
        self.provider.family |= dict.fromkeys(tokens, number)
        return self.store.write(
            NAME,
            {
                "accessToken": f"access-{number}",
                "refreshToken": f"refresh-{number}",
                "expiresAt": 1_800_003_600_000,
                "clientId": "client",
                "extra": "kept",
                **members,
            },
        )

    def parts(self, name: str = "a", *, cluster: str | None = None, **options: Any) -> Parts:
        return Parts(
            store=self.store,
            journal=FakeJournal(),
            clocks=self.time,
            random=Draws(name),
            owner=name,
            cluster=cluster or name,
            step=self._step,
            **options,
        )

    async def _step(self, name: str) -> None:
        self.steps.append(name)
        if name == self.crash_at:
            self.crash_at = None
            raise Crash
        act = self.before.pop(name, None)
        if act is not None:
            await act()

    def order(self) -> Order:
        return Order(name=NAME, traits=self.traits, endpoint=self.provider)

    async def revoke(self, name: str = "a", **options: Any) -> RevocationEnding:
        """One pass, and the end of the order where that was its end."""
        revoker = Revoker(self.parts(name, **options))
        ending = await revoker.run(self.order())
        if isinstance(ending, Buried | Superseded):
            await revoker.finish(NAME)
        return ending

    async def refresh(self, name: str = "b") -> Ending:
        return await Refresher(self.parts(name)).run(self.target())

    async def refresh_patiently(self) -> None:
        refresher = Refresher(self.parts("b"))
        while not isinstance(await refresher.run(self.target()), Current):
            self.time.now += 10

    def target(self) -> Target:
        return Target(name=NAME, traits=self.traits, endpoint=self.provider, due=lambda _version, _document: True)

    async def label(self, label: str) -> str | None:
        return (await self.store.describe(NAME)).labels.get(label)

    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.store.read(NAME))
        return found
