"""What goes over the wire for each grant."""

from __future__ import annotations

import json
from dataclasses import replace
from urllib.parse import parse_qsl

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from tolstoy_operator.domain.endpointpolicy import EndpointPolicy, check_url
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.domain.tokenreply import Grant
from tolstoy_operator.oauth.assertions import SigningKey, Statement
from tolstoy_operator.oauth.clientauth import AuthMethod, OAuthClient
from tolstoy_operator.oauth.tokenrequest import (
    AccountCredentialsGrant,
    AppTokenGrant,
    BodyFormat,
    ClientCredentialsGrant,
    GrantRequest,
    JwtBearerGrant,
    RefreshTokenGrant,
    TokenRequest,
    token_wire,
)
from tolstoy_operator.oauth.wire import UnsendableHeader, Wire

NOW = 1_790_000_000.0
KEY = RSAKey.generate_key(2048)
SIGNING = SigningKey(private_key=SecretValue(KEY.as_pem(private=True).decode()))
POST = OAuthClient(client_id="c", method=AuthMethod.POST, secret=SecretValue("s&=ü"))
REFRESH = TokenRequest(
    endpoint="https://idp.example.com/token",
    policy=EndpointPolicy(hosts=("idp.example.com",)),
    grant=RefreshTokenGrant(SecretValue("rt+1")),
    client=POST,
)


def wire_of(request: TokenRequest) -> Wire:
    return token_wire(request, check_url(request.endpoint, request.policy), NOW)


def form(wire: Wire) -> dict[str, str]:
    return dict(parse_qsl(wire.body.reveal(), strict_parsing=True))


def test_refresh_sends_no_scope_unless_told() -> None:
    assert form(wire_of(REFRESH)) == {
        "grant_type": "refresh_token",
        "refresh_token": "rt+1",
        "client_id": "c",
        "client_secret": "s&=ü",
    }
    assert form(wire_of(replace(REFRESH, scope="a b")))["scope"] == "a b"


def test_json_body_and_basic_and_a_header_of_the_provider() -> None:
    wire = wire_of(
        replace(
            REFRESH,
            client=replace(POST, method=AuthMethod.BASIC),
            body=BodyFormat.JSON,
            headers={"Notion-Version": "2026-03-11", "Authorization": "never"},
            extra={"empty": "", "resource": "r"},
        )
    )

    assert json.loads(wire.body.reveal()) == {"grant_type": "refresh_token", "refresh_token": "rt+1", "resource": "r"}
    headers = {name: value.reveal() for name, value in wire.headers.items()}
    assert headers["content-type"] == "application/json"
    assert headers["notion-version"] == "2026-03-11"
    assert headers["authorization"].startswith("Basic ")
    assert headers["accept"] == "application/json"
    assert headers["user-agent"] == "tolstoy-operator"


@pytest.mark.parametrize(
    ("grant", "asked"),
    [
        (ClientCredentialsGrant(), {"grant_type": "client_credentials"}),
        (AccountCredentialsGrant("42"), {"grant_type": "account_credentials", "account_id": "42"}),
    ],
)
def test_a_client_for_itself(grant: GrantRequest, asked: dict[str, str]) -> None:
    request = replace(REFRESH, grant=grant, client=replace(POST, method=AuthMethod.BASIC))

    assert form(wire_of(request)) == asked
    assert request.kind is Grant.CLIENT_CREDENTIALS


def test_jwt_bearer_is_addressed_to_the_token_endpoint() -> None:
    statement = Statement(issuer="sa@example", subject="user@example", audience=None, claims={"scope": "s"})
    request = replace(REFRESH, grant=JwtBearerGrant(statement, SIGNING), client=None)

    sent = form(wire_of(request))

    assert sent["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    claims = jwt.decode(sent["assertion"], KEY, algorithms=["RS256"]).claims
    assert (claims["iss"], claims["sub"]) == ("sa@example", "user@example")
    assert (claims["aud"], claims["scope"]) == (REFRESH.endpoint, "s")
    assert set(sent) == {"grant_type", "assertion"}
    assert request.kind is Grant.JWT_BEARER


def test_an_app_is_its_own_bearer() -> None:
    request = replace(
        REFRESH, grant=AppTokenGrant("123", SIGNING), client=None, body=BodyFormat.JSON, extra={"repository": "r"}
    )

    wire = wire_of(request)

    token = wire.headers["authorization"].reveal().removeprefix("Bearer ")
    claims = jwt.decode(token, KEY, algorithms=["RS256"]).claims
    assert claims["iss"] == "123"
    assert claims["exp"] - claims["iat"] <= 600
    assert json.loads(wire.body.reveal()) == {"repository": "r"}
    assert request.kind is Grant.JWT_BEARER


@pytest.mark.parametrize("headers", [{"X-A": "a\r\nX-B: b"}, {"X A": "a"}, {"": "a"}, {"X-A": "ü"}, {"X-A": "\x00"}])
def test_a_header_that_http_cannot_carry(headers: dict[str, str]) -> None:
    with pytest.raises(UnsendableHeader):
        wire_of(replace(REFRESH, headers=headers))


def test_nothing_shows_a_secret() -> None:
    request = replace(REFRESH, extra={"assertion": "topsecret"}, headers={"X-Key": "topsecret"})

    for shown in (repr(request), repr(wire_of(request))):
        for secret in ("rt+1", "s&=", "topsecret"):
            assert secret not in shown
