"""What goes wrong with a grant, whose fault the status says it is, and what makes it well again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from dev.oauth.proxy import Action, ProxyProcess
from dev.oauth.server import CLIENT_SECRET, OAuthServer
from dev.testbed import OperatorProcess, eventually
from tests.integration.tokens.consent import Consent

NewConsent = Callable[..., Consent]


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    return {"TOKEN_ENDPOINT_HOSTS": "localhost,allowed.example.com"}


def message(consent: Consent) -> str:
    ready = consent.tenant.condition("Ready", consent.tool)
    assert ready is not None
    return str(ready["message"])


def kept(consent: Consent) -> None:
    """The Secret still holds the token that the consent brought."""
    assert (consent.tenant.data(consent.tool) or {}).get("accessToken") == consent.grant.access_token


class TestConsent:
    def test_without_a_refresh_token_a_person_is_asked_before_the_token_ends(self, consent: Consent) -> None:
        consent.store(ends_in=3600, refreshToken=None)
        consent.create()
        status = consent.await_reason("ReauthorizationRequired")
        assert status["grant"]["state"] == "ReauthorizationRequired"
        assert status["grant"]["lastError"]["message"] == "no refresh token available"
        assert "the organisation must give its consent again" in message(consent)
        ready, healthy = (consent.tenant.condition(kind, consent.tool) for kind in ("Ready", "TokenHealthy"))
        assert ready is not None
        assert healthy is not None
        assert (ready["status"], healthy["status"]) == ("True", "False"), "it still works, and will not for long"
        kept(consent)
        assert consent.family().requests == (0,)

    def test_a_consent_that_ends_is_told_in_time_and_takes_nothing_away(self, consent: Consent) -> None:
        consent.store(ends_in=3000, refreshTokenExpiresAt=round((time.time() + 2 * 86_400) * 1000))
        consent.create()
        status = consent.await_reason("ConsentExpiring")
        assert status["grant"]["state"] == "Expiring"
        assert "in less than 3 days; the organisation must give its consent again before then" in message(consent)
        conditions = {item["type"]: item["status"] for item in status["conditions"]}
        assert conditions == {"Ready": "True", "Synced": "True", "TokenHealthy": "True"}
        kept(consent)

    def test_a_token_that_needs_a_proof_is_not_mirrored(self, consent: Consent) -> None:
        consent.store(ends_in=3000)
        consent.create()
        consent.await_reason("Synced")
        consent.store(ends_in=3000, accessToken="at-that-wants-a-proof", tokenType="DPoP")
        consent.await_reason("TokenTypeUnsupported")
        assert "of type DPoP" in message(consent)
        kept(consent)

    def test_a_withdrawn_consent_is_confirmed_and_a_new_one_heals_it(self, consent: Consent) -> None:
        consent.store()
        consent.server.withdraw(consent.grant.id)
        consent.create()
        status = consent.await_reason("RefreshFailing")
        assert "to be confirmed" in status["grant"]["lastError"]["message"]
        status = consent.await_reason("ReauthorizationRequired")
        assert status["grant"]["state"] == "ReauthorizationRequired"
        assert "nextRefreshTime" not in status["grant"]
        kept(consent)
        assert consent.family().requests == (2,), "one refusal may be a mistake, two are believed"
        consent.again()
        consent.store(ends_in=3600)
        started = time.monotonic()
        status = consent.await_reason("Synced")
        assert time.monotonic() - started < 8, "within seconds of the sweep"
        assert status["grant"]["state"] == "Active"
        assert "lastError" not in status["grant"]
        kept(consent)

    def test_a_new_consent_that_is_due_is_refreshed_at_once(self, consent: Consent) -> None:
        consent.store()
        consent.server.withdraw(consent.grant.id)
        consent.create()
        consent.await_reason("ReauthorizationRequired")
        consent.again()
        consent.store()
        consent.await_refreshed(timeout=30)
        assert consent.family().requests[0] == 1

    def test_a_force_sync_tries_a_refused_grant_once_more(self, consent: Consent) -> None:
        consent.store()
        consent.server.withdraw(consent.grant.id)
        consent.create()
        consent.await_reason("ReauthorizationRequired")
        consent.tenant.force_sync(consent.tool)
        assert consent.family().requests == (3,), "it is handled when the provider has been asked again"
        consent.await_reason("ReauthorizationRequired")


class TestClient:
    def test_a_wrong_client_secret_is_the_platforms_fault_and_found_out_once(
        self, new_consent: NewConsent, operator: OperatorProcess
    ) -> None:
        first, second, right = (new_consent(tool="misregistered") for _ in range(3))
        asked = first.server.state().errors.get("invalid_client", 0)
        first.store(clientSecret="wrong-but-plain-0")
        first.create()
        status = first.await_reason("ClientMisconfigured")
        assert "the organisation need not act" in message(first)
        assert status["grant"]["state"] == "RefreshFailing"
        once = first.server.state().errors["invalid_client"]
        assert 1 <= once - asked <= 3, "each way to authenticate at most"
        second.store(clientSecret="wrong-but-plain-0")
        second.create()
        second.await_reason("ClientMisconfigured")
        assert first.server.state().errors["invalid_client"] == once, "it is known already"
        right.store()
        right.create()
        right.await_refreshed()
        first.store()
        first.await_refreshed()
        assert first.family().accepted[0] == 1

    def test_a_client_that_may_not_refresh_is_the_platforms_fault(
        self, new_consent: NewConsent, provider: OAuthServer, proxy: ProxyProcess
    ) -> None:
        consent = new_consent(tool="unauthorized")
        proxy.add(Action.ANSWER, status=400, body='{"error":"unauthorized_client"}', times=None)
        consent.store(tokenEndpoint=f"{proxy.url}/token")
        consent.create()
        consent.await_reason("ClientMisconfigured")
        kept(consent)
        assert consent.family().requests == (0,)


class TestEndpoint:
    @pytest.mark.parametrize(
        "endpoint",
        [
            pytest.param("http://allowed.example.com/token", id="http"),
            pytest.param("https://foreign.example.com/token", id="foreign host"),
            pytest.param("https://allowed.example.com:8443/token", id="foreign port"),
            pytest.param("https://user:pass@allowed.example.com/token", id="userinfo"),
            pytest.param("https://allowed.example.com@foreign.example.com/token", id="disguised"),
            pytest.param("https://localhost/token", id="private address"),
            pytest.param("https://127.0.0.1/token", id="address"),
            pytest.param("file:///var/run/secrets/token", id="file"),
            pytest.param("not a url", id="no url"),
        ],
    )
    def test_nothing_is_sent_where_it_may_not_go(self, endpoint: str, consent: Consent) -> None:
        before = consent.server.state().requests
        consent.store(tokenEndpoint=endpoint)
        consent.create()
        status = consent.await_reason("TokenEndpointNotAllowed")
        assert "pass" not in message(consent)
        assert status["grant"]["state"] == "RefreshFailing"
        kept(consent)
        assert consent.server.state().requests == before
        consent.store()
        consent.await_refreshed()

    def test_a_document_without_an_endpoint_and_a_tool_without_an_entry(self, consent: Consent) -> None:
        consent.store(tokenEndpoint=None)
        consent.create()
        consent.await_reason("TokenEndpointNotAllowed")
        kept(consent)

    def test_a_redirect_is_not_followed(self, consent: Consent, provider: OAuthServer, proxy: ProxyProcess) -> None:
        proxy.add(Action.ANSWER, status=307, body="", times=None)
        consent.store(tokenEndpoint=f"{proxy.url}/token")
        consent.create()
        consent.await_reason("ClientMisconfigured")
        kept(consent)
        assert consent.family().requests == (0,)


class TestProvider:
    @pytest.mark.parametrize(
        ("status", "body"),
        [
            pytest.param(500, "<html>Internal Server Error</html>", id="500 html"),
            pytest.param(503, '{"error":"temporarily_unavailable"}', id="503"),
            pytest.param(200, "<html>Maintenance</html>", id="200 html"),
            pytest.param(200, '{"token_type":"Bearer"}', id="no token"),
            pytest.param(200, "", id="nothing"),
            pytest.param(429, '{"error":"slow_down"}', id="429"),
        ],
    )
    def test_an_answer_that_is_none_is_tried_again(
        self, status: int, body: str, consent: Consent, provider: OAuthServer, proxy: ProxyProcess
    ) -> None:
        proxy.add(Action.ANSWER, status=status, body=body, times=1)
        consent.store(tokenEndpoint=f"{proxy.url}/token")
        consent.create()
        found = consent.await_reason("RefreshFailing")
        assert found["grant"]["state"] == "RefreshFailing"
        ready = consent.tenant.condition("Ready", consent.tool)
        assert ready is not None
        assert ready["status"] == "True", "the token in use is as good as before"
        kept(consent)
        consent.await_refreshed()
        assert consent.family().requests[0] == 1
        consent.await_reason("Synced")

    def test_the_same_tokens_again_are_taken_for_what_they_are(
        self, consent: Consent, provider: OAuthServer, proxy: ProxyProcess
    ) -> None:
        same = {"access_token": consent.grant.access_token, "refresh_token": consent.grant.refresh_token}
        proxy.add(Action.ANSWER, status=200, body=json.dumps({**same, "expires_in": 3600}), times=1)
        consent.store(tokenEndpoint=f"{proxy.url}/token")
        consent.create()
        eventually(lambda: consent.grant_status().get("rotation") == "Static", what="the status says Static")
        consent.await_reason("Synced")
        kept(consent)
        assert consent.stored()["expiresAt"] > (time.time() + 3000) * 1000
        assert consent.family().requests == (0,)

    def test_an_expiry_that_has_passed_counts_as_unknown_and_is_not_asked_for_without_end(
        self, consent: Consent, provider: OAuthServer, proxy: ProxyProcess
    ) -> None:
        tokens = {"access_token": "at-that-has-ended-already", "refresh_token": consent.grant.refresh_token}
        proxy.add(Action.ANSWER, status=200, body=json.dumps({**tokens, "expires_in": -5}), times=None)
        consent.store(tokenEndpoint=f"{proxy.url}/token")
        consent.create()
        eventually(lambda: consent.stored()["accessToken"] == tokens["access_token"], what="the answer is stored")
        eventually(lambda: consent.grant_status().get("state") == "Unknown", what="nobody knows when it ends")
        assert "expiresAt" not in {*consent.stored(), *consent.grant_status()}
        consent.await_reason("Synced")
        updated = consent.stored()["lastUpdated"]
        other = Consent(consent.tenant, provider, tool="other")
        other.store()
        other.create()
        other.await_refreshed()
        assert consent.stored()["lastUpdated"] == updated

    def test_a_token_that_needs_a_proof_is_stored_and_not_mirrored(
        self, consent: Consent, provider: OAuthServer, proxy: ProxyProcess
    ) -> None:
        tokens = {"access_token": "at-that-is-bound-to-a-key", "refresh_token": "rt-that-comes-with-it"}
        answer = {**tokens, "expires_in": 3600, "token_type": "DPoP"}
        proxy.add(Action.ANSWER, status=200, body=json.dumps(answer), times=1)
        consent.store(tokenEndpoint=f"{proxy.url}/token")
        consent.create()
        consent.await_reason("TokenTypeUnsupported")
        assert "of type DPoP" in message(consent)
        assert consent.stored()["refreshToken"] == tokens["refresh_token"], "nobody else has it"
        kept(consent)

    def test_a_refresh_token_of_8_kb_is_kept_and_sent(
        self, consent: Consent, provider: OAuthServer, proxy: ProxyProcess
    ) -> None:
        large = "rt-" + "x" * 8189
        tokens = {"access_token": "at-beside-a-large-one", "refresh_token": large, "expires_in": 3600}
        proxy.add(Action.ANSWER, status=200, body=json.dumps(tokens), times=1)
        consent.store(tokenEndpoint=f"{proxy.url}/token")
        consent.create()
        eventually(lambda: consent.stored()["refreshToken"] == large, what="it is stored")
        strangers = provider.state().strangers
        consent.store(refreshToken=large)
        eventually(lambda: provider.state().strangers > strangers, what="the server was sent it")

    @pytest.mark.parametrize("action", [Action.REFUSE, Action.HANG])
    def test_a_network_that_fails_is_tried_again(
        self, action: Action, consent: Consent, provider: OAuthServer, proxy: ProxyProcess
    ) -> None:
        revoked = provider.state().revoked_families
        provider.change(grace=60)
        proxy.add(action, times=1)
        consent.store(tokenEndpoint=f"{proxy.url}/token")
        consent.create()
        consent.await_reason("RefreshFailing")
        consent.await_refreshed()
        assert provider.state().revoked_families == revoked

    @pytest.mark.parametrize("action", [Action.DROP, Action.TRUNCATE])
    def test_a_lost_response_of_a_strict_provider_is_told_as_such(
        self, action: Action, consent: Consent, provider: OAuthServer, proxy: ProxyProcess
    ) -> None:
        proxy.add(action, times=1)
        consent.store(tokenEndpoint=f"{proxy.url}/token")
        consent.create()
        status = consent.await_reason("RotationResponseLost", timeout=90)
        assert "it did nothing wrong" in message(consent)
        assert status["grant"]["state"] == "ReauthorizationRequired"
        kept(consent)
        consent.again()
        consent.store(ends_in=3600)
        consent.await_reason("Synced")

    def test_a_lost_response_of_a_provider_with_a_grace_is_asked_for_again(
        self, consent: Consent, provider: OAuthServer, proxy: ProxyProcess
    ) -> None:
        revoked = provider.state().revoked_families
        provider.change(grace=60)
        proxy.add(Action.DROP, times=1)
        consent.store(tokenEndpoint=f"{proxy.url}/token")
        consent.create()
        consent.await_refreshed()
        consent.await_reason("Synced")
        assert provider.state().revoked_families == revoked

    def test_a_slow_answer_is_waited_for(self, consent: Consent, provider: OAuthServer, proxy: ProxyProcess) -> None:
        proxy.add(Action.DELAY, times=1, seconds=1.5)
        consent.store(tokenEndpoint=f"{proxy.url}/token")
        consent.create()
        consent.await_refreshed()
        assert consent.family().requests[0] == 1


class TestUse:
    def test_nothing_is_refreshed_while_all_users_are_suspended(self, consent: Consent) -> None:
        consent.store()
        consent.create(suspend=True)
        consent.await_reason("Suspended")
        other = Consent(consent.tenant, consent.server, tool="other")
        other.store()
        other.create()
        other.await_refreshed()
        assert consent.family().requests == (0,)
        consent.tenant.edit(consent.tool, suspend=False)
        consent.await_refreshed()
        assert consent.family().requests[0] == 1

    def test_a_secret_that_nobody_uses_is_not_refreshed(self, consent: Consent) -> None:
        consent.store()
        other = Consent(consent.tenant, consent.server, tool="other")
        other.store()
        other.create()
        other.await_refreshed()
        assert consent.family().requests == (0,)

    def test_a_secret_that_can_take_no_more_versions_is_not_refreshed(self, consent: Consent) -> None:
        aws, name = consent.tenant.testbed.aws.client(), consent.tenant.upstream(consent.tool)
        consent.store(ends_in=3000)
        for _ in range(95):
            aws.put_secret_value(SecretId=name, SecretString=json.dumps(consent.document()))
        consent.create()
        consent.await_reason("VersionBudgetExceeded")
        kept(consent)
        assert consent.family().requests == (0,)

    def test_a_document_without_room_for_new_tokens_is_not_refreshed(self, consent: Consent) -> None:
        consent.store(note="x" * 60_000, ends_in=250)
        consent.create()
        status = consent.await_reason("SecretNotRefreshable")
        ready = next(item for item in status["conditions"] if item["type"] == "Ready")
        assert ready["status"] == "True"
        assert "leaves no room for new tokens" in ready["message"]
        kept(consent)
        assert consent.family().requests == (0,)
        consent.store()
        consent.await_refreshed()

    def test_a_secret_that_cannot_be_written_spends_nothing_twice(self, consent: Consent) -> None:
        aws = consent.tenant.testbed.aws
        aws.fault("access_denied", operation="PutSecretValue", secret=consent.tenant.upstream(consent.tool))
        try:
            consent.store()
            consent.create()
            consent.await_reason("RefreshFailing")
            kept(consent)
            assert consent.family().requests == (0,), "it is not spent before it is claimed"
        finally:
            aws.clear_faults()
        consent.await_refreshed()
        assert consent.family().requests[0] == 1


def test_the_client_secret_has_every_character_that_tells_encodings_apart() -> None:
    assert set(":/+ %&=") <= set(CLIENT_SECRET)
