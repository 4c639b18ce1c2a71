"""Client secrets and refresh tokens sent to somebody else, by whoever can write an upstream secret.

A listener stands where each address leads to on this machine; whoever connects to it has been misled.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.integration.operator.conftest import NewTenant
from tests.integration.operator.tenant import Tenant, oauth, value

pytestmark = pytest.mark.integration


class Listener:
    """Accepts connections on the loopback addresses, IPv4 and IPv6, and counts them."""

    def __init__(self) -> None:
        self.connections = 0
        four = socket.create_server(("127.0.0.1", 0))
        self.port = four.getsockname()[1]
        self._sockets = [four]
        with contextlib.suppress(OSError):  # no IPv6 on this machine, or the port is taken there
            self._sockets.append(socket.create_server(("::1", self.port), family=socket.AF_INET6))
        for server in self._sockets:
            threading.Thread(target=self._serve, args=(server,), daemon=True).start()

    def close(self) -> None:
        for server in self._sockets:
            server.close()

    def _serve(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                server.accept()[0].close()
                self.connections += 1


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


ENDPOINTS = {
    "loopback": "https://127.0.0.1:{port}/token",
    "plain http": "http://127.0.0.1:{port}/token",
    "localhost": "https://localhost:{port}/token",
    "loopback by IPv6": "https://[::1]:{port}/token",
    "loopback by mapped IPv6": "https://[::ffff:127.0.0.1]:{port}/token",
    "loopback as a decimal": "https://2130706433:{port}/token",
    "loopback as hexadecimal": "https://0x7f000001:{port}/token",
    "loopback as octal": "https://0177.0.0.1:{port}/token",
    "loopback shortened": "https://127.1:{port}/token",
    "any address": "https://0.0.0.0:{port}/token",
    "link-local metadata": "https://169.254.169.254/latest/meta-data/",
    "link-local metadata by http": "http://169.254.169.254/latest/meta-data/",
    "metadata by IPv6": "https://[fd00:ec2::254]/latest/meta-data/",
    "a private address": "https://10.0.0.1/token",
    "the API server": "https://kubernetes.default.svc/api",
    "userinfo": "https://github.com@127.0.0.1:{port}/token",
    "userinfo with a password": "https://github.com:443@127.0.0.1:{port}/token",
    "an encoded at-sign": "https://github.com%40127.0.0.1:{port}/token",
    "a backslash": "https://127.0.0.1:{port}\\@github.com/token",
    "a fragment": "https://127.0.0.1:{port}#@github.com/token",
    "the provider as a subdomain": "https://github.com.localhost:{port}/token",
    "the provider on another port": "https://github.com:{port}/token",
    "a Cyrillic i": "https://g\u0456thub.com/token",
    "a dot behind": "https://github.com./login/oauth/access_token",
    "a file": "file:///etc/passwd",
    "gopher": "gopher://127.0.0.1:{port}/_x",
    "a header": "https://github.com/token\r\nHost: 127.0.0.1:{port}",
}


@pytest.mark.parametrize("case", ENDPOINTS)
def test_tokens_are_not_sent_to(new_tenant: NewTenant, listener: Listener, case: str) -> None:
    tenant = new_tenant()
    before = listener.connections
    endpoint = ENDPOINTS[case].format(port=listener.port)
    tenant.store(due(endpoint))
    tenant.create()
    tenant.await_reason("TokenEndpointNotAllowed")
    assert listener.connections == before
    assert value("t1") in (tenant.data() or {}).values(), "what works is mirrored all the same"


def due(endpoint: str) -> dict[str, object]:
    """Tokens that have to be refreshed now, there."""
    return oauth(expiresAt=round((time.time() + 60) * 1000), tokenEndpoint=endpoint)


def test_a_tool_of_the_attackers_own_allows_no_host(tenant: Tenant, listener: Listener) -> None:
    """A tool that nobody knows has no list of hosts, so nothing is sent anywhere."""
    tenant.store(due(f"https://127.0.0.1:{listener.port}/token"), "mytool")
    tenant.create(tool="mytool")
    before = listener.connections
    tenant.await_reason("TokenEndpointNotAllowed")
    assert listener.connections == before
