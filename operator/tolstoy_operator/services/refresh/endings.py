"""How one pass of the protocol over one secret ends. Every ending says what the caller can do next."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tolstoy_operator.domain.errors import AccessDenied, DecryptionFailed, LimitExceeded, StoreError
from tolstoy_operator.domain.oauthdocument import OAuthDocument


class Problem(StrEnum):
    """Why a refresh cannot go on by itself, or not now."""

    REFRESH_FAILING = "RefreshFailing"
    REAUTHORIZATION_REQUIRED = "ReauthorizationRequired"
    ROTATION_RESPONSE_LOST = "RotationResponseLost"
    CLIENT_MISCONFIGURED = "ClientMisconfigured"
    TOKEN_ENDPOINT_NOT_ALLOWED = "TokenEndpointNotAllowed"  # noqa: S105 - a reason, not a password
    VERSION_BUDGET_EXCEEDED = "VersionBudgetExceeded"
    SECRET_MALFORMED = "SecretMalformed"  # noqa: S105
    UPSTREAM_UNAVAILABLE = "UpstreamUnavailable"
    REVOKING = "Revoking"
    REVOKED = "Revoked"
    NOTHING_TO_REVOKE = "NothingToRevoke"
    REVOCATION_UNSUPPORTED = "RevocationUnsupported"
    REVOCATION_FAILING = "RevocationFailing"


@dataclass(frozen=True, slots=True)
class Current:
    """The current document needs no refresh (any more): publish it.

    `previous`: the version that was current before, from the same look (see `domain.publication`). `refreshed`: this
    pass made it current, `rotated`: with another refresh token than before. `replaced_ends`: then, when the access
    token that it replaced ends, epoch seconds, if that is known.
    """

    version: str
    document: OAuthDocument
    previous: str | None
    refreshed: bool = False
    rotated: bool = False
    replaced_ends: float | None = None


@dataclass(frozen=True, slots=True)
class Journalled:
    """The newest tokens are durable in this cluster only, as the future version `version`: they may be published here.

    A later pass, of any replica of this cluster, writes them upstream; `retry_after`: in so many seconds.
    `refreshed`: this pass brought them. `replaced_ends`: as in `Current`.
    """

    version: str
    document: OAuthDocument
    retry_after: float
    refreshed: bool = True
    replaced_ends: float | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Somebody else is at it, or the time has not come: look again after `seconds`."""

    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class MirrorOnly:
    """Another cluster refreshes this secret. `rival`: this cluster was told to be the only one as well."""

    rival: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """No new tokens. `cause`: for people, free of values. `retry_after`: seconds; None = the usual backoff.

    `planned`: the next pass is a step that is due then, not another try. `in_doubt`: this pass sent a request and
    nobody knows whether it was processed. `verdict`: this pass found out that the grant is lost, and wrote it down; not
    where that was on record, and was tried again.
    """

    problem: Problem
    cause: str
    retry_after: float | None = None
    planned: bool = False
    in_doubt: bool = False
    verdict: bool = False


def without_store(error: StoreError) -> Failed:
    """The store did not do its part."""
    if isinstance(error, LimitExceeded):
        return Failed(Problem.VERSION_BUDGET_EXCEEDED, error.cause)
    denied = isinstance(error, AccessDenied | DecryptionFailed)
    return Failed(Problem.UPSTREAM_UNAVAILABLE, f"{error.cause}{', and the platform team must let it' * denied}")


class StartOver(Exception):
    """A write, or a second look, showed that the secret has moved on: look again and decide anew."""


Ending = Current | Journalled | Waiting | MirrorOnly | Failed
