"""By what means the next access token is had: what a document must hold for it, and what the provider is asked.

A refresh token is spent, perhaps for good. The other means begin anew each time: whoever has the client's secret or the
application's key can ask again, twice does no harm, and a lost response costs nothing. So for them the refresh protocol
has nothing to reserve and nothing to lose; one result is still stored once, and commits by the same compare-and-swap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from tolstoy_operator.domain.catalogue import GrantKind
from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.refresh import OldAccessToken, ProviderTraits, Rotation
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.domain.tokenoutcome import Accepted
from tolstoy_operator.oauth.assertions import Algorithm, SigningKey, Statement
from tolstoy_operator.oauth.tokenrequest import (
    AccountCredentialsGrant,
    AppTokenGrant,
    ClientCredentialsGrant,
    GrantRequest,
    JwtBearerGrant,
    RefreshTokenGrant,
)
from tolstoy_operator.services.refresh.endings import Failed, Problem
from tolstoy_operator.services.refresh.refresher import no_refresh_token

_ISSUERS: Final = ("issuer", "clientEmail", "client_email", "clientId", "appId")
"""Members that say who signs, the most special one first. The second and third: as Google writes its key files."""
_KEYS: Final = ("privateKey", "private_key")
_UNUSABLE_KEY: Final = SigningKey(private_key=SecretValue(""))


class Means(Protocol):
    """One way to a new access token."""

    def lacks(self, document: OAuthDocument) -> Failed | None:
        """Why it cannot be gone with this document; None when it can."""
        ...

    def traits(self, known: ProviderTraits) -> ProviderTraits:
        """What the refresh protocol must know, from what the provider's entry says about its refresh tokens."""
        ...

    def grant(self, document: OAuthDocument) -> GrantRequest:
        """What is asked. For documents that lack nothing."""
        ...

    def scope(self, document: OAuthDocument) -> str | None:
        """The scope to ask for beside the grant; None: none."""
        ...

    def received(self, accepted: Accepted) -> Accepted:
        """What of an answer is kept."""
        ...


class RefreshToken:
    """The refresh token of the last answer, or of the consent."""

    def lacks(self, document: OAuthDocument) -> Failed | None:
        """Only a new consent brings another one."""
        return no_refresh_token(document)

    def traits(self, known: ProviderTraits) -> ProviderTraits:
        """As the entry says."""
        return known

    def grant(self, document: OAuthDocument) -> GrantRequest:
        """The token itself."""
        return RefreshTokenGrant(document.refresh_token or SecretValue(""))

    def scope(self, document: OAuthDocument) -> str | None:
        """As before."""
        return None

    def received(self, accepted: Accepted) -> Accepted:
        """All of it."""
        return accepted


@dataclass(frozen=True, slots=True)
class _Anew:
    """What the means have in common that begin anew each time. `needed`: of each line one member, by its names."""

    needed: tuple[tuple[str, ...], ...]

    def lacks(self, document: OAuthDocument) -> Failed | None:
        """Whoever wrote the document can add what is missing; the organisation cannot."""
        missing = next((names[0] for names in self.needed if not document.holds(*names)), None)
        if missing is not None:
            return Failed(Problem.CLIENT_MISCONFIGURED, f'member "{missing}" is missing')
        if document.private_key is not None and signing_key(document) is None:
            return Failed(Problem.CLIENT_MISCONFIGURED, f'member "keyAlgorithm" is none of {", ".join(Algorithm)}')
        return None

    def traits(self, known: ProviderTraits) -> ProviderTraits:
        """Nothing rotates, and no earlier token suffers."""
        return ProviderTraits(
            rotation=Rotation.NONE,
            old_access_token=OldAccessToken.SURVIVES,
            lifetime_s=known.lifetime_s,
            largest_reply=known.largest_reply,
        )

    def received(self, accepted: Accepted) -> Accepted:
        """A refresh token would never be used, and what is asked for stays what the document says."""
        return replace(accepted, tokens=replace(accepted.tokens, refresh_token=None, scope=None))


class ClientCredentials(_Anew):
    """The client for itself."""

    def grant(self, document: OAuthDocument) -> GrantRequest:
        """How the client authenticates is all that there is to it."""
        return ClientCredentialsGrant()

    def scope(self, document: OAuthDocument) -> str | None:
        """As the document says."""
        return document.scope


class AccountCredentials(ClientCredentials):
    """Zoom: the client for the owner of one account."""

    def grant(self, document: OAuthDocument) -> GrantRequest:
        """The document names the account."""
        return AccountCredentialsGrant(document.word("accountId") or "")

    def scope(self, document: OAuthDocument) -> str | None:
        """The application has its scopes."""
        return None


class JwtBearer(_Anew):
    """A statement signed with the application's key (RFC 7523), such as of a Google service account."""

    def grant(self, document: OAuthDocument) -> GrantRequest:
        """The scope goes into the statement, as Google wants it."""
        claims: Mapping[str, str] = {} if document.scope is None else {"scope": document.scope}
        statement = Statement(
            issuer=document.word(*_ISSUERS) or "",
            subject=document.word("subject"),
            audience=document.word("audience"),
            claims=claims,
        )
        return JwtBearerGrant(statement, signing_key(document) or _UNUSABLE_KEY)

    def scope(self, document: OAuthDocument) -> str | None:
        """Not beside the statement."""
        return None


class AppInstallation(_Anew):
    """GitHub: a statement of the app, sent to the endpoint of one installation."""

    def grant(self, document: OAuthDocument) -> GrantRequest:
        """The endpoint says which installation."""
        return AppTokenGrant(document.word("appId", "clientId") or "", signing_key(document) or _UNUSABLE_KEY)

    def scope(self, document: OAuthDocument) -> str | None:
        """The installation has its permissions."""
        return None


_REFRESH_TOKEN: Final = RefreshToken()
_MEANS: Final[Mapping[GrantKind, Means]] = {
    GrantKind.CLIENT_CREDENTIALS: ClientCredentials((("clientId",), ("clientSecret", *_KEYS))),
    GrantKind.ACCOUNT_CREDENTIALS: AccountCredentials((("accountId",), ("clientId",), ("clientSecret",))),
    GrantKind.JWT_BEARER: JwtBearer((_ISSUERS, _KEYS)),
    GrantKind.APP_INSTALLATION: AppInstallation((("appId", "clientId"), _KEYS)),
}


def means_of(kind: GrantKind | None) -> Means:
    """The means of a kind of grant; where nothing is known, or nothing helps without a person, a refresh token's."""
    return _REFRESH_TOKEN if kind is None else _MEANS.get(kind, _REFRESH_TOKEN)


def signing_key(document: OAuthDocument) -> SigningKey | None:
    """The application's key; None without one, or when nobody knows how it signs."""
    name, key = document.word("keyAlgorithm") or Algorithm.RS256.value, document.private_key
    if key is None or name not in {algorithm.value for algorithm in Algorithm}:
        return None
    return SigningKey(
        private_key=key,
        algorithm=Algorithm(name),
        key_id=document.word("privateKeyId", "private_key_id"),
        thumbprint=document.word("certificateThumbprint"),
    )


def identity(document: OAuthDocument) -> str:
    """Who asks: the client or application whose credentials count; empty when nobody is named."""
    return document.client_id or document.word(*_ISSUERS) or ""
