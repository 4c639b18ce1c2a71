"""How a client proves to a token endpoint who it is.

RFC 6749 wants client id and secret form-encoded before they are joined for Basic; many providers want them raw, and
both look alike until a secret holds one of `:/+%&=`. So both are methods of their own, and `next_authentication` says
when the other one is worth a try: a refused client never costs a refresh token.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from urllib.parse import quote_plus

from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.domain.tokenoutcome import Outcome, Rejected
from tolstoy_operator.oauth.assertions import SigningKey, Statement, sign

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class AuthMethod(StrEnum):
    """Client authentication methods."""

    BASIC = "client_secret_basic"
    """Form-encoded, as the standard says."""
    BASIC_RAW = "client_secret_basic_raw"
    POST = "client_secret_post"
    PRIVATE_KEY_JWT = "private_key_jwt"
    NONE = "none"
    """A public client: its id goes into the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthClient:
    """A client at a provider.

    `secret` for Basic and post, `key` for private_key_jwt. `audience`: whom its assertion is addressed to, such as the
    provider's issuer; None = the token endpoint.
    """

    client_id: str
    method: AuthMethod = AuthMethod.BASIC
    secret: SecretValue | None = None
    key: SigningKey | None = None
    audience: str | None = None


class UnusableClient(Exception):
    """The client lacks what its method needs. The text holds no value."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What authentication adds to a request."""

    authorization: SecretValue | None = None
    fields: Mapping[str, SecretValue] = field(default_factory=dict)


def prove(client: OAuthClient, endpoint_url: str, now: float) -> Proof:
    """Authenticate one request. Raises `UnusableClient` or `UnusableKey`."""
    client_id = SecretValue(client.client_id)
    match client.method:
        case AuthMethod.BASIC | AuthMethod.BASIC_RAW:
            return Proof(_basic(client))
        case AuthMethod.POST:
            return Proof(fields={"client_id": client_id, "client_secret": _secret(client)})
        case AuthMethod.PRIVATE_KEY_JWT:
            assertion = _assertion(client, endpoint_url, now)
            kind = SecretValue(ASSERTION_TYPE)
            return Proof(fields={"client_id": client_id, "client_assertion_type": kind, "client_assertion": assertion})
        case AuthMethod.NONE:
            return Proof(fields={"client_id": client_id})


def next_authentication(client: OAuthClient, outcome: Outcome) -> AuthMethod | None:
    """The method worth trying after this outcome, None when there is none.

    Only the two Basic encodings take each other's place, only when the provider refused the client, and only when they
    differ for this client. The caller stores the method that worked, and switches at most once an attempt.
    """
    if not isinstance(outcome, Rejected):
        return None
    if outcome.code != "invalid_client" and outcome.status != HTTPStatus.UNAUTHORIZED:
        return None
    pair = client.client_id + (client.secret.reveal() if client.secret is not None else "")
    if quote_plus(pair, errors="replace") == pair:
        return None
    return {AuthMethod.BASIC: AuthMethod.BASIC_RAW, AuthMethod.BASIC_RAW: AuthMethod.BASIC}.get(client.method)


def _basic(client: OAuthClient) -> SecretValue:
    parts = [client.client_id, _secret(client).reveal()]
    try:
        if client.method is AuthMethod.BASIC:
            parts = [quote_plus(part) for part in parts]
        return SecretValue("Basic " + base64.b64encode(":".join(parts).encode()).decode("ascii"))
    except UnicodeEncodeError:
        raise UnusableClient("client id or secret holds text that no encoding can carry") from None


def _secret(client: OAuthClient) -> SecretValue:
    if client.secret is None:
        raise UnusableClient(f"{client.method} needs a client secret and there is none")
    return client.secret


def _assertion(client: OAuthClient, endpoint_url: str, now: float) -> SecretValue:
    if client.key is None:
        raise UnusableClient("private_key_jwt needs a private key and there is none")
    statement = Statement(issuer=client.client_id, subject=client.client_id, audience=client.audience or endpoint_url)
    return sign(statement, client.key, now)
