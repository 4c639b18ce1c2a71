"""Several replicas, and one that leaves: who acts, who takes over, and how soon."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from dev.helmcli import NAMESPACE
from dev.testbed import OperatorProcess, Testbed, eventually
from tests.integration.operator.conftest import stop
from tests.integration.operator.tenant import Tenant, api_key
from tests.support.kubeapi import KubeApi

pytestmark = pytest.mark.integration

LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/tolstoy-operator"

Replicas = tuple[OperatorProcess, OperatorProcess]


@pytest.fixture
def tenant(testbed: Testbed, admin: KubeApi) -> Iterator[Tenant]:
    """A tenant, with no operator yet."""
    tenant = Tenant(testbed, admin)
    tenant.store(api_key())
    yield tenant
    tenant.close()


def holder(admin: KubeApi) -> str:
    """Who has the Lease; empty when nobody does."""
    return str((admin.get(LEASE).body.get("spec") or {}).get("holderIdentity") or "")


@pytest.fixture
def replicas(testbed: Testbed, admin: KubeApi) -> Iterator[Replicas]:
    """Two of them, of which the first leads."""
    with testbed.operator("first") as first:
        eventually(lambda: holder(admin).startswith("first"), what="the first one leads")
        with testbed.operator("second") as second:
            yield first, second
            if second.returncode is None:
                stop(second)
        if first.returncode is None:
            stop(first)


CALLS = ("GetSecretValue", "BatchGetSecretValue", "ListSecrets")


def calls(replica: OperatorProcess) -> float:
    """The calls to Secrets Manager that it has made."""
    return sum(replica.metric(f'tolstoy_upstream_calls_total{{operation="{one}",outcome="ok"}}') for one in CALLS)


def test_only_one_of_them_acts(replicas: Replicas, tenant: Tenant) -> None:
    tenant.synced()
    leader, standby = replicas
    assert calls(leader) > 0
    assert calls(standby) == 0
    assert [replica.metric("tolstoy_leader") for replica in replicas] == [1, 0]
    assert [replica.get("/readyz")[0] for replica in replicas] == [200, 200]


def test_a_standby_takes_over_when_the_leader_is_killed(replicas: Replicas, tenant: Tenant, admin: KubeApi) -> None:
    tenant.synced()
    replicas[0].kill()
    tenant.store(api_key("k2"))
    tenant.patch_secret({"stringData": {"extra": "x"}})
    tenant.await_data(api_key("k2"), timeout=25)
    assert holder(admin).startswith("second")


def test_a_standby_takes_over_at_once_when_the_leader_leaves(replicas: Replicas, tenant: Tenant) -> None:
    tenant.synced()
    stop(replicas[0])
    tenant.store(api_key("k2"))
    tenant.await_data(api_key("k2"), timeout=9)


def test_a_leader_that_was_stopped_for_too_long_ends(replicas: Replicas, tenant: Tenant, admin: KubeApi) -> None:
    """It comes to with its leadership long over, and must not go on as if nothing had happened."""
    tenant.synced()
    leader, _ = replicas
    leader.signal(signal.SIGSTOP)
    eventually(lambda: holder(admin).startswith("second"), what="the second one leads")
    leader.signal(signal.SIGCONT)
    assert leader.wait_exit(15) == 1
    tenant.store(api_key("k2"))
    tenant.await_data(api_key("k2"))
    ours = [record for record in leader.records() if record["logger"].startswith("tolstoy_operator")]
    assert [record["msg"] for record in ours if "exc" in record] == ["ended"]


def test_one_that_is_told_to_leave_under_load_leaves_the_rest_to_the_next(
    testbed: Testbed, admin: KubeApi, tenant: Tenant
) -> None:
    names = {f"c{number}" for number in range(150)}
    for name in names:
        tenant.create(name)
    with testbed.operator("leaving", WORKERS="1") as leaving:
        eventually(lambda: len(tenant.all_data()) > 5, what="it is at work")
        stop(leaving)
    assert holder(admin) == ""
    assert tenant.all_data().keys() < names, "there is work left"
    with testbed.operator("next") as following:
        eventually(lambda: tenant.all_data().keys() == names, what="the next one does the rest")
        for name in names:
            tenant.await_reason("Synced", name)
        stop(following)
