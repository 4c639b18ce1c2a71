"""Whatever goes wrong, the client knows whether the first byte had left."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import socket
import struct
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qs, quote_plus

import pytest

from tests.component.oauth.conftest import CLIENT_SECRET, HOST, REFRESH_TOKEN, FakeResolver, refresh
from tests.support.tlsprovider import Authority, Behaviour, FakeProvider, Request, answer, provider, raw
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.domain.tokenoutcome import (
    Accepted,
    DoubtCause,
    InDoubt,
    NotSent,
    NotSentCause,
    Rejected,
    Rejection,
)
from tolstoy_operator.domain.tokenreply import REPLY_LIMIT
from tolstoy_operator.oauth.client import TokenClient
from tolstoy_operator.oauth.clientauth import AuthMethod, OAuthClient
from tolstoy_operator.oauth.transport import decoded

GOOD = '{"access_token":"at-1","refresh_token":"rt-2","expires_in":3600}'


async def test_tokens_arrive_and_the_request_is_what_it_should_be(server: FakeProvider, client: TokenClient) -> None:
    server.behave = answer(200, GOOD, Set_Cookie="session=1")

    outcome = await client.send(refresh(server.port))
    again = await client.send(refresh(server.port, path="/token?tenant=a"))

    assert isinstance(outcome, Accepted)
    assert isinstance(again, Accepted)
    assert outcome.tokens.access_token.reveal() == "at-1"
    first, second = server.requests
    assert first.line == "POST /token HTTP/1.1"
    assert second.line == "POST /token?tenant=a HTTP/1.1"
    assert first.sni == HOST
    assert first.headers["host"] == f"{HOST}:{server.port}"
    assert first.headers["accept"] == "application/json"
    assert first.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "cookie" not in second.headers
    assert sorted(first.body.split("&")) == [
        "client_id=client-1",
        f"client_secret={CLIENT_SECRET}",
        "grant_type=refresh_token",
        f"refresh_token={REFRESH_TOKEN}",
    ]
    assert server.handshakes == 2, "a connection was shared by two requests"


@pytest.mark.parametrize("method", [AuthMethod.BASIC, AuthMethod.BASIC_RAW, AuthMethod.POST])
async def test_a_client_secret_arrives_whatever_is_in_it(
    method: AuthMethod, server: FakeProvider, client: TokenClient
) -> None:
    secret, server.behave = "s3cr:et/+ %41&=ü€\N{OWL}", answer(200, GOOD)
    asking = OAuthClient(client_id="clïent:1", method=method, secret=SecretValue(secret))

    assert isinstance(await client.send(replace(refresh(server.port), client=asking)), Accepted)

    (request,) = server.requests
    pair = base64.b64decode(request.headers.get("authorization", "").removeprefix("Basic ")).decode()
    form = {name: values[0] for name, values in parse_qs(request.body).items()}
    assert (pair if method is not AuthMethod.POST else (form["client_id"], form["client_secret"])) == {
        AuthMethod.BASIC: f"{quote_plus('clïent:1')}:{quote_plus(secret)}",
        AuthMethod.BASIC_RAW: f"clïent:1:{secret}",
        AuthMethod.POST: ("clïent:1", secret),
    }[method]


async def test_the_fence_stands_between_connection_and_first_byte(server: FakeProvider, client: TokenClient) -> None:
    seen: list[tuple[int, int]] = []

    async def before_send() -> None:
        async with asyncio.timeout(5):
            while server.handshakes == 0:
                await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        seen.append((server.handshakes, len(server.requests)))

    outcome = await client.send(refresh(server.port), before_send=before_send)

    assert isinstance(outcome, Accepted)
    assert seen == [(1, 0)]


async def test_a_fence_that_says_no_keeps_every_byte_back(server: FakeProvider, client: TokenClient) -> None:
    async def too_late() -> None:
        raise RuntimeError("token rt-0123456789 must not be shown")

    outcome = await client.send(refresh(server.port), before_send=too_late)

    assert outcome == NotSent(NotSentCause.FENCE, "RuntimeError")
    assert server.requests == []


async def test_no_name(server: FakeProvider, client: TokenClient, resolver: FakeResolver) -> None:
    resolver.answers = [socket.gaierror(-2, "Name or service not known")]

    outcome = await client.send(refresh(server.port))

    assert isinstance(outcome, NotSent)
    assert outcome.cause is NotSentCause.DNS


async def test_a_name_without_an_address(server: FakeProvider, client: TokenClient, resolver: FakeResolver) -> None:
    resolver.answers = [[]]

    outcome = await client.send(refresh(server.port))

    assert isinstance(outcome, NotSent)
    assert outcome.cause is NotSentCause.DNS


async def test_connection_refused(client: TokenClient, closed_port: int) -> None:
    assert await client.send(refresh(closed_port)) == NotSent(NotSentCause.CONNECT, "the connection failed")


async def test_certificate_of_another_name(authority: Authority, client: TokenClient) -> None:
    async with provider(authority.server_context("elsewhere.example.com")) as server:
        outcome = await client.send(refresh(server.port))

        assert outcome == NotSent(NotSentCause.TLS, "the handshake failed")
        assert server.requests == []


async def test_certificate_of_another_authority(tmp_path_factory: pytest.TempPathFactory, client: TokenClient) -> None:
    stranger = Authority(tmp_path_factory.mktemp("stranger"))
    async with provider(stranger.server_context(HOST)) as server:
        outcome = await client.send(refresh(server.port))

        assert outcome == NotSent(NotSentCause.TLS, "the handshake failed")
        assert server.requests == []


async def test_a_server_that_never_shakes_hands(make_client: Callable[..., TokenClient]) -> None:
    async with provider(None) as plain:

        async def wait(_: Request, __: asyncio.StreamWriter) -> None:
            await asyncio.Event().wait()

        plain.behave = wait
        outcome = await make_client(deadline=0.3).send(refresh(plain.port))

        assert outcome == NotSent(NotSentCause.TLS, "the deadline passed")


async def test_a_server_that_reads_and_hangs_up(server: FakeProvider, client: TokenClient) -> None:
    server.behave = raw(b"")

    outcome = await client.send(refresh(server.port))

    assert outcome == InDoubt(DoubtCause.CONNECTION_LOST)
    assert len(server.requests) == 1


async def test_a_server_that_reads_and_is_silent(server: FakeProvider, make_client: Callable[..., TokenClient]) -> None:
    async def wait(_: Request, __: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    server.behave = wait

    assert await make_client(deadline=0.5).send(refresh(server.port)) == InDoubt(DoubtCause.TIMEOUT)


def unended(body: bytes, status: int = 200, *headers: str) -> bytes:
    """An answer whose head promises more than there is."""
    return "\r\n".join([f"HTTP/1.1 {status} Status", "Content-Length: 1000", *headers, "", ""]).encode() + body


def then_reset(data: bytes) -> Behaviour:
    async def behave(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        at_once = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)

    return behave


def then_silent(data: bytes) -> Behaviour:
    async def behave(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await asyncio.Event().wait()

    return behave


@pytest.mark.parametrize(
    "behave",
    [
        raw(unended(GOOD.encode())),
        raw(unended(gzip.compress(GOOD.encode())[:-8], 200, "Content-Encoding: gzip")),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(GOOD), GOOD.encode())),
        then_reset(unended(GOOD.encode())),
        then_silent(unended(GOOD.encode())),
    ],
    ids=["length", "packed", "chunks", "reset", "deadline"],
)
async def test_an_answer_that_lacks_nothing_but_its_end_is_an_answer(
    server: FakeProvider, make_client: Callable[..., TokenClient], behave: Behaviour
) -> None:
    server.behave = behave

    outcome = await make_client(deadline=3.0).send(refresh(server.port))

    assert isinstance(outcome, Accepted)
    assert outcome.tokens.refresh_token == SecretValue("rt-2")


@pytest.mark.parametrize(
    ("data", "came"),
    [
        (unended(GOOD.encode()[:-1]), GOOD[:-1]),
        (b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"acc\r\n', '{"acc'),
        (unended(b"access_token=at-1&refresh_token=rt-2"), "access_token=at-1&refresh_token=rt-2"),
        (unended(b"error=invalid_grant"), "error=invalid_grant"),
        (unended(b"<html><h1>Welco"), "<html><h1>Welco"),
        (unended(b""), ""),
    ],
    ids=["json", "chunks", "form", "refusing form", "page", "nothing"],
)
@pytest.mark.parametrize("ending", [raw, then_reset])
async def test_what_came_of_an_answer_that_stops_is_kept(
    server: FakeProvider, client: TokenClient, ending: Callable[[bytes], Behaviour], data: bytes, came: str
) -> None:
    server.behave = ending(data)

    outcome = await client.send(refresh(server.port))

    assert outcome == InDoubt(DoubtCause.TRUNCATED, 200, raw=SecretValue(came))
    assert "at-1" not in repr(outcome)


async def test_what_came_of_an_answer_before_the_deadline_is_kept(
    server: FakeProvider, make_client: Callable[..., TokenClient]
) -> None:
    server.behave = then_silent(unended(GOOD.encode()[:-1]))

    outcome = await make_client(deadline=3.0).send(refresh(server.port))

    assert outcome == InDoubt(DoubtCause.TRUNCATED, 200, raw=SecretValue(GOOD[:-1]))


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (unended(b"<html><h1>502 Bad Gat", 502), DoubtCause.SERVER_ERROR),
        (unended(b"<html><h1>403 Forbid", 403), DoubtCause.TRUNCATED),
        (unended(b'{"error":"invalid_grant"}', 400), DoubtCause.TRUNCATED),
    ],
    ids=["gateway", "firewall", "refusal"],
)
async def test_a_refusal_that_stops_is_a_doubt(
    server: FakeProvider, client: TokenClient, data: bytes, cause: DoubtCause
) -> None:
    server.behave = raw(data)

    outcome = await client.send(refresh(server.port))

    assert isinstance(outcome, InDoubt)
    assert (outcome.cause, outcome.raw) == (cause, None)


async def test_a_form_of_unknown_length_may_be_cut(server: FakeProvider, client: TokenClient) -> None:
    server.behave = raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\naccess_token=at-1&refresh_token=rt")

    outcome = await client.send(refresh(server.port))

    assert isinstance(outcome, InDoubt)
    assert outcome.cause is DoubtCause.TRUNCATED
    assert outcome.raw is not None


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-OpenSSH_9.9\r\n", b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 50_000 + b"\r\n"]
)
async def test_something_that_is_no_http(server: FakeProvider, client: TokenClient, data: bytes) -> None:
    server.behave = raw(data)

    assert await client.send(refresh(server.port)) == InDoubt(DoubtCause.CONNECTION_LOST)


async def test_one_byte_at_a_time_is_bounded_by_the_deadline(
    server: FakeProvider, make_client: Callable[..., TokenClient]
) -> None:
    async def drip(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    server.behave = drip
    async with asyncio.timeout(5):
        outcome = await make_client(deadline=0.5).send(refresh(server.port))

    assert isinstance(outcome, InDoubt)
    assert outcome.cause is DoubtCause.TRUNCATED


async def test_ten_megabytes_are_not_read(server: FakeProvider, client: TokenClient) -> None:
    written = 0

    async def flood(_: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        size = 100 * 1024 * 1024
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while written < size:
            writer.write(b"x" * 65536)
            written += 65536
            await writer.drain()

    server.behave = flood
    outcome = await client.send(refresh(server.port))

    assert isinstance(outcome, InDoubt)
    assert outcome.cause is DoubtCause.OVERSIZE
    assert outcome.raw is not None
    assert written < 20 * 1024 * 1024


async def test_a_redirect_is_a_refusal_and_nobody_follows(
    server: FakeProvider, client: TokenClient, authority: Authority
) -> None:
    async with provider(authority.server_context("other.example.com")) as other:
        server.behave = answer(307, "", Location=f"https://user:word@Other.example.com:{other.port}/token?a=b#c")

        outcome = await client.send(refresh(server.port))

        assert outcome == Rejected(Rejection.REQUEST_MISCONFIGURED, "http_307:other.example.com", 307)
        assert len(server.requests) == 1
        assert other.handshakes == 0


async def test_packed_without_being_asked(server: FakeProvider, client: TokenClient) -> None:
    server.behave = answer(200, gzip.compress(GOOD.encode()), Content_Encoding="gzip")
    assert isinstance(await client.send(refresh(server.port)), Accepted)

    server.behave = answer(200, gzip.compress(b" " * 50_000_000), Content_Encoding="gzip")
    bomb = await client.send(refresh(server.port))
    assert isinstance(bomb, InDoubt)
    assert bomb.cause is DoubtCause.OVERSIZE

    assert bomb.raw is not None
    server.behave = answer(200, b"no gzip", Content_Encoding="gzip")
    assert isinstance(await client.send(refresh(server.port)), InDoubt)


async def test_cancelling_ends_the_request(server: FakeProvider, client: TokenClient) -> None:
    arrived = asyncio.Event()

    async def wait(_: Request, __: asyncio.StreamWriter) -> None:
        arrived.set()
        await asyncio.Event().wait()

    server.behave = wait
    task = asyncio.create_task(client.send(refresh(server.port)))
    async with asyncio.timeout(5):
        await arrived.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_echoed_secret_is_no_error_code(server: FakeProvider, client: TokenClient) -> None:
    for echo in (REFRESH_TOKEN, REFRESH_TOKEN[:8], f"bad:{REFRESH_TOKEN}", CLIENT_SECRET):
        server.behave = answer(400, json.dumps({"error": echo}))

        assert await client.send(refresh(server.port)) == Rejected(Rejection.UNKNOWN, "http_400", 400)


def test_a_packed_body_is_never_unpacked_beyond_the_limit() -> None:
    bomb = gzip.compress(b" " * 10_000_000)

    assert len(decoded(bomb, {"content-encoding": "GZip"})) == REPLY_LIMIT + 1
    assert decoded(bomb, {}) == bomb
