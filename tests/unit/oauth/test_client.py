"""Between policy, transport and reader: what never leaves, and what a provider's clock does to statements."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from urllib.parse import parse_qsl

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from tolstoy_operator.domain.endpointpolicy import EndpointPolicy
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.domain.tokenhealth import Health, Liveness, Revocation, RevocationResult
from tolstoy_operator.domain.tokenoutcome import (
    Accepted,
    DoubtCause,
    InDoubt,
    Note,
    NotSent,
    NotSentCause,
    Rejected,
    Rejection,
)
from tolstoy_operator.oauth.assertions import Algorithm, SigningKey
from tolstoy_operator.oauth.client import ProbeRequest, TokenClient, TokenQuery
from tolstoy_operator.oauth.clientauth import AuthMethod, OAuthClient
from tolstoy_operator.oauth.proxies import Proxies
from tolstoy_operator.oauth.tokenrequest import RefreshTokenGrant, TokenRequest
from tolstoy_operator.oauth.transport import BeforeSend, Transport, WireOutcome
from tolstoy_operator.oauth.wire import Wire, WireReply

NOW = 1_790_000_000.0
POLICY = EndpointPolicy(hosts=("idp.example.com",))
KEY = ECKey.generate_key("P-256")
REFRESH = TokenRequest(
    endpoint="https://idp.example.com/token",
    policy=POLICY,
    grant=RefreshTokenGrant(SecretValue("rt-1")),
    client=OAuthClient(
        client_id="c",
        method=AuthMethod.PRIVATE_KEY_JWT,
        key=SigningKey(private_key=SecretValue(KEY.as_pem(private=True).decode()), algorithm=Algorithm.ES256),
    ),
)
QUERY = TokenQuery(
    endpoint="https://idp.example.com/revoke",
    policy=POLICY,
    client=OAuthClient(client_id="c", method=AuthMethod.NONE),
    token=SecretValue("rt-1"),
    hint="refresh_token",
)
PROBE = ProbeRequest(endpoint="https://idp.example.com/me", policy=POLICY, token=SecretValue("at-1"))


class FakeTransport(Transport):
    """Answers with what it is given; keeps what it was asked to send."""

    def __init__(self, outcome: WireOutcome) -> None:
        super().__init__(proxies=Proxies())
        self.outcome = outcome
        self.sent: list[Wire] = []

    async def send(self, wire: Wire, before_send: BeforeSend | None = None) -> WireOutcome:
        self.sent.append(wire)
        return self.outcome


def reply(body: bytes = b'{"access_token":"at-1"}', status: int = 200, **headers: str) -> WireReply:
    return WireReply(status, {"content-length": "1", **headers}, body)


def client_of(outcome: WireOutcome, clock: Callable[[], float] = lambda: NOW) -> tuple[TokenClient, FakeTransport]:
    transport = FakeTransport(outcome)
    return TokenClient(transport, clock=clock), transport


@pytest.mark.parametrize(
    ("request_", "cause"),
    [
        (replace(REFRESH, endpoint="https://evil.example/"), NotSentCause.POLICY),
        (replace(REFRESH, endpoint="not a url"), NotSentCause.POLICY),
        (replace(REFRESH, client=OAuthClient(client_id="c")), NotSentCause.REQUEST),
        (replace(REFRESH, headers={"X": "\n"}), NotSentCause.REQUEST),
        (replace(REFRESH, grant=RefreshTokenGrant(SecretValue("\ud800"))), NotSentCause.REQUEST),
        (
            replace(
                REFRESH,
                client=OAuthClient(
                    client_id="c", method=AuthMethod.PRIVATE_KEY_JWT, key=SigningKey(private_key=SecretValue("x"))
                ),
            ),
            NotSentCause.REQUEST,
        ),
    ],
)
async def test_what_cannot_be_asked_is_not_sent(request_: TokenRequest, cause: NotSentCause) -> None:
    client, transport = client_of(reply())

    outcome = await client.send(request_)

    assert isinstance(outcome, NotSent)
    assert outcome.cause is cause
    assert outcome.detail
    assert transport.sent == []


async def test_expiry_counts_from_before_the_request_left() -> None:
    times = iter([NOW, NOW, NOW + 25, NOW + 25])
    client, _ = client_of(reply(b'{"access_token":"at-1","expires_in":60}'), lambda: next(times))

    outcome = await client.send(replace(REFRESH, used_access_token=SecretValue("at-1")))

    assert isinstance(outcome, Accepted)
    assert outcome.tokens.expires_at == NOW + 60
    assert outcome.notes == {Note.SAME_ACCESS_TOKEN}


@pytest.mark.parametrize("outcome", [NotSent(NotSentCause.DNS, "x"), InDoubt(DoubtCause.TIMEOUT)])
async def test_what_the_transport_says_is_passed_on(outcome: NotSent | InDoubt) -> None:
    client, _ = client_of(outcome)

    assert await client.send(REFRESH) == outcome
    assert await client.introspect(QUERY) == Health(Liveness.UNKNOWN, outcome.cause.value)
    assert await client.probe(PROBE) == Health(Liveness.UNKNOWN, outcome.cause.value)
    assert await client.revoke(QUERY) == Revocation(RevocationResult.RETRY, outcome.cause.value)


async def test_a_question_is_not_answered_by_a_reply_without_its_end() -> None:
    client, _ = client_of(replace(reply(b'{"active":true}'), whole=False))

    assert await client.introspect(QUERY) == Health(Liveness.UNKNOWN, "truncated")
    assert await client.probe(PROBE) == Health(Liveness.UNKNOWN, "truncated")
    assert await client.revoke(QUERY) == Revocation(RevocationResult.RETRY, "truncated")


async def test_a_redirect_to_a_host_that_repeats_a_secret_names_none() -> None:
    asking = replace(REFRESH, grant=RefreshTokenGrant(SecretValue("RT-0123456789")))
    client, _ = client_of(reply(b"", 302, location="https://RT-01234567.example.com/"))

    assert await client.send(asking) == Rejected(Rejection.REQUEST_MISCONFIGURED, "http_302", 302)


async def test_two_refreshes_that_overlapped_are_told(caplog: pytest.LogCaptureFixture) -> None:
    said = b'{"error":"invalid_request","error_hint":"Multiple concurrent requests of rt-1. Please retry."}'
    client, transport = client_of(reply(said, 400))

    with caplog.at_level(logging.WARNING):
        await client.send(REFRESH)
        transport.outcome = reply(b'{"error":"invalid_request"}', 400)
        await client.send(REFRESH)

    assert caplog.messages == ["two refreshes of one grant overlapped: https://idp.example.com refused one of them"]


async def test_a_revocation_against_the_policy_is_not_worth_repeating() -> None:
    client, _ = client_of(reply())

    result = await client.revoke(replace(QUERY, endpoint="https://evil.example/"))

    assert result == Revocation(RevocationResult.REFUSED, "policy")


async def test_question_probe_and_revocation_on_the_wire() -> None:
    client, transport = client_of(reply(b'{"active":true}'))

    assert (await client.introspect(QUERY)).liveness is Liveness.ALIVE
    assert (await client.revoke(QUERY)).result is RevocationResult.DONE
    assert (await client.probe(PROBE)).liveness is Liveness.ALIVE

    asked, _, probed = transport.sent
    assert dict(parse_qsl(asked.body.reveal())) == {
        "token": "rt-1",
        "token_type_hint": "refresh_token",
        "client_id": "c",
    }
    assert (probed.method, probed.body.reveal()) == ("GET", "")
    assert probed.headers["authorization"].reveal() == "Bearer at-1"
    assert "content-type" not in probed.headers


async def test_a_token_that_no_header_can_carry_is_not_probed() -> None:
    client, transport = client_of(reply())

    assert await client.probe(replace(PROBE, token=SecretValue("a\r\nb"))) == Health(Liveness.UNKNOWN, "request")
    assert transport.sent == []


async def test_statements_are_dated_by_the_providers_clock(caplog: pytest.LogCaptureFixture) -> None:
    client, transport = client_of(reply(date=formatdate(NOW - 600, usegmt=True)))

    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await client.send(REFRESH)
        transport.outcome = reply(date=formatdate(NOW + 20, usegmt=True))
        await client.send(REFRESH)
        await client.send(REFRESH)

    assert [_issued_at(wire) - NOW for wire in transport.sent] == [-30, -630, -630, -630, -30]
    assert caplog.messages == ["clock of https://idp.example.com differs from ours by -600 s"]


def _issued_at(wire: Wire) -> float:
    sent = dict(parse_qsl(wire.body.reveal()))
    return float(jwt.decode(sent["client_assertion"], KEY, algorithms=["ES256"]).claims["iat"])


async def test_a_form_of_stated_length_is_whole() -> None:
    client, transport = client_of(reply(b"access_token=at-1"))
    assert isinstance(await client.send(REFRESH), Accepted)

    transport.outcome = WireReply(200, {}, b"access_token=at-1")
    assert isinstance(await client.send(REFRESH), InDoubt)
    transport.outcome = WireReply(200, {}, b'{"access_token":"at-1"}')
    assert isinstance(await client.send(REFRESH), Accepted)
