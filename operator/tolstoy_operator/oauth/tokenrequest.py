"""From what is asked of a provider to the bytes that ask it.

Five grants cover the catalogue: a refresh token, the client's own credentials and Zoom's variant of them, a signed
statement (RFC 7523: Google service accounts, Salesforce, DocuSign), and GitHub's installation token, where the
statement is the whole request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlencode

from tolstoy_operator.domain.endpointpolicy import Endpoint, EndpointPolicy
from tolstoy_operator.domain.replyrules import STANDARD, ReplyRules
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.domain.tokenreply import Grant
from tolstoy_operator.oauth.assertions import SigningKey, Statement, sign
from tolstoy_operator.oauth.clientauth import OAuthClient, Proof, prove
from tolstoy_operator.oauth.wire import Wire

USER_AGENT = "tolstoy-operator"
APP_TOKEN_LIFETIME = 300


class BodyFormat(StrEnum):
    """How the parameters of a request are written."""

    FORM = "form"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class RefreshTokenGrant:
    """Exchange a refresh token."""

    refresh_token: SecretValue


@dataclass(frozen=True, slots=True)
class ClientCredentialsGrant:
    """The client for itself."""


@dataclass(frozen=True, slots=True)
class AccountCredentialsGrant:
    """Zoom: the client for the owner of one account."""

    account_id: str


@dataclass(frozen=True, slots=True)
class JwtBearerGrant:
    """A signed statement for a token. `statement.audience` None: the token endpoint."""

    statement: Statement
    key: SigningKey


@dataclass(frozen=True, slots=True)
class AppTokenGrant:
    """GitHub App: a statement of the app as the bearer token; the endpoint names the installation."""

    app_id: str
    key: SigningKey


GrantRequest = RefreshTokenGrant | ClientCredentialsGrant | AccountCredentialsGrant | JwtBearerGrant | AppTokenGrant


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """One token request.

    `client` None: the grant alone says who asks. `scope` None: none is sent, which on a refresh means "as before".
    `extra` are further parameters, `headers` further headers of the provider. `used_access_token`: the one in use, to
    notice when it comes back.
    """

    endpoint: str = field(repr=False)
    policy: EndpointPolicy
    grant: GrantRequest
    client: OAuthClient | None = None
    body: BodyFormat = BodyFormat.FORM
    scope: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    rules: ReplyRules = STANDARD
    used_access_token: SecretValue | None = None

    @property
    def kind(self) -> Grant:
        """What a refusal of the grant means."""
        match self.grant:
            case RefreshTokenGrant():
                return Grant.REFRESH_TOKEN
            case ClientCredentialsGrant() | AccountCredentialsGrant():
                return Grant.CLIENT_CREDENTIALS
            case JwtBearerGrant() | AppTokenGrant():
                return Grant.JWT_BEARER


def token_wire(request: TokenRequest, endpoint: Endpoint, now: float) -> Wire:
    """The request as it goes out to an endpoint that passed the policy. `now`: Unix seconds on the provider's clock.

    Raises `UnusableKey`, `UnusableClient`, `UnsendableHeader`, UnicodeEncodeError (text that no encoding carries).
    """
    proof = Proof() if request.client is None else prove(request.client, request.endpoint, now)
    fields = {name: SecretValue(value) for name, value in request.extra.items()}
    if request.scope:
        fields["scope"] = SecretValue(request.scope)
    match request.grant:
        case RefreshTokenGrant(refresh_token):
            fields["grant_type"] = SecretValue(Grant.REFRESH_TOKEN.value)
            fields["refresh_token"] = refresh_token
        case ClientCredentialsGrant():
            fields["grant_type"] = SecretValue(Grant.CLIENT_CREDENTIALS.value)
        case AccountCredentialsGrant(account_id):
            fields["grant_type"] = SecretValue("account_credentials")
            fields["account_id"] = SecretValue(account_id)
        case JwtBearerGrant(statement, key):
            fields["grant_type"] = SecretValue(Grant.JWT_BEARER.value)
            fields["assertion"] = sign(_addressed(statement, request.endpoint), key, now)
        case AppTokenGrant(app_id, key):
            statement = Statement(issuer=app_id, subject=None, audience=None, lifetime=APP_TOKEN_LIFETIME)
            proof = Proof(SecretValue(f"Bearer {sign(statement, key, now).reveal()}"))
    return Wire(
        "POST",
        endpoint,
        request.policy,
        headers(proof, request.body, request.headers),
        encode({**fields, **proof.fields}, request.body),
    )


def _addressed(statement: Statement, endpoint: str) -> Statement:
    if statement.audience is not None:
        return statement
    return Statement(
        issuer=statement.issuer,
        subject=statement.subject,
        audience=endpoint,
        lifetime=statement.lifetime,
        claims=statement.claims,
    )


def headers(proof: Proof, body: BodyFormat | None, extra: Mapping[str, str]) -> dict[str, SecretValue]:
    """The headers of a request. A provider's own win over ours, authentication wins over both."""
    result = {"accept": "application/json", "accept-encoding": "identity", "user-agent": USER_AGENT}
    if body is not None:
        result["content-type"] = "application/x-www-form-urlencoded" if body is BodyFormat.FORM else "application/json"
    result |= {name.lower(): value for name, value in extra.items()}
    secret = {name: SecretValue(value) for name, value in result.items()}
    if proof.authorization is not None:
        secret["authorization"] = proof.authorization
    return secret


def encode(fields: Mapping[str, SecretValue], body: BodyFormat) -> SecretValue:
    """The parameters as a body. Empty ones are left out, as the standard wants. Raises UnicodeEncodeError."""
    plain = {name: text for name, value in fields.items() if (text := value.reveal())}
    return SecretValue(urlencode(plain) if body is BodyFormat.FORM else json.dumps(plain))
