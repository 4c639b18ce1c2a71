"""How a grant is ended at each kind of provider, down to the wire."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from tolstoy_operator.domain.catalogue import load_catalogue
from tolstoy_operator.domain.catalogue.entry import Call, Credentials
from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.revocation import TokenKind
from tolstoy_operator.domain.tokenhealth import RevocationResult
from tolstoy_operator.oauth.client import TokenClient
from tolstoy_operator.oauth.proxies import Proxies
from tolstoy_operator.oauth.transport import BeforeSend, Transport, WireOutcome
from tolstoy_operator.oauth.wire import Wire, WireReply
from tolstoy_operator.services.endpoints import Endpoints, Reach, ToolEndpoint

CATALOGUE = load_catalogue()
REVOCABLE = [tool for tool in CATALOGUE if (found := CATALOGUE.provider(tool)) is not None and found.revoke is not None]
SECRET = "s:/+%&="
INVALID_CLIENT = WireReply(401, {}, b'{"error":"invalid_client"}')


class FakeTransport(Transport):
    """Answers in turn, then with 200; keeps what was sent."""

    def __init__(self, *answers: WireReply) -> None:
        super().__init__(proxies=Proxies())
        self.answers = list(answers)
        self.sent: list[Wire] = []

    async def send(self, wire: Wire, before_send: BeforeSend | None = None) -> WireOutcome:
        self.sent.append(wire)
        return self.answers.pop(0) if self.answers else WireReply(200, {}, b"")


def endpoint(transport: Transport, tool: str, own: Path | None = None) -> ToolEndpoint:
    return Endpoints(TokenClient(transport), load_catalogue(own), Reach(), lambda: 0.0).of(tool)


def document(tool: str = "", **members: str) -> OAuthDocument:
    provider = CATALOGUE.provider(tool) if tool else None
    url = provider.token_url if provider else None
    url = url or f"https://{(provider.hosts if provider and provider.hosts else ['x'])[0].replace('*', 'tenant')}/token"
    base = {"accessToken": "at-1", "refreshToken": "rt-1", "clientId": "c", "clientSecret": SECRET}
    return OAuthDocument.of({**base, "tokenEndpoint": url, **members})


def fields(wire: Wire) -> Mapping[str, str]:
    body = wire.body.reveal()
    if body.startswith("{"):
        found: dict[str, str] = json.loads(body)
        return found
    return {name: values[0] for name, values in parse_qs(body).items()}


def call_of(tool: str) -> Call:
    provider = CATALOGUE.provider(tool)
    assert provider is not None
    assert provider.revoke is not None
    return provider.revoke


@pytest.mark.parametrize("tool", REVOCABLE)
async def test_every_revocation_of_the_catalogue_goes_out_as_its_entry_says(tool: str) -> None:
    call, transport = call_of(tool), FakeTransport()
    spoken = endpoint(transport, tool)
    assert spoken.revocable

    for kind in spoken.revocable:
        reply = await spoken.revoke(document(tool), kind)
        assert reply.result is RevocationResult.DONE, reply
        wire, token = transport.sent[-1], "rt-1" if kind is TokenKind.REFRESH else "at-1"
        assert wire.method == call.method
        if call.credentials is Credentials.BEARER:
            assert wire.headers["authorization"].reveal() == f"Bearer {token}"
            assert wire.body.reveal() == ""
        else:
            assert fields(wire)[call.parameter or ""] == token
            assert fields(wire).get("token_type_hint") == (f"{kind}_token" if call.parameter == "token" else None)
            authorized = "authorization" in wire.headers
            assert authorized or call.credentials is not Credentials.BASIC
            assert (SECRET in wire.body.reveal()) is False or call.credentials is Credentials.CLIENT


async def test_the_application_of_github_is_named_in_the_path() -> None:
    transport = FakeTransport(WireReply(204, {}, b""))

    await endpoint(transport, "github").revoke(document("github"), TokenKind.ACCESS)

    (wire,) = transport.sent
    assert (wire.method, wire.endpoint.target) == ("DELETE", "/applications/c/grant")
    assert fields(wire) == {"access_token": "at-1"}
    assert wire.headers["authorization"].reveal().startswith("Basic ")


async def test_a_client_whose_encoded_secret_is_refused_sends_it_raw() -> None:
    transport = FakeTransport(INVALID_CLIENT, INVALID_CLIENT)

    reply = await endpoint(transport, "okta").revoke(document("okta"), TokenKind.REFRESH)

    assert reply.result is RevocationResult.DONE
    raw = base64.b64encode(f"c:{SECRET}".encode()).decode()
    assert transport.sent[-1].headers["authorization"].reveal() == f"Basic {raw}"


async def test_a_client_that_is_refused_in_every_way_is_said_to_be() -> None:
    transport = FakeTransport(*[INVALID_CLIENT] * 9)

    reply = await endpoint(transport, "okta").revoke(document("okta"), TokenKind.REFRESH)

    assert (reply.result, reply.code) == (RevocationResult.REFUSED, "invalid_client")
    assert len(transport.sent) < 4


async def test_a_tool_that_nobody_knows_is_not_asked() -> None:
    transport = FakeTransport()
    spoken = endpoint(transport, "acme")

    assert spoken.revocable == ()
    assert (await spoken.revoke(document(), TokenKind.REFRESH)).result is RevocationResult.UNSUPPORTED
    assert transport.sent == []


async def test_a_token_goes_to_no_host_that_is_not_the_providers() -> None:
    transport = FakeTransport()

    reply = await endpoint(transport, "okta").revoke(
        document("okta", tokenEndpoint="https://evil.example/token"), TokenKind.REFRESH
    )

    assert reply.result is RevocationResult.REFUSED
    assert transport.sent == []
