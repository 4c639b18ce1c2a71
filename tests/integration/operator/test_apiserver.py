"""The API server goes away and comes back, and watches are cut: nothing that happens meanwhile is lost.

These tests have a control plane of their own, because they take it away.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dev.testbed import OperatorProcess, Testbed, eventually
from tests.integration.operator.conftest import stop
from tests.integration.operator.relay import relayed
from tests.integration.operator.tenant import Tenant, api_key
from tests.support.kubeapi import KubeApi

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def testbed() -> Iterator[Testbed]:
    with Testbed(audit=True) as bed:
        yield bed


@pytest.fixture(scope="module")
def admin(testbed: Testbed) -> Iterator[KubeApi]:
    with KubeApi(testbed.plane, testbed.plane.token) as api:
        yield api


@pytest.fixture
def operator(testbed: Testbed) -> Iterator[OperatorProcess]:
    with testbed.operator() as process:
        yield process
        stop(process)


@pytest.fixture
def tenant(testbed: Testbed, admin: KubeApi) -> Iterator[Tenant]:
    """A tenant, with no operator yet."""
    tenant = Tenant(testbed, admin)
    tenant.store(api_key())
    yield tenant
    tenant.close()


@contextmanager
def starting(testbed: Testbed) -> Iterator[OperatorProcess]:
    """An operator that is not waited for."""
    operator = OperatorProcess(testbed.kubeconfig, testbed.environment())
    try:
        yield operator.start(wait=False)
    finally:
        operator.close()


def test_a_restart_of_it_loses_nothing(testbed: Testbed, tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.synced()
    testbed.plane.stop_apiserver()
    tenant.store(api_key("k2"))
    tenant.store(api_key("new"), "new")
    testbed.plane.start_apiserver()
    tenant.create("new", "new")

    def recovered() -> bool:
        if operator.returncode is not None:  # losing the Lease ends a process; Kubernetes starts it again
            operator.start()
        return tenant.all_data() == {"github": api_key("k2"), "new": api_key("new")}

    eventually(recovered, what="all that happened meanwhile is done", timeout=60)
    tenant.patch_secret({"stringData": {"apiKey": "typo"}})
    tenant.await_data(api_key("k2"))


def test_a_process_whose_lease_runs_out_ends_and_the_next_one_waits_for_the_api_server(
    testbed: Testbed, tenant: Tenant, operator: OperatorProcess
) -> None:
    tenant.synced()
    testbed.plane.stop_apiserver()
    assert operator.wait_exit(30) == 1
    operator.start(wait=False)
    eventually(lambda: "waiting for the API server" in operator.log.read_text(), what="it says that it waits")
    assert operator.get("/readyz")[0] == 503
    assert operator.get("/healthz")[0] == 200
    testbed.plane.start_apiserver()
    tenant.patch_secret({"stringData": {"apiKey": "typo"}})
    tenant.await_data(api_key(), timeout=60)


def test_it_leaves_while_nothing_has_been_listed_yet(testbed: Testbed) -> None:
    testbed.plane.stop_apiserver()
    try:
        with starting(testbed) as operator:
            eventually(lambda: "waiting for the API server" in operator.log.read_text(), what="it says that it waits")
            stop(operator)
    finally:
        testbed.plane.start_apiserver()


def test_watches_that_are_cut_are_resumed(testbed: Testbed, tenant: Tenant, tmp_path: Path) -> None:
    with relayed(testbed, tmp_path) as (relay, kubeconfig):
        with OperatorProcess(kubeconfig, testbed.environment()) as operator:
            tenant.synced()
            for number in range(3):
                assert relay.cut() >= 3, "the watches go through here"
                tenant.patch_secret({"stringData": {"apiKey": "typo"}})
                tenant.store(api_key(str(number)), f"tool{number}")
                tenant.create(f"c{number}", f"tool{number}")
                tenant.await_data(api_key())
                tenant.await_data(api_key(str(number)), f"c{number}")
            stop(operator)
