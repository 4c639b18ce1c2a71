"""An authorization server with a faulty network in front of it, and an operator for each file.

The protocol's times are a tenth of those in production, so that a doubt is over while a test watches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from dev.oauth.proxy import ProxyProcess
from dev.oauth.server import OAuthServer
from dev.testbed import OperatorProcess, Testbed
from tests.integration.operator.conftest import check_log
from tests.integration.operator.tenant import Tenant
from tests.integration.tokens.consent import Consent, names_upstream, values_upstream
from tests.support.kubeapi import CREDENTIALS, KubeApi

NewConsent = Callable[..., Consent]
TIME_SCALE = "0.1"


@pytest.fixture(scope="module")
def server() -> Iterator[OAuthServer]:
    """Rotating refresh tokens, reuse ends the whole family, access tokens that live an hour."""
    with OAuthServer(access_token_ttl=3600) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(server: OAuthServer) -> Iterator[ProxyProcess]:
    with ProxyProcess(server.url) as running:
        yield running


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    """Environment variables of the file's operator; a file may have its own."""
    return {}


@pytest.fixture(scope="module")
def environment(server: OAuthServer, proxy: ProxyProcess, settings: dict[str, str]) -> dict[str, str]:
    """All that an operator of this file is told."""
    return {
        "TOKEN_ENDPOINT_ORIGINS": f"{server.url},{proxy.url}",
        "REFRESH_TIME_SCALE": TIME_SCALE,
        "CLUSTER_ID": "here",
        "LOG_LEVEL": "DEBUG",
        **settings,
    }


@pytest.fixture(scope="module")
def operator(testbed: Testbed, environment: dict[str, str]) -> Iterator[OperatorProcess]:
    others = set(names_upstream(testbed))
    with testbed.operator(**environment) as process:
        yield process
        assert process.returncode is None, process.tail()
        metrics, health = process.get("/metrics")[1], process.get("/status/detailed")[1]
        assert process.terminate()[0] == 0
        check_log(process)
        ours = set(names_upstream(testbed)) - others
        _nothing_leaked(testbed, ours, process.log.read_text(), metrics, health)


def _nothing_leaked(testbed: Testbed, secrets: set[str], *texts: str) -> None:
    shown = [testbed.plane.kubectl("get", what, "-A", "-o", "json").stdout for what in ("toolcredentials", "events")]
    for value in values_upstream(testbed, secrets):
        assert not any(value in text for text in (*texts, *shown)), "a token or a client secret was shown"


@pytest.fixture
def new_tenant(testbed: Testbed, admin: KubeApi) -> Iterator[Callable[..., Tenant]]:
    """Makes tenants that go with the test."""
    with ExitStack() as stack:

        def make() -> Tenant:
            tenant = Tenant(testbed, admin)
            stack.callback(_leave, admin, tenant)
            return tenant

        yield make


def _leave(admin: KubeApi, tenant: Tenant) -> None:
    """Credentials go at once, so that nothing is refreshed behind the back of the next test."""
    admin.delete(CREDENTIALS.format(tenant.namespace))
    tenant.close()


@pytest.fixture
def new_consent(new_tenant: Callable[..., Tenant], server: OAuthServer, operator: OperatorProcess) -> NewConsent:
    """Makes organisations that have given their consent; nothing is stored yet."""

    def make(**options: str) -> Consent:
        return Consent(new_tenant(), server, **options)

    return make


@pytest.fixture
def consent(new_consent: NewConsent) -> Consent:
    return new_consent()


@pytest.fixture
def provider(server: OAuthServer, proxy: ProxyProcess) -> Iterator[OAuthServer]:
    """The server, to be changed by the test; afterwards it is as it was, and so is the network."""
    before = {"rotate": True, "grace": 0, "accessTokenTtl": 3600, "oldAccessTokenDies": False}
    yield server
    server.change(**before)
    proxy.clear()
