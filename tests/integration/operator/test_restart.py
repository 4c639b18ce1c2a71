"""Operators that come and go: what a start writes, in which order it looks, and what happened while nobody did.

These tests start their own operators, on the control plane that the other files use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from dev.helmcli import NAMESPACE
from dev.testbed import Testbed, eventually
from tests.integration.operator.budget import requests
from tests.integration.operator.conftest import stop
from tests.integration.operator.tenant import Tenant, api_key, oauth, oauth_data, value
from tests.support.kubeapi import KubeApi

pytestmark = pytest.mark.integration

MANY = 100
CREATED = ("create", "secrets")
REPORTED = ("patch", "toolcredentials/status")


@pytest.fixture
def tenant(testbed: Testbed, admin: KubeApi) -> Iterator[Tenant]:
    tenant = Tenant(testbed, admin)
    yield tenant
    tenant.close()


@pytest.fixture
def fleet(tenant: Tenant) -> dict[str, dict[str, str]]:
    """A hundred credentials that no operator has seen; their expected data by name."""
    expected = {f"c{number}": oauth_data(f"t{number}") for number in range(MANY)}
    for number in range(MANY):
        tenant.store(oauth(f"t{number}"), f"tool{number}")
        tenant.create(f"c{number}", f"tool{number}")
    return expected


def written(testbed: Testbed, admin: KubeApi, tenant: Tenant) -> Counter[tuple[str, str, str]]:
    """Writes in the tenant's namespace by verb, resource and name."""
    return Counter(
        (request.verb, request.resource, request.name)
        for request in requests(testbed, admin)
        if request.namespace == tenant.namespace and request.verb not in {"get", "list", "watch"}
    )


def test_a_start_tells_no_status_twice_and_the_next_writes_nothing(
    testbed: Testbed, admin: KubeApi, tenant: Tenant, fleet: dict[str, dict[str, str]]
) -> None:
    with testbed.operator("first") as operator:
        eventually(lambda: tenant.all_data() == fleet, what="all Secrets are there")
        tenant.await_reason("Synced", f"c{MANY - 1}")
        stop(operator)
    once = Counter((verb, resource, name) for verb, resource in (CREATED, REPORTED) for name in fleet)
    assert written(testbed, admin, tenant) == once
    with testbed.operator("second") as operator:
        synced = 'tolstoy_sync_total{outcome="Synced"}'
        eventually(lambda: operator.metric(synced) >= MANY, what="all were looked at")
        stop(operator)
    assert written(testbed, admin, tenant) == once


class TestWhatHappenedMeanwhile:
    """Each is found at the next start, though no event will ever tell of it."""

    @pytest.fixture
    def left(self, testbed: Testbed, tenant: Tenant) -> Tenant:
        """A tenant with one credential of each kind, whose operator has stopped."""
        for name in ("edited", "deleted", "renamed", "changed", "gone", "kept"):
            tenant.store(api_key(name), name)
            tenant.create(name, name)
        tenant.add_secret("web", metadata={"annotations": {"tolstoy.dev/allow-merge": "merging"}})
        tenant.store(api_key("merging"), "merging")
        target = {"name": "web", "creationPolicy": "Merge", "template": {"TOKEN": "${apiKey}"}}
        tenant.create("merging", "merging", target=target)
        with testbed.operator("before") as operator:
            for name in ("edited", "deleted", "renamed", "changed", "gone", "kept", "merging"):
                tenant.await_reason("Synced", name)
            stop(operator)
        return tenant

    def test_it_is_found_at_the_next_start(self, testbed: Testbed, left: Tenant) -> None:
        before = left.secret("kept")
        left.patch_secret({"stringData": {"apiKey": "typo"}}, "edited")
        left.delete_secret("deleted")
        left.edit("renamed", target={"name": "new-name"})
        left.store(api_key("new"), "changed")
        left.delete("gone")
        left.delete("merging")
        left.store(api_key("added"), "added")
        left.create("added", "added")
        with testbed.operator("after") as operator:
            left.await_data(api_key("edited"), "edited")
            left.await_data(api_key("deleted"), "deleted")
            left.await_data(api_key("renamed"), "new-name")
            left.await_no_secret("renamed")
            left.await_data(api_key("new"), "changed")
            left.await_data(api_key("added"), "added")
            left.await_data({"theirs": "kept"}, "web")
            left.await_no_secret("gone")
            assert left.secret("kept") == before
            stop(operator)

    def test_an_unbound_namespace_keeps_its_secrets_for_the_whole_grace_of_the_next_start(
        self, testbed: Testbed, left: Tenant
    ) -> None:
        """How long a namespace has been unbound is in memory: a restart restarts the grace, and never cuts it short."""
        left.annotate(allowed_orgs=None)
        with testbed.operator("after", UNBIND_GRACE_S="600") as operator:
            left.await_reason("NamespaceNotBound", "kept")
            assert left.data("kept") == api_key("kept")
            stop(operator)


def test_a_secret_that_is_missing_upstream_is_told_once_however_many_starts(
    testbed: Testbed, admin: KubeApi, tenant: Tenant
) -> None:
    tenant.create("waiting")
    with testbed.operator("first") as operator:
        tenant.await_reason("SecretNotFound", "waiting")
        stop(operator)
    with testbed.operator("second") as operator:
        missing = 'tolstoy_sync_total{outcome="SecretNotFound"}'
        eventually(lambda: operator.metric(missing) >= 1, what="it was looked at")
        stop(operator)
    reports = {key: count for key, count in written(testbed, admin, tenant).items() if key[1] != "events"}
    assert reports == {(*REPORTED, "waiting"): 1}
    tenant.store({"accessToken": value("late")})
    with testbed.operator("third") as operator:
        tenant.await_reason("Synced", "waiting")
        stop(operator)


def test_the_chart_grants_everything_that_is_asked_in_a_life(testbed: Testbed, admin: KubeApi, tenant: Tenant) -> None:
    with testbed.operator() as operator:
        tenant.store(oauth())
        tenant.synced()
        tenant.store("not json")
        tenant.await_reason("SecretMalformed")
        operator.get("/status/detailed", token=testbed.plane.token)
        stop(operator)
    # Other tests' namespaces may be on their way out, where nobody may create anything.
    places = {"", NAMESPACE, tenant.namespace}
    asked = [request for request in requests(testbed, admin) if request.namespace in places]
    assert {"secrets", "toolcredentials/status", "events", "leases", "tokenreviews"} <= {one.resource for one in asked}
    assert [request for request in asked if request.code == 403] == []
