"""A certified server takes every authentication method, and tells the two Basic encodings apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dev.oauth.server import CLIENT_SECRET, OAuthServer
from tests.integration.oauth.conftest import policy_for
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.domain.tokenhealth import Liveness, RevocationResult
from tolstoy_operator.domain.tokenoutcome import Accepted, Rejected, Rejection
from tolstoy_operator.oauth.assertions import Algorithm, SigningKey
from tolstoy_operator.oauth.client import ProbeRequest, TokenClient, TokenQuery
from tolstoy_operator.oauth.clientauth import AuthMethod, OAuthClient, next_authentication
from tolstoy_operator.oauth.tokenrequest import ClientCredentialsGrant, RefreshTokenGrant, TokenRequest

pytestmark = pytest.mark.integration
SECRET = SecretValue(CLIENT_SECRET)


def request(server: OAuthServer, oauth_client: OAuthClient, refresh_token: str) -> TokenRequest:
    return TokenRequest(
        endpoint=server.token_endpoint,
        policy=policy_for(server.url),
        grant=RefreshTokenGrant(SecretValue(refresh_token)),
        client=oauth_client,
    )


async def test_encoded_basic_is_taken_and_raw_is_not(server: OAuthServer, client: TokenClient) -> None:
    raw = OAuthClient(client_id="basic", method=AuthMethod.BASIC_RAW, secret=SECRET)
    grant = server.seed("basic")

    refused = await client.send(request(server, raw, grant.refresh_token))
    assert isinstance(refused, Rejected)
    assert refused.rejection is Rejection.CLIENT_MISCONFIGURED
    method = next_authentication(raw, refused)
    assert method is AuthMethod.BASIC

    accepted = await client.send(request(server, replace(raw, method=method), grant.refresh_token))
    assert isinstance(accepted, Accepted)
    assert server.state().families[grant.id].accepted == (1, 0), "the refused client cost the refresh token"


async def test_post(server: OAuthServer, client: TokenClient) -> None:
    grant = server.seed("post")
    outcome = await client.send(
        request(server, OAuthClient(client_id="post", method=AuthMethod.POST, secret=SECRET), grant.refresh_token)
    )

    assert isinstance(outcome, Accepted)
    assert outcome.tokens.refresh_token is not None
    assert outcome.tokens.refresh_token.reveal() != grant.refresh_token
    assert outcome.tokens.scope == "offline_access api:read"


async def test_a_public_client(server: OAuthServer, client: TokenClient) -> None:
    public = OAuthClient(client_id="public", method=AuthMethod.NONE)

    assert isinstance(await client.send(request(server, public, server.seed("public").refresh_token)), Accepted)


@pytest.mark.parametrize("algorithm", list(Algorithm))
@pytest.mark.parametrize("to_issuer", [True, False])
async def test_private_key_jwt(
    server: OAuthServer,
    client: TokenClient,
    keys: dict[Algorithm, SigningKey],
    algorithm: Algorithm,
    to_issuer: bool,
) -> None:
    signing = OAuthClient(
        client_id=f"jwt-{algorithm.value}",
        method=AuthMethod.PRIVATE_KEY_JWT,
        key=keys[algorithm],
        audience=server.url if to_issuer else None,
    )

    assert isinstance(
        await client.send(request(server, signing, server.seed(signing.client_id).refresh_token)), Accepted
    )


async def test_the_wrong_key_is_our_mistake(
    server: OAuthServer, client: TokenClient, keys: dict[Algorithm, SigningKey]
) -> None:
    wrong = OAuthClient(
        client_id="jwt-RS256",
        method=AuthMethod.PRIVATE_KEY_JWT,
        key=replace(keys[Algorithm.PS256], algorithm=Algorithm.RS256, key_id="RS256"),
        audience=server.url,
    )
    grant = server.seed("jwt-RS256")

    outcome = await client.send(request(server, wrong, grant.refresh_token))

    assert isinstance(outcome, Rejected)
    assert outcome.rejection is Rejection.CLIENT_MISCONFIGURED
    assert server.state().families[grant.id].accepted == (0,)


async def test_client_credentials(server: OAuthServer, client: TokenClient) -> None:
    outcome = await client.send(
        TokenRequest(
            endpoint=server.token_endpoint,
            policy=policy_for(server.url),
            grant=ClientCredentialsGrant(),
            client=OAuthClient(client_id="basic", secret=SECRET),
        )
    )

    assert isinstance(outcome, Accepted)
    assert outcome.tokens.refresh_token is None
    assert outcome.tokens.expires_at is not None


async def test_a_used_refresh_token_is_refused_and_ends_its_family(server: OAuthServer, client: TokenClient) -> None:
    post = OAuthClient(client_id="post", method=AuthMethod.POST, secret=SECRET)
    grant = server.seed("post")
    first = request(server, post, grant.refresh_token)

    assert isinstance(await client.send(first), Accepted)
    refused = await client.send(first)

    assert isinstance(refused, Rejected)
    assert (refused.rejection, refused.code) == (Rejection.REAUTHORIZE, "invalid_grant")
    family = server.state().families[grant.id]
    assert family.revoked
    assert family.requests == (2, 0)


async def test_a_token_is_asked_about_and_revoked(server: OAuthServer, client: TokenClient) -> None:
    grant = server.seed("post")
    query = TokenQuery(
        endpoint=server.introspection_endpoint,
        policy=policy_for(server.url),
        client=OAuthClient(client_id="post", method=AuthMethod.POST, secret=SECRET),
        token=SecretValue(grant.access_token),
        hint="access_token",
    )

    before = await client.introspect(query)
    revoked = await client.revoke(
        replace(
            query, endpoint=server.revocation_endpoint, token=SecretValue(grant.refresh_token), hint="refresh_token"
        )
    )
    after = await client.introspect(query)

    assert before.liveness is Liveness.ALIVE
    assert before.expires_at is not None
    assert revoked.result is RevocationResult.DONE
    assert after.liveness is Liveness.DEAD


async def test_a_wrong_secret_says_nothing_about_a_token(server: OAuthServer, client: TokenClient) -> None:
    grant = server.seed("post")
    health = await client.introspect(
        TokenQuery(
            endpoint=server.introspection_endpoint,
            policy=policy_for(server.url),
            client=OAuthClient(client_id="post", method=AuthMethod.POST, secret=SecretValue("wrong")),
            token=SecretValue(grant.access_token),
            hint="access_token",
        )
    )

    assert health.liveness is Liveness.UNKNOWN
    assert health.rejection is Rejection.CLIENT_MISCONFIGURED


async def test_a_probe_with_a_bearer_token(server: OAuthServer, client: TokenClient) -> None:
    health = await client.probe(
        ProbeRequest(endpoint=f"{server.url}/me", policy=policy_for(server.url), token=SecretValue("no-such-token"))
    )

    assert (health.liveness, health.code) == (Liveness.DEAD, "invalid_token")
