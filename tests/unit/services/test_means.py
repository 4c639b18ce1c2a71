"""What a provider is asked for where no refresh token is spent, and what a document must hold for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.unit.services.test_endpoints import NOW, TOKENS, URL, Bench
from tolstoy_operator.domain.catalogue import GrantKind
from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.refresh import ProviderTraits, Rotation
from tolstoy_operator.domain.tokenoutcome import Accepted, NotSent, NotSentCause
from tolstoy_operator.oauth.wire import Wire
from tolstoy_operator.services.means import means_of
from tolstoy_operator.services.refresh.endings import Problem

KEY = RSAKey.generate_key(2048)
PEM = KEY.as_pem(private=True).decode()
CLIENT = {"clientId": "c1", "clientSecret": "a:/b", "tokenEndpoint": URL, "scope": "read write"}
ACCOUNT = {"client_email": "robot@x.example", "private_key": PEM, "private_key_id": "k1", "scope": "read"}
APP = {"appId": 4711, "privateKey": PEM, "tokenEndpoint": "https://api.github.com/app/installations/1/access_tokens"}


def own(tmp_path: Path, grant: str, auth: str = "client_secret_basic") -> Path:
    (tmp_path / "robot.yaml").write_text(
        f"""
title: Robot
sources: {{wiki: {{at: "https://idp.example.com/docs", date: 2026-11-24}}}}
like: generic
grant: {{value: {grant}, source: wiki}}
client_auth: {{value: [{auth}], source: wiki}}
token_url: {{value: "https://idp.example.com/token", source: wiki}}
hosts: {{value: [idp.example.com], source: wiki}}
"""
    )
    return tmp_path


def body(wire: Wire) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(wire.body.reveal()).items()}


def claims(token: str) -> dict[str, Any]:
    decoded = jwt.decode(token, KEY, algorithms=["RS256"])
    return {**decoded.claims, "kid": decoded.header.get("kid")}


async def test_a_client_asks_for_itself(tmp_path: Path) -> None:
    answer = '{"access_token":"at-2","refresh_token":"rt-unasked","scope":"read","expires_in":60}'
    bench = Bench(answer, tool="robot", own=own(tmp_path, "client_credentials"))
    outcome = await bench.send(OAuthDocument.of(CLIENT))
    assert isinstance(outcome, Accepted)
    assert (outcome.tokens.refresh_token, outcome.tokens.scope) == (None, None), "what is asked for stays as it is"
    assert body(bench.transport.sent[0]) == {"grant_type": "client_credentials", "scope": "read write"}
    assert bench.transport.ways == ["basic"]


async def test_a_client_can_prove_itself_by_its_key(tmp_path: Path) -> None:
    bench = Bench(TOKENS, tool="robot", own=own(tmp_path, "client_credentials", "private_key_jwt"))
    assert isinstance(await bench.send(OAuthDocument.of({"clientId": "c1", "privateKey": PEM})), Accepted)
    sent = body(bench.transport.sent[0])
    assert (sent["client_id"], claims(sent["client_assertion"])["aud"]) == ("c1", URL)


async def test_an_assertion_is_addressed_and_marked_as_the_document_says(tmp_path: Path) -> None:
    bench = Bench(TOKENS, tool="robot", own=own(tmp_path, "refresh_token", "private_key_jwt"))
    members = {"clientId": "c1", "privateKey": PEM, "refreshToken": "rt", "assertionAudience": "https://issuer.example"}
    assert isinstance(await bench.send(OAuthDocument.of({**members, "certificateThumbprint": "x5"})), Accepted)
    sent = body(bench.transport.sent[0])
    assert claims(sent["client_assertion"])["aud"] == "https://issuer.example"
    assert jwt.decode(sent["client_assertion"], KEY, algorithms=["RS256"]).header["x5t#S256"] == "x5"


async def test_an_account_is_named_beside_the_clients_own_credentials() -> None:
    bench = Bench(TOKENS, tool="zoom-account")
    document = {"clientId": "c1", "clientSecret": "s", "accountId": "a1", "scope": "kept, and not asked for"}
    assert isinstance(await bench.send(OAuthDocument.of(document)), Accepted)
    (wire,) = bench.transport.sent
    assert wire.endpoint.url == "https://zoom.us/oauth/token"
    assert body(wire) == {"grant_type": "account_credentials", "account_id": "a1"}
    assert bench.transport.ways == ["basic"]


async def test_a_service_account_signs_what_it_wants() -> None:
    bench = Bench(TOKENS, tool="google-service-account")
    assert isinstance(await bench.send(OAuthDocument.of({**ACCOUNT, "subject": "boss@x.example"})), Accepted)
    sent = body(bench.transport.sent[0])
    assert sent.keys() == {"grant_type", "assertion"}
    said = claims(sent["assertion"])
    del said["jti"]
    assert said == {
        "iss": "robot@x.example",
        "sub": "boss@x.example",
        "aud": "https://oauth2.googleapis.com/token",
        "scope": "read",
        "iat": NOW - 30,
        "exp": NOW + 180,
        "kid": "k1",
    }


async def test_an_app_asks_at_the_endpoint_of_its_installation() -> None:
    answer = (201, '{"token":"ghs_1","expires_at":"2026-09-21T15:13:20Z"}')
    bench = Bench(answer, tool="github-installation")
    outcome = await bench.send(OAuthDocument.of(APP))
    assert isinstance(outcome, Accepted)
    assert outcome.tokens.access_token.reveal() == "ghs_1"
    assert outcome.tokens.expires_at == NOW + 3600
    wire = bench.transport.sent[0]
    said = claims(wire.headers["authorization"].reveal().removeprefix("Bearer "))
    assert said["iss"] == "4711"
    assert said["exp"] - NOW <= 600, "GitHub's limit"
    assert wire.body.reveal() == ""


@pytest.mark.parametrize(
    ("kind", "members", "cause"),
    [
        (GrantKind.CLIENT_CREDENTIALS, {"clientId": "c"}, '"clientSecret" is missing'),
        (GrantKind.CLIENT_CREDENTIALS, {"clientSecret": "s"}, '"clientId" is missing'),
        (GrantKind.ACCOUNT_CREDENTIALS, {"clientId": "c", "clientSecret": "s"}, '"accountId" is missing'),
        (GrantKind.JWT_BEARER, {"privateKey": PEM}, '"issuer" is missing'),
        (GrantKind.JWT_BEARER, {"client_email": "x", "private_key": ""}, '"privateKey" is missing'),
        (GrantKind.APP_INSTALLATION, {"privateKey": PEM, "appId": True}, '"appId" is missing'),
        (GrantKind.APP_INSTALLATION, {**APP, "keyAlgorithm": "none"}, '"keyAlgorithm" is none of'),
    ],
)
def test_what_is_missing_is_said_to_whoever_runs_the_client(
    kind: GrantKind, members: dict[str, Any], cause: str
) -> None:
    lacking = means_of(kind).lacks(OAuthDocument.of(members))
    assert lacking is not None
    assert lacking.problem is Problem.CLIENT_MISCONFIGURED
    assert cause in lacking.cause


@pytest.mark.parametrize("kind", [None, GrantKind.REFRESH_TOKEN, GrantKind.NONE])
def test_without_other_means_only_a_consent_helps(kind: GrantKind | None) -> None:
    lacking = means_of(kind).lacks(OAuthDocument.of(CLIENT))
    assert lacking is not None
    assert (lacking.problem, lacking.cause) == (Problem.REAUTHORIZATION_REQUIRED, "no refresh token available")
    assert means_of(kind).lacks(OAuthDocument.of({"refreshToken": "r"})) is None


def test_what_begins_anew_reserves_nothing() -> None:
    known = ProviderTraits(Rotation.ROTATES, lifetime_s=60, refresh_idle_s=60, refresh_hard_s=60)
    traits = means_of(GrantKind.CLIENT_CREDENTIALS).traits(known)
    assert not traits.claims
    assert traits.forgiving
    assert (traits.lifetime_s, traits.refresh_idle_s, traits.refresh_hard_s) == (60, None, None)
    assert means_of(GrantKind.REFRESH_TOKEN).traits(known) is known


async def test_a_key_that_is_none_sends_nothing() -> None:
    bench = Bench(TOKENS, tool="google-service-account")
    outcome = await bench.send(OAuthDocument.of({**ACCOUNT, "private_key": "no key"}))
    assert isinstance(outcome, NotSent)
    assert outcome.cause is NotSentCause.REQUEST
    assert bench.transport.sent == []


async def test_one_organisations_bad_key_does_not_hold_the_others() -> None:
    refused = (401, '{"error":"invalid_client"}')
    bench = Bench(refused, TOKENS, tool="google-service-account")
    await bench.send(OAuthDocument.of(ACCOUNT))
    other = OAuthDocument.of({**ACCOUNT, "client_email": "other@x.example"})
    assert bench.endpoint.foresee(OAuthDocument.of(ACCOUNT)) is not None
    assert bench.endpoint.foresee(other) is None
