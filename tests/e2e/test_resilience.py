"""Parts of a node go away and come back: pods keep their files, and what upstream says reaches the Secret again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dev.helmcli import NAMESPACE
from dev.node import NodeCluster
from dev.testbed import eventually
from tests.e2e.site import Site
from tests.e2e.tenant import Tenant

pytestmark = pytest.mark.e2e

_HOGS = """
import os, time
for _ in range(16):
    if not os.fork():
        kept = bytearray(b"x") * (40 << 20)
        time.sleep(60)
time.sleep(60)
"""
"""Together more than the limit, and each smaller than the operator, which is what the kernel then ends."""

_HEALED = 90.0


@pytest.fixture
def node(site: Site) -> NodeCluster:
    if site.node is None:
        pytest.skip("parts are only taken away from a node of our own")
    return site.node


@pytest.fixture
def healed(
    node: NodeCluster, tenant: Tenant, record_property: Callable[[str, object], None]
) -> Iterator[Callable[[str], None]]:
    """Call it after the fault, with its name: the file is still there, and a change comes through; records how soon."""
    assert tenant.site.node is node  # whose processes show the file without any help of the cluster
    file = tenant.file()
    started = time.monotonic()

    def check(fault: str) -> None:
        assert file.read_text() == "first"
        tenant.change("second")
        tenant.await_secret("second", timeout=_HEALED)
        record_property(f"{fault}: a change reaches the Secret within", f"{time.monotonic() - started:.1f} s")

    yield check
    eventually(lambda: all(is_ready(pod) for pod in tenant.site.pods()), what="all replicas are ready", timeout=120)


def is_ready(pod: dict[str, object]) -> bool:
    status = pod["status"]
    assert isinstance(status, dict)
    return any(item["type"] == "Ready" and item["status"] == "True" for item in status.get("conditions", []))


def operator_pids(site: Site, node: NodeCluster) -> list[int]:
    """The operator's processes, of all replicas, as this machine numbers them."""
    pids = [pid for pod in site.pods() for pid in node.container_pids(pod["metadata"]["uid"])]
    return [pid for pid in pids if b"tolstoy_operator" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_both_operators_are_killed(tenant: Tenant, node: NodeCluster, healed: Callable[[str], None]) -> None:
    pids = operator_pids(tenant.site, node)
    assert len(pids) == 2
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    healed("both operators killed")


def test_the_operator_runs_out_of_memory(tenant: Tenant, healed: Callable[[str], None]) -> None:
    for pod in tenant.site.pods():
        name = pod["metadata"]["name"]
        tenant.site.cluster.kubectl("exec", "-n", NAMESPACE, name, "--", "python", "-c", _HOGS, check=False)
    eventually(lambda: set(last_ends(tenant.site)) == {"OOMKilled"}, what="both ran out of memory", timeout=60)
    healed("both operators out of memory")


def last_ends(site: Site) -> list[str]:
    """Why the container of each replica ended last; empty when it never did."""
    states = [pod["status"]["containerStatuses"][0] for pod in site.pods()]
    return [
        next((s["terminated"]["reason"] for s in (item["state"], item["lastState"]) if "terminated" in s), "")
        for item in states
    ]


def test_the_kubelet_restarts(tenant: Tenant, node: NodeCluster, healed: Callable[[str], None]) -> None:
    before = {pod["metadata"]["uid"]: node.container_pids(pod["metadata"]["uid"]) for pod in tenant.site.pods()}
    node.stop_kubelet()
    node.start_kubelet()
    healed("kubelet restarted")
    assert {uid: node.container_pids(uid) for uid in before} == before


def test_the_api_server_restarts(tenant: Tenant, node: NodeCluster, healed: Callable[[str], None]) -> None:
    before = tenant.secret()
    node.restart_apiserver()
    assert tenant.secret() == before
    healed("API server restarted")


def test_secrets_manager_is_away(tenant: Tenant, healed: Callable[[str], None]) -> None:
    before = tenant.secret()
    tenant.site.aws.stop()
    try:
        time.sleep(5)  # the outage itself; some sweeps fail in it
        assert tenant.secret() == before
        assert tenant.file().read_text() == "first"
    finally:
        tenant.site.aws.start()
    healed("Secrets Manager away for 5 s")
