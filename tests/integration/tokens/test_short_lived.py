"""Tokens that live seconds: one cluster refreshes them, between writes upstream they live in its journal."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from dev.oauth.server import OAuthServer
from dev.testbed import OperatorProcess, Testbed, eventually
from tests.integration.operator.tenant import Tenant
from tests.integration.tokens.consent import Consent

LIFETIME = 15


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    return {"EXCLUSIVE_REFRESH": "true"}


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _next_token(consent: Consent) -> dict[str, str]:
    """Wait for the next one. Returns what the Secret held before."""
    before = consent.tenant.data(consent.tool) or {}

    def ask() -> bool:
        return (consent.tenant.data(consent.tool) or {}).get("accessToken") != before.get("accessToken")

    eventually(ask, what="the next token", timeout=60)
    return before


def test_each_expiry_costs_one_request_also_across_a_crash(
    testbed: Testbed, environment: dict[str, str], new_tenant: Callable[[], Tenant], provider: OAuthServer
) -> None:
    provider.change(accessTokenTtl=LIFETIME)
    consent = Consent(new_tenant(), provider)
    with testbed.operator("first", **environment) as first:
        consent.store(ends_in=LIFETIME, lastUpdated=_iso(time.time()))
        consent.create()
        consent.await_reason("Synced")
        for _ in range(3):
            before = _next_token(consent)
            assert int(before["expiresAt"]) / 1000 > time.time(), "the old one was still good"
        first.kill()
    with testbed.operator("second", **environment) as second:
        for _ in range(2):
            before = _next_token(consent)
            assert int(before["expiresAt"]) < int((consent.tenant.data(consent.tool) or {})["expiresAt"]), "no way back"
        requests = consent.family().requests
        assert second.terminate()[0] == 0
    assert max(requests) == 1
    assert sum(requests) >= 5
    assert provider.state().revoked_families == 0


def test_clusters_that_share_cannot_refresh_them_and_say_so(
    testbed: Testbed, environment: dict[str, str], new_tenant: Callable[[], Tenant], server: OAuthServer
) -> None:
    consent = Consent(new_tenant(), server)
    consent.store(ends_in=5, lastUpdated=_iso(time.time() - LIFETIME))
    with testbed.operator("sharing", **{**environment, "EXCLUSIVE_REFRESH": "false"}):
        consent.create()
        status = consent.await_reason("VersionBudgetExceeded")
    assert "exclusive mode" in status["conditions"][0]["message"]
    assert consent.family().requests == (0,)


def test_another_cluster_that_was_told_to_be_the_only_one_is_told_that_it_is_not(
    testbed: Testbed, environment: dict[str, str], new_tenant: Callable[[], Tenant], server: OAuthServer
) -> None:
    consent = Consent(new_tenant(), server)
    consent.store()
    with testbed.operator("owner", **environment) as owner:
        consent.create()
        consent.await_refreshed()
        assert owner.terminate()[0] == 0
    current = consent.stored()
    consent.store(**{**current, "expiresAt": round((time.time() + 20) * 1000)})
    with testbed.operator("rival", **{**environment, "CLUSTER_ID": "elsewhere"}) as rival:
        _told(consent, rival)
    assert sum(consent.family().requests) == 1


def _told(consent: Consent, rival: OperatorProcess) -> None:
    status = consent.await_reason("RefreshFailing")
    assert "so was another one" in status["conditions"][0]["message"], rival.tail()
