"""One expiry, one request, and the new token everywhere: in both modes."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

import pytest

from dev.oauth.server import OAuthServer
from dev.testbed import eventually
from tests.integration.operator.tenant import Tenant
from tests.integration.tokens.consent import TOOL, Consent


@pytest.fixture(scope="module", params=["shared", "exclusive", "sole-writer"])
def settings(request: pytest.FixtureRequest) -> dict[str, str]:
    exclusive, sole = request.param != "shared", request.param == "sole-writer"
    return {"EXCLUSIVE_REFRESH": str(exclusive), "SOLE_WRITER": str(sole)}


def test_a_due_token_is_refreshed_once_and_reaches_every_secret_that_uses_it(
    consent: Consent, new_tenant: Callable[..., Tenant]
) -> None:
    second = new_tenant()
    second.annotate(allowed_orgs=consent.tenant.org)
    consent.store()
    consent.create()
    second.create(TOOL, TOOL, orgId=consent.tenant.org)
    data = consent.await_refreshed()
    eventually(lambda: second.data(TOOL) == data, what="the other namespace has it too")
    assert consent.family().requests[0] == 1
    assert consent.server.state().revoked_families == 0
    eventually(
        lambda: consent.await_reason("Synced")["upstream"]["versionId"] == consent.tenant.version(TOOL),
        what="the status names the version that the refresh made",
    )


def test_what_the_operator_does_not_know_is_kept(consent: Consent) -> None:
    consent.store(scope="old", tokenType="old", note="ä €", nothing=[], zero=0)
    consent.create()
    data = consent.await_refreshed()
    stored = consent.stored()
    assert stored["custom"] == {"keep": ["me", 1]}
    assert (stored["note"], stored["nothing"], stored["zero"]) == ("ä €", [], 0)
    assert (stored["scope"], stored["tokenType"]) == ("offline_access api:read", "Bearer")
    assert stored["refreshToken"] != consent.grant.refresh_token
    assert stored["expiresAt"] / 1000 == pytest.approx(time.time() + 3600, abs=60)
    assert datetime.fromisoformat(stored["lastUpdated"]).timestamp() == pytest.approx(time.time(), abs=60)
    assert {"refreshToken", "clientSecret", "tolstoy"}.isdisjoint(data)


def test_the_status_tells_about_the_grant(consent: Consent) -> None:
    consent.store()
    consent.create()
    consent.await_refreshed()
    stored = consent.stored()

    def told() -> dict[str, str]:
        grant = consent.grant_status()
        assert grant.get("rotation") == "Rotating"
        return grant

    grant = eventually(told, what="the status tells of the refresh")
    assert grant["state"] == "Active"
    assert _seconds(grant["expiresAt"]) == stored["expiresAt"] // 1000
    assert _seconds(grant["lastRefreshTime"]) == int(datetime.fromisoformat(stored["lastUpdated"]).timestamp())
    assert _seconds(grant["expiresAt"]) - 660 <= _seconds(grant["nextRefreshTime"]) < _seconds(grant["expiresAt"]) - 299
    assert grant["scopes"] == "offline_access api:read"
    assert "lastError" not in grant
    healthy = consent.tenant.condition("TokenHealthy", TOOL)
    assert healthy is not None
    assert (healthy["status"], healthy["reason"]) == ("True", "Active")


def test_a_token_that_is_not_due_is_left_alone(consent: Consent) -> None:
    consent.store(ends_in=3600)
    consent.create()
    consent.await_reason("Synced")
    other = Consent(consent.tenant, consent.server, tool="other")
    other.store()
    other.create()
    other.await_refreshed()
    assert consent.family().requests == (0,)
    assert consent.grant_status()["state"] == "Active"


def test_a_provider_that_does_not_rotate_is_seen_as_such(consent: Consent, provider: OAuthServer) -> None:
    provider.change(rotate=False)
    consent.store()
    consent.create()
    consent.await_refreshed()
    assert consent.stored()["refreshToken"] == consent.grant.refresh_token
    eventually(lambda: consent.grant_status().get("rotation") == "Static", what="the status says Static")
    assert consent.family().requests == (1,)


@pytest.mark.parametrize("client", ["basic", "post", "public"])
def test_the_client_authenticates_as_the_provider_wants(
    client: str, new_consent: Callable[..., Consent], provider: OAuthServer
) -> None:
    consent = new_consent(client=client)
    if client == "public":
        consent.store(clientSecret=None)
    else:
        consent.store()
    consent.create()
    consent.await_refreshed()
    assert consent.family().accepted[0] == 1


@pytest.mark.parametrize(
    "expiry",
    [
        pytest.param(int, id="seconds"),
        pytest.param(lambda at: f"{at * 1000:.0f}", id="text"),
        pytest.param(lambda at: datetime.fromtimestamp(at).astimezone().isoformat(), id="iso"),
        pytest.param(lambda at: 253_402_300_799_000, id="year 9999"),
    ],
)
def test_an_expiry_that_is_not_milliseconds_is_a_mistake_and_nothing_is_sent(
    expiry: Callable[[float], object], consent: Consent
) -> None:
    consent.store(expiresAt=expiry(time.time() + 30))
    consent.create()
    status = consent.await_reason("SecretMalformed")
    assert "expiresAt" in status["conditions"][0]["message"]
    assert consent.family().requests == (0,)
    consent.store()
    consent.await_refreshed()


def test_a_token_that_ended_yesterday_is_refreshed_all_the_same(consent: Consent) -> None:
    consent.store(ends_in=-86_400)
    consent.create()
    consent.await_refreshed()
    assert consent.family().requests[0] == 1


def test_a_document_without_an_access_token_gets_one(consent: Consent) -> None:
    consent.store(accessToken=None, expiresAt=None)
    consent.create(type="OAuth2")
    consent.await_refreshed()
    assert consent.family().requests[0] == 1


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())
