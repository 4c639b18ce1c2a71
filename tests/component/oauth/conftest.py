"""A provider on this machine that calls itself login.example.com, and a client that believes it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.tlsprovider import Authority, FakeProvider, provider
from tolstoy_operator.domain.endpointpolicy import EndpointPolicy, parse_networks
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.oauth.client import TokenClient
from tolstoy_operator.oauth.clientauth import AuthMethod, OAuthClient
from tolstoy_operator.oauth.proxies import Proxies
from tolstoy_operator.oauth.tokenrequest import RefreshTokenGrant, TokenRequest
from tolstoy_operator.oauth.transport import Transport

HOST = "login.example.com"
REFRESH_TOKEN = "rt-0123456789"
CLIENT_SECRET = "secret-0123456789"


@dataclass
class FakeResolver:
    """Answers from a script, the last entry again and again. Counts."""

    answers: list[Sequence[str] | OSError] = field(default_factory=lambda: [["127.0.0.1"]])
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(f"{host}:{port}")
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(found, OSError):
            raise found
        return found


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
async def server(authority: Authority) -> AsyncIterator[FakeProvider]:
    async with provider(authority.server_context(HOST, "other.example.com")) as fake:
        yield fake


@pytest.fixture
def resolver() -> FakeResolver:
    return FakeResolver()


@pytest.fixture
def make_client(
    authority: Authority, resolver: FakeResolver, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., TokenClient]:
    def make(deadline: float = 10.0, proxies: Proxies | None = None, ca_file: Path | None = None) -> TokenClient:
        monkeypatch.setenv("SSL_CERT_FILE", str(ca_file or authority.ca_file))
        transport = Transport(proxies=proxies or Proxies(), resolver=resolver, deadline=deadline)
        return TokenClient(transport)

    return make


@pytest.fixture
def client(make_client: Callable[..., TokenClient]) -> TokenClient:
    return make_client()


def policy(port: int, networks: str = "127.0.0.0/8", host: str = HOST) -> EndpointPolicy:
    return EndpointPolicy(hosts=(f"{host}:{port}",), networks=parse_networks(filter(None, networks.split(","))))


def refresh(port: int, *, networks: str = "127.0.0.0/8", host: str = HOST, path: str = "/token") -> TokenRequest:
    return TokenRequest(
        endpoint=f"https://{host}:{port}{path}",
        policy=policy(port, networks, host),
        grant=RefreshTokenGrant(SecretValue(REFRESH_TOKEN)),
        client=OAuthClient(client_id="client-1", method=AuthMethod.POST, secret=SecretValue(CLIENT_SECRET)),
    )


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
