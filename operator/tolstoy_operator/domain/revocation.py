"""Ending a grant on purpose: who may ask for it, which tokens are ended, and what the provider's replies amount to.

Revocation is the one thing that the operator does to others than the tenant who asks: a grant is shared by every
namespace and cluster that uses its secret. So nothing here is done by default, and "revoked" is said only of what the
provider confirmed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tolstoy_operator.api.v1 import RevocationPolicy, ToolCredentialSpec
from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.tenancy import Binding
from tolstoy_operator.domain.tokenhealth import Revocation, RevocationResult


class TokenKind(StrEnum):
    """The two tokens of a grant."""

    REFRESH = "refresh"
    ACCESS = "access"


class Leave(StrEnum):
    """What the deletion of a credential means for its grant."""

    ORPHAN = "orphan"
    """Nothing: nobody asked."""
    NOT_GRANTED = "not-granted"
    """It was asked for, and the namespace may not end grants of this organisation."""
    NOT_ALLOWED = "not-allowed"
    """It was asked for, and the platform does not let this cluster end grants that others may use."""
    UNSUPPORTED = "unsupported"
    """It was asked for, and the provider has no revocation that the operator knows."""
    REVOKE = "revoke"


def leave(spec: ToolCredentialSpec, binding: Binding, *, allowed: bool, supported: Callable[[], bool]) -> Leave:
    """What becomes of the grant of a credential when it is deleted.

    `allowed`: the platform's setting. `supported`: whether there is a way to end grants of this tool; only
    asked where it matters.
    """
    if spec.oauth is None or spec.oauth.revocation_policy is not RevocationPolicy.REVOKE:
        return Leave.ORPHAN
    if not binding.revoke or not binding.allows(spec):
        return Leave.NOT_GRANTED
    if not allowed:
        return Leave.NOT_ALLOWED
    return Leave.REVOKE if supported() else Leave.UNSUPPORTED


def to_revoke(document: OAuthDocument, kinds: Collection[TokenKind]) -> tuple[TokenKind, ...]:
    """Which tokens of a document to end, in this order, where the provider takes `kinds`.

    The refresh token comes first: with the access token ended first, a refresh could still make another one.
    """
    tokens = {TokenKind.REFRESH: document.refresh_token, TokenKind.ACCESS: document.access_token}
    return tuple(kind for kind, token in tokens.items() if kind in kinds and token is not None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the replies to a revocation come to.

    `code`: the provider's, for people. `lives`: whether the access token still works, None = nobody can tell.
    """

    result: RevocationResult
    code: str = ""
    lives: bool | None = None
    retry_after: float | None = None


def judge(
    document: OAuthDocument,
    kinds: Collection[TokenKind],
    replies: Mapping[TokenKind, Revocation],
    *,
    alive: bool | None,
    now: float,
) -> Verdict:
    """Whether the grant in `document` has ended.

    `kinds`: what the provider takes. `replies`: to the requests that were made. `alive`: what the provider says
    of the access token afterwards. `now`: epoch seconds.

    An access token that died before its time proves that it was ended, whatever the reply was: a second request for a
    token that is gone is often refused. Of a refresh token only the reply can tell.
    """
    ends = document.expires_at
    died = alive is False and (ends is None or ends > now)
    for kind in to_revoke(document, kinds):
        reply = replies.get(kind)
        if reply is None or (kind is TokenKind.ACCESS and died):
            continue
        refused_kind = kind is TokenKind.ACCESS and _done(replies.get(TokenKind.REFRESH))
        if reply.result is RevocationResult.UNSUPPORTED and refused_kind:
            return Verdict(RevocationResult.DONE, lives=alive)
        if reply.result is not RevocationResult.DONE:
            return Verdict(reply.result, reply.code, alive, reply.retry_after)
    if alive and _done(replies.get(TokenKind.ACCESS)):
        return Verdict(RevocationResult.RETRY, "the access token still works", alive)
    return Verdict(RevocationResult.DONE, lives=alive)


def _done(reply: Revocation | None) -> bool:
    return reply is not None and reply.result is RevocationResult.DONE
