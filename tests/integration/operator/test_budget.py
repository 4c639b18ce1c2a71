"""What a credential may cost the API server and the account: writes are counted in the audit log, calls upstream."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from dev.testbed import OperatorProcess, Testbed, eventually
from tests.integration.operator.budget import requests, writes
from tests.integration.operator.tenant import Tenant, api_key, oauth, oauth_data, value
from tests.support.kubeapi import KubeApi

pytestmark = pytest.mark.integration

STATUS = "patch toolcredentials/status"

Look = Callable[..., None]

_numbers = itertools.count()


@pytest.fixture
def count(testbed: Testbed, admin: KubeApi, tenant: Tenant) -> Count:
    return Count(testbed, admin, tenant)


@pytest.fixture
def look_again(tenant: Tenant, operator: OperatorProcess) -> Look:
    """Has the operator look at the tenant's credential for a reason that changes nothing, and waits until it has."""

    def look(outcome: str = "Synced") -> None:
        series = f'tolstoy_sync_total{{outcome="{outcome}"}}'
        before = operator.metric(series)
        tenant.annotate(allowed_orgs=f"{tenant.org},another-{next(_numbers)}")
        eventually(lambda: operator.metric(series) > before, what="it was looked at again")

    return look


class Count:
    """The writes in the tenant's namespace, by kind, since the last time that somebody asked."""

    def __init__(self, testbed: Testbed, admin: KubeApi, tenant: Tenant) -> None:
        self._testbed = testbed
        self._admin = admin
        self._tenant = tenant
        self._before: dict[str, int] = {}

    def __call__(self) -> dict[str, int]:
        now = writes(self._testbed, self._admin, self._tenant.namespace)
        news = {kind: number - self._before.get(kind, 0) for kind, number in now.items()}
        self._before = dict(now)
        return {kind: number for kind, number in news.items() if number}


def test_a_new_credential_costs_one_secret_and_one_status(tenant: Tenant, count: Count, look_again: Look) -> None:
    tenant.store(oauth())
    tenant.synced()
    look_again()
    assert count() == {"create secrets": 1, STATUS: 1}


def test_a_change_upstream_costs_one_patch_and_one_status(tenant: Tenant, count: Count) -> None:
    tenant.store(oauth())
    tenant.synced()
    count()
    tenant.store(oauth("t2"))
    tenant.await_reason("Synced")
    eventually(lambda: tenant.status()["upstream"]["versionId"] == tenant.version(), what="the status has the version")
    assert count() == {"patch secrets": 1, STATUS: 1}


def test_a_look_that_finds_nothing_new_writes_nothing(tenant: Tenant, count: Count, look_again: Look) -> None:
    tenant.store(oauth())
    tenant.synced()
    count()
    look_again()
    look_again()
    assert count() == {}


def test_a_reverted_edit_costs_one_patch(tenant: Tenant, count: Count, look_again: Look) -> None:
    tenant.store(api_key())
    tenant.synced()
    count()
    tenant.patch_secret({"stringData": {"apiKey": "typo"}})
    tenant.await_data(api_key())
    look_again()
    assert count().pop("patch secrets") == 1


def test_a_problem_costs_one_status_and_one_event(tenant: Tenant, count: Count, look_again: Look) -> None:
    tenant.store(api_key())
    tenant.synced()
    count()
    tenant.store("not json")
    tenant.await_reason("SecretMalformed")
    look_again("SecretMalformed")
    eventually(lambda: len(tenant.events()) == 1, what="there is an Event")
    assert count() == {STATUS: 1, "create events": 1}


def test_events_tell_transitions_only(tenant: Tenant, look_again: Look) -> None:
    tenant.store(api_key())
    tenant.synced()
    assert tenant.events() == []
    for document, reason in (("not json", "SecretMalformed"), ({"a": "b"}, "SecretMalformed"), (api_key(), "Synced")):
        tenant.store(document)
        tenant.await_reason(reason)
        look_again(reason)
    eventually(lambda: len(tenant.events()) >= 2, what="there are Events")
    told = sorted((event["type"], event["reason"]) for event in tenant.events())
    assert told == [("Normal", "Synced"), ("Warning", "SecretMalformed")]
    assert {event["regarding"]["name"] for event in tenant.events()} == {"github"}


def test_retries_of_what_stays_as_it_is_write_nothing(tenant: Tenant, count: Count, operator: OperatorProcess) -> None:
    tenant.create()
    tenant.await_reason("SecretNotFound")
    eventually(lambda: len(tenant.events()) == 1, what="its Event, which comes after the status")
    count()
    before = operator.metric('tolstoy_sync_total{outcome="SecretNotFound"}')
    eventually(
        lambda: operator.metric('tolstoy_sync_total{outcome="SecretNotFound"}') >= before + 2, what="it was retried"
    )
    assert count() == {}


def test_nothing_is_read_from_the_api_server_object_by_object(testbed: Testbed, admin: KubeApi, tenant: Tenant) -> None:
    tenant.store(oauth())
    tenant.synced()
    tenant.store(oauth("t2"))
    tenant.await_data({**(tenant.data() or {}), "accessToken": value("t2")})
    reads = {
        (request.verb, request.resource)
        for request in requests(testbed, admin)
        if request.namespace == tenant.namespace and request.verb == "get"
    }
    assert reads == set()


def test_metrics_name_no_credential_unless_that_is_asked_for(tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.store(oauth())
    tenant.synced()
    text = operator.get("/metrics")[1]
    assert tenant.namespace not in text
    assert tenant.org not in text


def test_two_hundred_credentials_on_one_upstream_secret_are_read_together(tenant: Tenant, testbed: Testbed) -> None:
    tenant.store(oauth())
    names = [f"c{number}" for number in range(200)]
    for name in names:
        tenant.create(name)
    expected = {name: oauth_data() for name in names}
    eventually(lambda: tenant.all_data() == expected, what="all Secrets are there", timeout=90)
    testbed.aws.reset_calls()
    tenant.store(oauth("t2"))
    expected = {name: oauth_data("t2") for name in names}
    eventually(lambda: tenant.all_data() == expected, what="all Secrets hold the new token", timeout=90)
    calls = testbed.aws.calls()
    assert calls["GetSecretValue"] + calls["BatchGetSecretValue"] == 1
