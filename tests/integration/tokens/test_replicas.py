"""Several replicas: a leader that dies around a refresh, and a start that finds everything as it was told."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest

from dev.oauth.proxy import Action, ProxyProcess
from dev.oauth.server import OAuthServer
from dev.testbed import OperatorProcess, Testbed, eventually
from tests.integration.operator.tenant import Tenant
from tests.integration.tokens.consent import Consent

LIFETIME = 120.0


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    return {"EXCLUSIVE_REFRESH": "true"}


@pytest.fixture
def start(testbed: Testbed, environment: dict[str, str]) -> Iterator[Callable[[str], OperatorProcess]]:
    with contextlib.ExitStack() as stack:
        yield lambda name: stack.enter_context(testbed.operator(name, **environment))


def _holder(testbed: Testbed) -> str:
    lease = testbed.get("lease", "tolstoy-system", "tolstoy-operator") or {}
    return str(lease.get("spec", {}).get("holderIdentity") or "")


def _leader(testbed: Testbed, *replicas: OperatorProcess) -> OperatorProcess:
    def ask() -> OperatorProcess | None:
        holder = _holder(testbed)
        return next((replica for replica in replicas if holder.startswith(replica.log.stem)), None)

    found = eventually(ask, what="one of the replicas leads")
    assert found is not None
    return found


@pytest.mark.parametrize("moment", ["before the token is due", "right after the refresh"])
def test_a_leader_that_is_killed_around_a_refresh_costs_no_second_request(
    moment: str,
    testbed: Testbed,
    new_tenant: Callable[[], Tenant],
    server: OAuthServer,
    start: Callable[[str], OperatorProcess],
) -> None:
    replicas = [start("one"), start("two")]
    leader = _leader(testbed, *replicas)
    consent = Consent(new_tenant(), server)
    issued = time.time() - 64.0  # due in 4 to 16 s, and over in 56
    consent.store(
        expiresAt=round((issued + LIFETIME) * 1000),
        lastUpdated=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(issued)),
    )
    first = consent.tenant.version(consent.tool)
    consent.create()
    consent.await_reason("Synced")
    if moment == "right after the refresh":
        eventually(lambda: consent.tenant.version(consent.tool) != first, what="a new version is current", pause=0.002)
    leader.kill()
    consent.await_refreshed()
    assert consent.family().requests == (1, 0)
    assert time.time() < issued + LIFETIME, "in time, although the leader had to be replaced"


def test_an_operator_that_is_told_to_stop_hears_out_a_request_under_way(
    new_tenant: Callable[[], Tenant],
    provider: OAuthServer,
    proxy: ProxyProcess,
    start: Callable[[str], OperatorProcess],
) -> None:
    replica = start("leaving")
    consent = Consent(new_tenant(), provider)
    proxy.add(Action.DELAY, seconds=2.0)
    consent.store(tokenEndpoint=f"{proxy.url}/token")
    consent.create()
    eventually(lambda: consent.family().accepted[0] == 1, what="the server has answered")
    assert consent.stored()["refreshToken"] == consent.grant.refresh_token, "nobody has heard the answer yet"
    assert replica.terminate()[0] == 0
    assert consent.stored()["refreshToken"] != consent.grant.refresh_token


def test_a_new_start_changes_no_status_of_a_dead_grant(
    new_tenant: Callable[[], Tenant], server: OAuthServer, start: Callable[[str], OperatorProcess]
) -> None:
    replica = start("first")
    refused, tokenless = Consent(new_tenant(), server), Consent(new_tenant(), server)
    refused.store(ends_in=5)
    server.withdraw(refused.grant.id)
    tokenless.store(ends_in=3600, refreshToken=None)
    for consent in (refused, tokenless):
        consent.create()
        consent.await_reason("ReauthorizationRequired")
    eventually(
        lambda: "ended at" in refused.tenant.status(refused.tool)["conditions"][0]["message"],
        what="the token has ended, and the status says so",
    )
    before = [consent.tenant.get(consent.tool) for consent in (refused, tokenless)]
    requests = refused.family().requests
    assert replica.terminate()[0] == 0
    again = start("second")
    look = 60 * float("0.1")  # the pause of the protocol, at the bench's scale
    seen = Consent(new_tenant(), server)
    seen.store()
    seen.create()
    seen.await_refreshed()
    eventually(
        lambda: again.metric('tolstoy_token_refreshes_unsent_total{outcome="ReauthorizationRequired",tool="acme"}'),
        what="the refused grant was looked at again",
        timeout=look + 20,
    )
    assert [consent.tenant.get(consent.tool) for consent in (refused, tokenless)] == before
    assert refused.family().requests == requests, "the verdict is on record"
