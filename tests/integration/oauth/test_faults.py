"""Replies that get lost after a real server has rotated the token."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dev.oauth.proxy import Action, Fault, FaultProxy, ProxyProcess
from dev.oauth.server import CLIENT_SECRET, OAuthServer
from tests.integration.oauth.conftest import policy_for
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.domain.tokenoutcome import Accepted, DoubtCause, InDoubt, Rejected
from tolstoy_operator.oauth.client import TokenClient
from tolstoy_operator.oauth.clientauth import AuthMethod, OAuthClient
from tolstoy_operator.oauth.proxies import Proxies
from tolstoy_operator.oauth.tokenrequest import RefreshTokenGrant, TokenRequest
from tolstoy_operator.oauth.transport import Transport

pytestmark = pytest.mark.integration


@pytest.fixture
async def proxy(server: OAuthServer) -> AsyncIterator[tuple[FaultProxy, str]]:
    running = FaultProxy(server.url)
    async with running.serving() as url:
        yield running, url


def request(url: str, refresh_token: str) -> TokenRequest:
    return TokenRequest(
        endpoint=f"{url}/token",
        policy=policy_for(url),
        grant=RefreshTokenGrant(SecretValue(refresh_token)),
        client=OAuthClient(client_id="post", method=AuthMethod.POST, secret=SecretValue(CLIENT_SECRET)),
    )


@pytest.mark.parametrize(
    ("fault", "cause", "accepted"),
    [
        (Fault(Action.REFUSE), DoubtCause.CONNECTION_LOST, (0,)),
        (Fault(Action.DROP), DoubtCause.CONNECTION_LOST, (1, 0)),
        (Fault(Action.TRUNCATE, bytes=20), DoubtCause.TRUNCATED, (1, 0)),
        (Fault(Action.HANG), DoubtCause.TIMEOUT, (1, 0)),
        (Fault(Action.ANSWER, status=502, body="<html>"), DoubtCause.SERVER_ERROR, (0,)),
    ],
    ids=lambda value: value.action if isinstance(value, Fault) else "",
)
async def test_what_the_client_cannot_know_it_calls_doubt(
    server: OAuthServer, proxy: tuple[FaultProxy, str], fault: Fault, cause: DoubtCause, accepted: tuple[int, ...]
) -> None:
    running, url = proxy
    running.add(fault)
    grant = server.seed("post")
    client = TokenClient(Transport(proxies=Proxies(), deadline=3))

    outcome = await client.send(request(url, grant.refresh_token))

    assert isinstance(outcome, InDoubt)
    assert outcome.cause is cause
    assert server.state().families[grant.id].accepted == accepted
    assert running.state() == {"requests": 1, "faults": {fault.action: 1}}


async def test_a_late_reply_is_a_reply(server: OAuthServer, proxy: tuple[FaultProxy, str], client: TokenClient) -> None:
    running, url = proxy
    running.add(Fault(Action.DELAY, seconds=0.2))

    assert isinstance(await client.send(request(url, server.seed("post").refresh_token)), Accepted)


async def test_a_request_doubled_by_the_network_costs_the_family(
    server: OAuthServer, proxy: tuple[FaultProxy, str], client: TokenClient
) -> None:
    running, url = proxy
    running.add(Fault(Action.DUPLICATE))
    grant = server.seed("post")

    outcome = await client.send(request(url, grant.refresh_token))

    assert isinstance(outcome, Accepted)
    assert server.state().families[grant.id].revoked


async def test_a_grace_window_takes_a_used_token(client: TokenClient) -> None:
    with OAuthServer(grace=60) as lenient:
        grant = lenient.seed("post")
        for _ in range(2):
            assert isinstance(await client.send(request(lenient.url, grant.refresh_token)), Accepted)
        lenient.change(grace=0)
        assert isinstance(await client.send(request(lenient.url, grant.refresh_token)), Rejected)
        state = lenient.state()
        assert state.families[grant.id].requests[0] == 3
        assert state.revoked_families == 1


async def test_without_rotation_the_token_stays(client: TokenClient) -> None:
    with OAuthServer(rotate=False, old_access_token_dies=True) as server:
        grant = server.seed("post")
        for _ in range(3):
            assert isinstance(await client.send(request(server.url, grant.refresh_token)), Accepted)
        assert server.state().families[grant.id].accepted == (3,)
        server.withdraw(grant.id)
        assert isinstance(await client.send(request(server.url, grant.refresh_token)), Rejected)


async def test_many_grants_are_remembered(server: OAuthServer, client: TokenClient) -> None:
    grants = server.seed_many("post", "org", 1500)

    assert len({grant.refresh_token for grant in grants}) == 1500
    assert isinstance(await client.send(request(server.url, grants[0].refresh_token)), Accepted)


async def test_the_proxy_as_a_process(server: OAuthServer, client: TokenClient) -> None:
    with ProxyProcess(server.url, seed=1) as running:
        running.add(Action.DROP, times=None)
        assert isinstance(await client.send(request(running.url, server.seed("post").refresh_token)), InDoubt)
        running.clear()
        assert isinstance(await client.send(request(running.url, server.seed("post").refresh_token)), Accepted)
        assert running.state()["faults"] == {"drop": 1}
