"""The connection goes to the address that was checked, under the name that was asked for, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.component.oauth.conftest import HOST, FakeResolver, refresh
from tests.support.tlsprovider import Authority, FakeProvider, connect_proxy, provider
from tolstoy_operator.domain.endpointpolicy import EndpointPolicy
from tolstoy_operator.domain.tokenoutcome import Accepted, NotSent, NotSentCause
from tolstoy_operator.oauth.client import TokenClient
from tolstoy_operator.oauth.proxies import Proxies
from tolstoy_operator.oauth.transport import resolve


async def test_a_private_address_gets_nothing(server: FakeProvider, client: TokenClient) -> None:
    outcome = await client.send(refresh(server.port, networks=""))

    assert outcome == NotSent(NotSentCause.POLICY, f"{HOST} resolves to an address that is not public")
    assert server.handshakes == 0


async def test_one_private_address_among_public_ones_spoils_all(
    server: FakeProvider, client: TokenClient, resolver: FakeResolver
) -> None:
    resolver.answers = [["127.0.0.1", "169.254.169.254"]]

    outcome = await client.send(refresh(server.port))

    assert isinstance(outcome, NotSent)
    assert outcome.cause is NotSentCause.POLICY
    assert server.handshakes == 0


async def test_a_name_that_changes_its_mind_is_not_asked_again(
    server: FakeProvider, client: TokenClient, resolver: FakeResolver
) -> None:
    resolver.answers = [["127.0.0.1"], ["10.0.0.1"]]

    assert isinstance(await client.send(refresh(server.port)), Accepted)
    assert resolver.asked == [f"{HOST}:{server.port}"]

    second = await client.send(refresh(server.port))
    assert isinstance(second, NotSent)
    assert second.cause is NotSentCause.POLICY


async def test_the_second_address_when_the_first_is_down(
    server: FakeProvider, client: TokenClient, resolver: FakeResolver
) -> None:
    resolver.answers = [["127.0.0.9", "127.0.0.1"]]

    assert isinstance(await client.send(refresh(server.port)), Accepted)
    assert len(server.requests) == 1


async def test_two_names_at_one_address_share_no_connection(server: FakeProvider, client: TokenClient) -> None:
    assert isinstance(await client.send(refresh(server.port)), Accepted)
    assert isinstance(await client.send(refresh(server.port, host="other.example.com")), Accepted)

    assert [request.sni for request in server.requests] == [HOST, "other.example.com"]
    assert server.handshakes == 2


@pytest.mark.parametrize(
    "endpoint",
    ["http://login.example.com/token", "https://evil.example/token", "https://127.0.0.1/token", "file:///etc/passwd"],
)
async def test_a_url_against_the_policy_is_not_even_resolved(
    client: TokenClient, resolver: FakeResolver, endpoint: str
) -> None:
    outcome = await client.send(replace(refresh(443), endpoint=endpoint))

    assert isinstance(outcome, NotSent)
    assert outcome.cause is NotSentCause.POLICY
    assert resolver.asked == []


async def test_an_allowed_origin_may_be_plain_http(client: TokenClient, resolver: FakeResolver) -> None:
    async with provider(None) as plain:
        resolver.answers = [["127.0.0.1"]]
        origin = f"http://127.0.0.1:{plain.port}"
        policy = EndpointPolicy(origins=frozenset({origin}))

        assert isinstance(await client.send(replace(refresh(1), endpoint=f"{origin}/token", policy=policy)), Accepted)
        assert plain.requests[0].headers["host"] == f"127.0.0.1:{plain.port}"


async def test_through_a_proxy_the_fence_still_stands_before_the_first_byte(
    server: FakeProvider, make_client: Callable[..., TokenClient], resolver: FakeResolver
) -> None:
    async with connect_proxy() as log:
        client = make_client(proxies=Proxies({"https": log[0]}))
        seen: list[int] = []

        async def before_send() -> None:
            seen.append(len(server.requests))

        outcome = await client.send(refresh(server.port, networks=""), before_send=before_send)

        assert isinstance(outcome, Accepted)
        assert log[1:] == [f"CONNECT {HOST}:{server.port} HTTP/1.1"]
        assert seen == [0]
        assert server.requests[0].sni == HOST
        assert resolver.asked == []

        async def no() -> None:
            raise RuntimeError

        assert await client.send(refresh(server.port), before_send=no) == NotSent(NotSentCause.FENCE, "RuntimeError")
        assert len(server.requests) == 1


async def test_a_proxy_that_refuses_or_is_down(
    server: FakeProvider, make_client: Callable[..., TokenClient], closed_port: int
) -> None:
    async with connect_proxy(refuse=True) as log:
        refused = await make_client(proxies=Proxies({"all": log[0]})).send(refresh(server.port))
    down = await make_client(proxies=Proxies({"https": f"http://127.0.0.1:{closed_port}"})).send(refresh(server.port))

    assert refused == NotSent(NotSentCause.PROXY, "the proxy refused the connection")
    assert isinstance(down, NotSent)
    assert down.cause is NotSentCause.PROXY
    assert server.handshakes == 0


async def test_hosts_that_need_no_proxy(server: FakeProvider, make_client: Callable[..., TokenClient]) -> None:
    proxies = Proxies({"https": "http://127.0.0.1:9", "no": "example.org,.example.com"})

    assert isinstance(await make_client(proxies=proxies).send(refresh(server.port)), Accepted)


async def test_a_proxy_of_unknown_kind_is_said(server: FakeProvider, make_client: Callable[..., TokenClient]) -> None:
    for url in ("ftp://127.0.0.1:1", "socks5://127.0.0.1:1"):
        outcome = await make_client(proxies=Proxies({"https": url})).send(refresh(server.port))

        assert isinstance(outcome, NotSent)
        assert outcome.cause is NotSentCause.PROXY


def test_the_usual_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:pw@proxy.example:3128")
    monkeypatch.setenv("no_proxy", "internal.example")

    proxies = Proxies.from_environment()

    assert proxies.urls["https"] == "http://user:pw@proxy.example:3128"
    assert proxies.urls["no"] == "internal.example"
    assert "pw" not in repr(proxies)


async def test_another_certificate_authority_by_environment(
    server: FakeProvider, make_client: Callable[..., TokenClient], tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = Authority(tmp_path_factory.mktemp("stranger"))

    outcome = await make_client(ca_file=stranger.ca_file).send(refresh(server.port))

    assert outcome == NotSent(NotSentCause.TLS, "the handshake failed")


async def test_the_systems_resolver() -> None:
    assert "127.0.0.1" in await resolve("localhost", 443)
