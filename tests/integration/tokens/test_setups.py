"""Operators that are set up in ways nobody wants: two that want to be the only one, a wrong clock, an odd client."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from dev.oauth.server import OAuthServer
from dev.testbed import OperatorProcess, Testbed, eventually
from tests.integration.operator.budget import writes
from tests.integration.operator.tenant import Tenant, api_key
from tests.integration.tokens.consent import Consent
from tests.integration.tokens.test_hands import iso, message, put
from tests.support.kubeapi import KubeApi
from tests.support.skewed import AHEAD, BACK

ALONE = {"LEADER_ELECTION": "false"}
"""One operator at a time, and none waits for the Lease of the one before."""
AWARE = "s3cr:et/+ %41&=~"
"""A client secret with every character that tells encodings apart (this server takes no others than ASCII ones)."""
UNUSUAL = tuple(
    {"client_id": f"{method}+1/%", "client_secret": AWARE, "token_endpoint_auth_method": f"client_secret_{method}"}
    for method in ("basic", "post")
)


@pytest.fixture
def unusual() -> Iterator[OAuthServer]:
    with OAuthServer(access_token_ttl=3600, clients=UNUSUAL) as running:
        yield running


def test_a_client_id_and_secret_of_any_characters(
    unusual: OAuthServer, new_tenant: Callable[[], Tenant], testbed: Testbed, environment: dict[str, str]
) -> None:
    settings = {**environment, **ALONE, "TOKEN_ENDPOINT_ORIGINS": unusual.url}
    with testbed.operator("unusual", **settings) as process:
        for client in UNUSUAL:
            consent = Consent(new_tenant(), unusual, client=client["client_id"])
            consent.store(clientSecret=AWARE)
            consent.create()
            consent.await_refreshed()
            assert consent.family().accepted[0] == 1
        log = process.log.read_text()
    assert not any(form in log for form in (AWARE, json.dumps(AWARE)[1:-1]))


class TestExclusive:
    @pytest.fixture
    def exclusive(self, environment: dict[str, str]) -> dict[str, str]:
        return {**environment, **ALONE, "EXCLUSIVE_REFRESH": "true"}

    def test_two_exclusive_clusters_are_noticed_and_told(
        self, testbed: Testbed, exclusive: dict[str, str], new_tenant: Callable[[], Tenant], server: OAuthServer
    ) -> None:
        consent = Consent(new_tenant(), server)
        with testbed.operator("here", **exclusive):
            consent.store()
            consent.create()
            consent.await_refreshed()
            consent.await_reason("Synced")
        with testbed.operator("there", **{**exclusive, "CLUSTER_ID": "there"}):
            due = {**consent.stored(), "expiresAt": round((time.time() + 30) * 1000)}
            put(consent, due)
            consent.await_reason("RefreshFailing")
            assert "this cluster was told to be the only one that refreshes, and so was another one" in message(consent)
            assert "the platform team must choose one" in message(consent)
            assert consent.family().requests == (1, 0), "the other cluster's turn"

    def test_journal_secrets_that_are_deleted_by_hand_cost_nothing_once_their_tokens_are_upstream(
        self, testbed: Testbed, exclusive: dict[str, str], new_tenant: Callable[[], Tenant], server: OAuthServer
    ) -> None:
        consent = Consent(new_tenant(), server)
        with testbed.operator("here", **exclusive) as process:
            consent.store()
            consent.create()
            consent.await_refreshed()
            _next(consent)  # the first one of an owner is still reserved in the store
            written = journal(testbed)
            assert written
            testbed.plane.kubectl("delete", "-n", "tolstoy-system", "--wait=false", *written)
            assert not set(written) & set(journal(testbed))
            _next(consent)
            assert consent.family().requests == (1, 1, 1, 0)
            assert not consent.family().revoked
            assert process.returncode is None


def journal(testbed: Testbed) -> list[str]:
    """The objects of the journal, as kubectl names them."""
    names = testbed.plane.kubectl("get", "secrets", "-n", "tolstoy-system", "-o", "name").stdout.split()
    return [name for name in names if "tolstoy-journal-" in name]


def _next(consent: Consent) -> None:
    """Make the tokens look due, and wait for the next ones."""
    before = consent.stored()
    put(consent, {**before, "expiresAt": round((time.time() + 30) * 1000), "lastUpdated": iso(time.time() - 3000)})
    eventually(
        lambda: (consent.tenant.data(consent.tool) or {})["accessToken"] != before["accessToken"],
        what="the next token",
        timeout=40,
    )


@pytest.mark.parametrize("skew", [600, -600])
def test_a_clock_that_is_wrong_by_ten_minutes_costs_no_second_request(
    skew: int, testbed: Testbed, environment: dict[str, str], new_tenant: Callable[[], Tenant], server: OAuthServer
) -> None:
    settings = testbed.environment(**environment, **ALONE, CLOCK_SKEW_S=str(skew))
    consent = Consent(new_tenant(), server)
    consent.store(ends_in=500)
    with OperatorProcess(testbed.kubeconfig, settings, name="skewed", module="tests.support.skewed") as process:
        consent.create()
        if skew < 0:  # it believes that there is time, and refreshes once it believes that there is none
            consent.await_reason("Synced")
            assert consent.family().requests == (0,)
            consent.store(ends_in=30 + skew)
        data = consent.await_refreshed()
        assert abs(int(data["expiresAt"]) / 1000 - (time.time() + skew + 3600)) < 60, "by the clock that reads it"
        consent.await_reason("Synced")
        said = re.compile(r"differs from ours by (-?\d+) s")
        differs = eventually(lambda: said.search(process.log.read_text()), what="the difference is said")
        assert differs is not None
        assert abs(int(differs[1]) + skew) <= 2
        consent.tenant.force_sync(consent.tool)
        assert consent.family().requests == (1, 0)


def test_a_clock_that_is_set_while_all_is_well_costs_one_refresh_and_nothing_else(
    testbed: Testbed,
    admin: KubeApi,
    environment: dict[str, str],
    new_tenant: Callable[[], Tenant],
    server: OAuthServer,
) -> None:
    settings = testbed.environment(**environment, **ALONE)
    consent = Consent(new_tenant(), server)
    tenant = consent.tenant
    tenant.store(api_key(), "plain")
    consent.store(ends_in=3500)
    with OperatorProcess(testbed.kubeconfig, settings, name="set", module="tests.support.skewed") as process:
        tenant.synced("plain", "plain")
        consent.create()
        consent.await_reason("Synced")
        assert consent.family().requests == (0,)
        plain = tenant.get("plain")
        _set_clock(process, AHEAD)  # the token has ended a minute ago, as far as anybody can tell
        data = consent.await_refreshed()
        assert abs(int(data["expiresAt"]) / 1000 - (time.time() + 7200)) < 60, "by the clock that reads it"
        consent.await_reason("Synced")
        for jump in (BACK, BACK, AHEAD):  # right, an hour slow, and right again
            _set_clock(process, jump)
            consent.await_reason("Synced")
            assert consent.family().requests == (1, 0)
            assert tenant.get("plain") == plain, "nothing new is said about it"
        tenant.force_sync("plain")
        status = tenant.force_sync(consent.tool)
        conditions = {item["type"]: item["status"] for item in status["conditions"]}
        assert conditions == {"Ready": "True", "Synced": "True", "TokenHealthy": "True"}
        assert status["grant"]["state"] == "Active"
        assert consent.family().requests == (1, 0)
        assert tenant.data(consent.tool) == data
        done = writes(testbed, admin, tenant.namespace)
        assert (done["create secrets"], done["patch secrets"]) == (2, 1), done
        assert "exc" not in process.log.read_text()


def _set_clock(process: OperatorProcess, jump: signal.Signals) -> None:
    """Set it, and wait until both credentials were looked at because of that."""

    def said() -> int:
        return process.log.read_text().count("the clock was set by")

    synced = 'tolstoy_sync_total{outcome="Synced"}'
    looks, before = process.metric(synced), said()
    process.signal(jump)
    eventually(lambda: said() == before + 1, what="it has noticed")
    eventually(lambda: process.metric(synced) >= looks + 2, what="both were looked at")
