"""Grants that end with their last credential, seen at the authorization server."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from dev.oauth.proxy import Action, ProxyProcess
from dev.oauth.server import CLIENT_SECRET, OAuthServer
from dev.testbed import OperatorProcess, eventually
from tests.integration.operator.tenant import Tenant
from tests.integration.tokens.consent import Consent

REVOCABLE, UNKNOWN = "revocable", "irrevocable"
REVOKE = {"oauth": {"revocationPolicy": "Revoke"}}
FINALIZER = "tolstoy.dev/revoke"
PATIENCE_S = 8.0
LIVES_S = 3000.0
ENTRY = """\
like: generic
title: A server that revokes
sources: {here: {at: this test, date: 2026-11-24}}
revoke: {value: {url: token/revocation}, source: here}
introspect: {value: {url: token/introspection, success: {active: true}}, source: here}
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    providers = tmp_path_factory.mktemp("providers")
    (providers / f"{REVOCABLE}.yaml").write_text(ENTRY)
    return {
        "PROVIDERS_DIR": str(providers),
        "ALLOW_SHARED_REVOCATION": "true",
        "REVOCATION_TIMEOUT_S": str(PATIENCE_S),
    }


@pytest.fixture
def granted(new_tenant: Callable[..., Tenant], server: OAuthServer, operator: OperatorProcess) -> Consent:
    """A consent whose namespace may end it, stored upstream."""
    assert operator
    consent = Consent(able(new_tenant()), server, tool=REVOCABLE)
    consent.store(ends_in=LIVES_S)
    return consent


def able(tenant: Tenant) -> Tenant:
    """Grant the right to end grants."""
    tenant.annotate(allow_revoke="true")
    return tenant


def held(consent: Consent) -> Consent:
    """With its credential, which carries the finalizer."""
    consent.create(**REVOKE)
    consent.await_reason("Synced")
    assert finalizers(consent) == [FINALIZER]
    return consent


def finalizers(consent: Consent, name: str = "") -> list[str]:
    body = consent.tenant.get(name or consent.tool)
    assert body is not None
    return list(body["metadata"].get("finalizers", []))


def delete(consent: Consent, *, timeout: float = 90) -> float:
    """Delete the credential and wait until it is gone. Returns how long that took, in seconds."""
    started = time.monotonic()
    consent.tenant.delete(consent.tool)
    eventually(lambda: consent.tenant.get(consent.tool) is None, what="the credential is gone", timeout=timeout)
    return time.monotonic() - started


def await_event(consent: Consent, reason: str) -> str:
    """The note of the Event with this reason."""

    def ask() -> str:
        notes = [item["note"] for item in consent.tenant.events() if item["reason"] == reason]
        assert notes, [item["reason"] for item in consent.tenant.events()]
        return str(notes[-1])

    return eventually(ask, what=f"an Event {reason}")


def is_active(server: OAuthServer, token: str) -> bool:
    """What the server says of a token."""
    form = urllib.parse.urlencode({"token": token, "client_id": "post", "client_secret": CLIENT_SECRET}).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(server.introspection_endpoint, form, timeout=20) as reply:
        return bool(json.load(reply)["active"])


def lives(consent: Consent) -> tuple[bool, bool]:
    """Whether the refresh token and the access token of the consent work."""
    grant = consent.grant
    return is_active(consent.server, grant.refresh_token), is_active(consent.server, grant.access_token)


def labels(consent: Consent) -> set[str]:
    """All labels on versions of the secret."""
    client = consent.tenant.testbed.aws.client()
    found = client.describe_secret(SecretId=consent.tenant.upstream(consent.tool))["VersionIdsToStages"]
    return {label for each in found.values() for label in each}


def await_unmarked(consent: Consent) -> None:
    """The mark goes last, when nobody can ask for this revocation again."""
    eventually(lambda: "TOLSTOY_REVOKING" not in labels(consent), what="no version is marked")


def test_the_last_credential_takes_the_grant_with_it(granted: Consent, operator: OperatorProcess) -> None:
    held(granted)
    assert lives(granted) == (True, True)

    delete(granted)

    assert lives(granted) == (False, False)
    assert granted.family().revoked
    assert granted.family().requests == (0,), "no token was asked for"
    stored = granted.stored()
    assert stored["tolstoy"]["revoked"] is True
    assert stored["custom"] == {"keep": ["me", 1]}
    assert not {"accessToken", "refreshToken", "expiresAt"} & stored.keys()
    await_unmarked(granted)
    assert "the tokens are revoked" in await_event(granted, "Revoked")
    audited = [item for item in operator.records() if item.get("operation") == "revoke"]
    assert [item["outcome"] for item in audited if item["secret"] == granted.tenant.upstream(REVOCABLE)] == ["ok"]
    assert operator.metric(f'tolstoy_revocations_total{{outcome="ok",tool="{REVOCABLE}"}}') >= 1


@pytest.mark.parametrize("client", ["basic", "public"])
def test_clients_authenticate_as_they_do_for_tokens(
    new_tenant: Callable[..., Tenant], server: OAuthServer, operator: OperatorProcess, client: str
) -> None:
    assert operator
    consent = Consent(able(new_tenant()), server, client=client, tool=REVOCABLE)
    consent.store(ends_in=LIVES_S, clientSecret=CLIENT_SECRET if client == "basic" else None)
    held(consent)

    delete(consent)

    assert consent.family().revoked
    assert consent.stored()["tolstoy"]["revoked"] is True


def test_without_being_asked_nothing_ends(granted: Consent) -> None:
    granted.create()
    granted.await_reason("Synced")
    assert finalizers(granted) == []

    delete(granted)

    assert lives(granted) == (True, True)


def test_while_another_credential_uses_it_it_stays(granted: Consent, new_tenant: Callable[..., Tenant]) -> None:
    held(granted)
    second = new_tenant()
    second.annotate(allowed_orgs=granted.tenant.org)
    second.create("other", REVOCABLE, orgId=granted.tenant.org)
    second.await_reason("Synced", "other")

    delete(granted)

    assert lives(granted) == (True, True)
    await_event(granted, "GrantKept")
    assert second.status("other")["grant"]["state"] == "Active"


def test_a_whole_namespace_goes_with_its_grants(granted: Consent) -> None:
    held(granted)
    granted.tenant.close()

    eventually(lambda: granted.tenant.get(REVOCABLE) is None, what="the namespace's credential is gone", timeout=40)
    assert granted.family().revoked


class TestRights:
    """A namespace ends a grant only while it may."""

    def test_without_it_the_credential_says_so(self, granted: Consent) -> None:
        granted.tenant.annotate(allow_revoke=None)
        granted.create(**REVOKE)
        status = granted.await_reason("RevocationNotGranted")
        ready = next(item for item in status["conditions"] if item["type"] == "Ready")
        assert ready["status"] == "True"
        assert "tolstoy.dev/allow-revoke" in ready["message"]
        assert finalizers(granted) == []

        granted.tenant.annotate(allow_revoke="true")
        granted.await_reason("Synced")
        assert finalizers(granted) == [FINALIZER]

    def test_taken_away_it_takes_the_finalizer_along(self, granted: Consent) -> None:
        held(granted)
        granted.tenant.annotate(allow_revoke=None)
        granted.await_reason("RevocationNotGranted")

        assert finalizers(granted) == []
        delete(granted, timeout=30)
        assert lives(granted) == (True, True)

    def test_taken_away_while_the_deletion_waits(self, granted: Consent, proxy: ProxyProcess) -> None:
        with unanswered(granted, proxy):
            held(granted)
            granted.tenant.delete(REVOCABLE)
            await_event(granted, "RevocationPending")
            granted.tenant.annotate(allow_revoke=None)

            eventually(lambda: granted.tenant.get(REVOCABLE) is None, what="the credential is gone", timeout=30)
        await_event(granted, "RevocationSkipped")
        assert lives(granted) == (True, True)
        await_unmarked(granted)

    def test_the_wish_can_be_taken_back(self, granted: Consent) -> None:
        held(granted)
        granted.tenant.edit(REVOCABLE, oauth={"revocationPolicy": "Orphan"})

        eventually(lambda: finalizers(granted) == [], what="the finalizer is gone")
        delete(granted)
        assert lives(granted) == (True, True)

    def test_a_tool_without_revocation_says_so_before_anything_happens(
        self, new_tenant: Callable[..., Tenant], server: OAuthServer, operator: OperatorProcess
    ) -> None:
        assert operator
        consent = Consent(able(new_tenant()), server, tool=UNKNOWN)
        consent.store(ends_in=LIVES_S)
        consent.create(**REVOKE)

        status = consent.await_reason("RevocationUnsupported")

        assert finalizers(consent) == []
        assert status["grant"]["state"] == "Active"
        delete(consent, timeout=30)


@contextmanager
def unanswered(consent: Consent, proxy: ProxyProcess) -> Iterator[None]:
    """The provider's revocation answers 503."""
    consent.store(ends_in=LIVES_S, tokenEndpoint=f"{proxy.url}/token")
    proxy.add(Action.ANSWER, path="/token/revocation", times=None, status=503)
    try:
        yield
    finally:
        proxy.clear()


class TestTrouble:
    """Nothing is called revoked that is not, and no deletion hangs."""

    def test_a_provider_that_is_down_holds_the_deletion_only_so_long(
        self, granted: Consent, proxy: ProxyProcess
    ) -> None:
        with unanswered(granted, proxy):
            held(granted)
            took = delete(granted)

        assert PATIENCE_S - 2 <= took <= PATIENCE_S + 10
        assert "http_503" in await_event(granted, "RevocationPending")
        assert "may not be revoked" in await_event(granted, "RevocationFailed")
        assert granted.stored()["refreshToken"] == granted.grant.refresh_token
        await_unmarked(granted)

    def test_a_provider_that_comes_back_in_time(self, granted: Consent, proxy: ProxyProcess) -> None:
        with unanswered(granted, proxy):
            held(granted)
            granted.tenant.delete(REVOCABLE)
            await_event(granted, "RevocationPending")
        eventually(lambda: granted.tenant.get(REVOCABLE) is None, what="the credential is gone")

        await_event(granted, "Revoked")
        assert lives(granted) == (False, False)

    @pytest.mark.parametrize("action", [Action.DROP, Action.TRUNCATE])
    def test_a_reply_that_is_lost_is_asked_for_again(
        self, granted: Consent, proxy: ProxyProcess, action: Action
    ) -> None:
        granted.store(ends_in=LIVES_S, tokenEndpoint=f"{proxy.url}/token")
        held(granted)
        proxy.add(action, path="/token/revocation", times=1)
        try:
            delete(granted)
        finally:
            proxy.clear()

        assert lives(granted) == (False, False)
        assert granted.stored()["tolstoy"]["revoked"] is True

    def test_a_consent_that_comes_meanwhile_stays(self, granted: Consent, proxy: ProxyProcess) -> None:
        old = granted.grant
        with unanswered(granted, proxy):
            held(granted)
            granted.tenant.delete(REVOCABLE)
            eventually(lambda: "TOLSTOY_REVOKING" in labels(granted), what="the old version is marked")
            granted.again()
            granted.store(ends_in=LIVES_S)
            eventually(lambda: granted.tenant.get(REVOCABLE) is None, what="the credential is gone")

        assert "a new consent" in await_event(granted, "GrantKept")
        assert lives(granted) == (True, True)
        assert granted.stored()["refreshToken"] == granted.grant.refresh_token != old.refresh_token
        await_unmarked(granted)
        assert lives(granted) == (True, True)

    def test_an_operator_that_is_killed_meanwhile(
        self, granted: Consent, proxy: ProxyProcess, operator: OperatorProcess
    ) -> None:
        with unanswered(granted, proxy):
            held(granted)
            granted.tenant.delete(REVOCABLE)
            eventually(lambda: "TOLSTOY_REVOKING" in labels(granted), what="it has begun")
            operator.kill()
        assert granted.tenant.get(REVOCABLE) is not None
        operator.start()

        eventually(lambda: granted.tenant.get(REVOCABLE) is None, what="the credential is gone", timeout=60)
        assert lives(granted) == (False, False)


def test_what_else_used_the_grant_is_told(granted: Consent) -> None:
    """As another cluster would see it: the tombstone is all that arrives here."""
    granted.create()
    granted.await_reason("Synced")
    data = granted.tenant.data(REVOCABLE)
    document = {"clientId": "post", "clientSecret": CLIENT_SECRET, "tolstoy": {"revoked": True}}
    granted.tenant.store(document, REVOCABLE)

    status = granted.await_reason("Revoked")

    assert status["grant"]["state"] == "Revoked"
    assert granted.tenant.data(REVOCABLE) == data
    assert granted.tenant.condition("Stalled", REVOCABLE) is not None
    granted.again()
    granted.store(ends_in=LIVES_S)
    granted.await_reason("Synced")
