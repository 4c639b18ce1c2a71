"""The API server goes away and comes back, and watches are cut: nothing that happens meanwhile is lost.

These tests have a control plane of their own, because they take it away.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from dev.testbed import OperatorProcess, Testbed, eventually
from tests.integration.operator.conftest import ALONE, stop
from tests.integration.operator.relay import relayed
from tests.integration.operator.tenant import Tenant, api_key
from tests.support.kubeapi import KubeApi

pytestmark = pytest.mark.integration

CREDENTIALS_EVERYWHERE = "/apis/tolstoy.dev/v1/toolcredentials"


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
def no_apiserver(testbed: Testbed) -> Iterator[None]:
    """While this lasts there is no API server; afterwards there is, however the test went."""
    testbed.plane.stop_apiserver()
    try:
        yield
    finally:
        testbed.plane.start_apiserver()


def waits(operator: OperatorProcess) -> bool:
    """Whether an operator says that it waits for the API server, and is alive but not ready."""
    assert "waiting for the API server" in operator.log.read_text()
    return (operator.get("/readyz")[0], operator.get("/healthz")[0]) == (503, 200)


def test_a_restart_of_it_loses_nothing(testbed: Testbed, tenant: Tenant, operator: OperatorProcess) -> None:
    tenant.synced()
    with no_apiserver(testbed):
        tenant.store(api_key("k2"))
        tenant.store(api_key("new"), "new")
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
    with no_apiserver(testbed):
        assert operator.wait_exit(30) == 1
        operator.start(wait=False)
        eventually(lambda: waits(operator), what="it waits")
    tenant.patch_secret({"stringData": {"apiKey": "typo"}})
    tenant.await_data(api_key(), timeout=60)


def test_it_leaves_while_nothing_has_been_listed_yet(testbed: Testbed) -> None:
    operator = OperatorProcess(testbed.kubeconfig, testbed.environment())
    with closing(operator), no_apiserver(testbed):
        operator.start(wait=False)
        eventually(lambda: waits(operator), what="it waits")
        stop(operator)


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


def is_gone(admin: KubeApi, path: str, version: str) -> bool:
    """Whether a watch from this resourceVersion is answered with 410: what came after it is not remembered any more."""
    answer = admin.get(f"{path}?watch=true&timeoutSeconds=1&resourceVersion={version}")
    return answer.status == 410 or answer.body.get("object", {}).get("code") == 410


def test_watches_whose_place_is_forgotten_start_anew(testbed: Testbed, admin: KubeApi, tenant: Tenant) -> None:
    """HTTP 410: while the operator hangs, the API server loses its memory of what the watches have not yet seen."""
    with testbed.operator(**ALONE) as operator:
        tenant.synced()
        tenant.synced("doomed")
        streams = (CREDENTIALS_EVERYWHERE, "/api/v1/secrets", "/api/v1/namespaces")
        seen = {path: admin.get(f"{path}?limit=1").body["metadata"]["resourceVersion"] for path in streams}
        operator.signal(signal.SIGSTOP)
        tenant.patch_secret({"stringData": {"apiKey": "typo"}})
        tenant.delete("doomed")
        eventually(lambda: tenant.secret("doomed") is None, what="its Secret is gone as well")
        tenant.store(api_key("new"), "new")
        tenant.create("new", "new")
        with no_apiserver(testbed):
            pass
        eventually(lambda: all(is_gone(admin, *place) for place in seen.items()), what="the places are forgotten")
        operator.signal(signal.SIGCONT)
        tenant.await_data(api_key("new"), "new", timeout=60)
        tenant.await_data(api_key())
        assert tenant.secret("doomed") is None
        tenant.patch_secret({"stringData": {"apiKey": "typo"}})
        tenant.await_data(api_key())
        stop(operator)
