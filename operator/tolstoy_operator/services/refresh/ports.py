"""What the refresh protocol needs from the world. Everything it does goes through one of these."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol

from tolstoy_operator.domain.elapsed import ClockReading
from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.refreshrecords import JournalEntry
from tolstoy_operator.domain.revocation import TokenKind
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.domain.tokenhealth import Revocation
from tolstoy_operator.domain.tokenoutcome import Outcome

Step = Callable[[str], Awaitable[None]]
"""Called with the name of each durable step, before it. Does nothing in production; a bench kills the process there."""


async def no_step(_name: str) -> None:
    """The `Step` of production."""


class TokenEndpoint(Protocol):
    """The provider's endpoints for one grant. Nothing here retries a token request."""

    async def send(self, document: OAuthDocument, *, before_send: Callable[[], bool]) -> Outcome:
        """One token request with the document's refresh token.

        `before_send` is asked when the connection stands, right before the first byte; False means `NotSent`. The
        whole request ends within `RefreshRules.request_deadline_s`.
        """
        ...

    async def alive(self, document: OAuthDocument) -> bool | None:
        """Whether the provider still accepts the document's access token; None when that cannot be found out."""
        ...


class RevocationEndpoint(Protocol):
    """The provider's revocation for one grant."""

    @property
    def revocable(self) -> Collection[TokenKind]:
        """Which tokens the provider ends on request; none when there is no such request."""
        ...

    async def revoke(self, document: OAuthDocument, kind: TokenKind) -> Revocation:
        """Have one token ended. Doing so again is harmless."""
        ...

    async def alive(self, document: OAuthDocument) -> bool | None:
        """Whether the provider still accepts the document's access token; None when that cannot be found out."""
        ...


class Journal(Protocol):
    """Objects of this cluster that are created once and never changed. Reads are linearizable.

    All methods raise a `StoreError` subclass on failure and nothing else.
    """

    async def create(self, key: str, payload: SecretValue, *, secret: str) -> None:
        """Raises `AlreadyExists`, whatever the payload of the existing object."""
        ...

    async def read(self, key: str) -> SecretValue | None:
        """None when there is no such object."""
        ...

    async def list(self) -> Sequence[JournalEntry]:
        """All objects of the journal."""
        ...

    async def delete(self, key: str) -> None:
        """A missing object is a success."""
        ...


class Clocks(Protocol):
    """Time of this machine."""

    def read(self) -> ClockReading:
        """All clocks at once."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Pause."""
        ...


class Random(Protocol):
    """Where jitter and nonces come from."""

    def uniform(self, low: float, high: float) -> float:
        """A number between the two."""
        ...

    def nonce(self) -> str:
        """A text that nobody else draws."""
        ...
