"""Helm's whole life of an installation, with pods: nothing is lost, nothing is written for nothing, nobody is away."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dev.chart import CHART
from dev.helmcli import NAMESPACE, RELEASE
from dev.oauth.server import OAuthServer
from dev.testbed import eventually
from tests.e2e.held import Held
from tests.e2e.site import Site, is_leaving
from tests.e2e.tenant import NAME, Tenant
from tolstoy_operator.api.names import FINALIZER

pytestmark = pytest.mark.e2e

Figure = Callable[[str, object], None]

_HARDENING = """
import os
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
try:
    open("/opt/written", "w")
    writable = True
except OSError:
    writable = False
print(os.getuid(), int(status["CapEff"], 16), status["NoNewPrivs"].strip(), status["Seccomp"].strip(), writable)
"""


def test_the_operator_runs_with_nothing_it_does_not_need(installed: Site) -> None:
    assert len(installed.pods()) == 2
    for pod in installed.pods():
        name = pod["metadata"]["name"]
        done = installed.cluster.kubectl("exec", "-n", NAMESPACE, name, "--", "python", "-c", _HARDENING)
        assert done.stdout.split() == ["65532", "0", "1", "2", "False"]


def test_it_is_ready_soon_after_its_start(installed: Site, record_property: Figure) -> None:
    if installed.node is None:
        pytest.skip("processes are only seen on a node of our own")
    (pod, *_) = installed.pods()
    known = {item["metadata"]["uid"] for item in installed.pods()}
    installed.cluster.kubectl("delete", "pod", "-n", NAMESPACE, pod["metadata"]["name"], "--wait=false")
    eventually(lambda: [p for p in installed.pods() if p["metadata"]["uid"] not in known], what="another pod")
    (new,) = (p for p in installed.pods() if p["metadata"]["uid"] not in known)
    uid, name = new["metadata"]["uid"], new["metadata"]["name"]
    node = installed.node
    eventually(lambda: node.container_pids(uid)[1:], what="its container runs", pause=0.01)
    started = time.monotonic()
    probe = ("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{name}:8080/proxy/readyz")
    eventually(lambda: installed.cluster.kubectl(*probe, check=False).returncode == 0, what="it is ready", timeout=60)
    record_property("from the container's start to ready", f"{time.monotonic() - started:.1f} s")


def test_an_upgrade_leaves_no_gap_and_writes_nothing(tenant: Tenant, tmp_path: Path, record_property: Figure) -> None:
    site = tenant.site
    before = tenant.secret()
    chart = chart_with_another_crd(tmp_path)
    with watched_availability(site) as available:
        site.deploy(site.values(**another_image(site)), chart=chart)
        assert {image_of(pod) for pod in site.pods() if not is_leaving(pod)} == {next_image(site)}
        assert "UPGRADED" in site.cluster.kubectl("get", "toolcredentials", "-n", tenant.namespace).stdout
        assert tenant.secret() == before
        tenant.change("after-the-upgrade")
        tenant.await_secret("after-the-upgrade")

        before = tenant.secret()
        site.helm.run("rollback", RELEASE, "--namespace", NAMESPACE, "--wait", "--timeout=3m")
        assert "UPGRADED" not in site.cluster.kubectl("get", "toolcredentials", "-n", tenant.namespace).stdout
        tenant.change("after-the-rollback")
        tenant.await_secret("after-the-rollback")
        assert tenant.secret()["uid"] == before["uid"]
    record_property("looks at an upgrade and a rollback", len(available))
    assert min(available) >= 2


def test_of_three_replicas_one_acts_and_another_takes_over(tenant: Tenant, record_property: Figure) -> None:
    site = tenant.site
    site.deploy(site.values(replicas=3))
    assert len(site.pods()) == 3
    leader = holder(site)
    assert leader in {pod["metadata"]["name"] for pod in site.pods()}
    started = time.monotonic()
    site.cluster.kubectl("delete", "pod", "-n", NAMESPACE, leader, "--force", "--grace-period=0")
    tenant.change("of-the-next-leader")
    tenant.await_secret("of-the-next-leader", timeout=60)
    record_property("a change reaches the Secret although the leader was killed", f"{time.monotonic() - started:.1f} s")
    assert holder(site) != leader


def test_what_an_uninstall_leaves_is_taken_up_again(tenant: Tenant) -> None:
    site = tenant.site
    before = tenant.secret()
    written = len(tenant.writes()) if site.node else 0
    site.uninstall()
    eventually(lambda: site.pods() == [], what="the operator's pods are gone", timeout=90)
    assert site.get("toolcredential", tenant.namespace, NAME)
    assert tenant.secret() == before
    assert tenant.read() == "first"
    site.deploy()
    tenant.change("after-the-return")
    tenant.await_secret("after-the-return", timeout=60)
    assert tenant.secret()["uid"] == before["uid"]
    if site.node:
        assert len(tenant.writes()) == written + 1  # the change, and nothing for the return itself


def test_an_uninstall_lets_go_of_what_the_operator_held_and_revokes_nothing(held: Held) -> None:
    """With the operator alive until Helm takes it away: it would put back what is taken off too early."""
    site, theirs, hook = held.site, "example.com/theirs", f"{RELEASE}-release-finalizers"
    held.change({"op": "add", "path": "/metadata/finalizers/0", "value": theirs})
    assert held.finalizers() == [theirs, FINALIZER]
    before = held.versions()
    site.uninstall()
    eventually(lambda: site.pods() == [], what="the operator's pods are gone", timeout=90)
    assert held.finalizers() == [theirs]
    assert not [kind for kind in ("job", "serviceaccount", "clusterrole") if site.get(kind, NAMESPACE, hook)]
    held.change({"op": "remove", "path": "/metadata/finalizers"})
    held.delete()
    assert (held.family().revoked, held.family().requests) == (False, (0,))
    assert held.versions() == before


@pytest.fixture
def held(site: Site) -> Iterator[Held]:
    if site.node is None:
        pytest.skip("the authorization server is only reached from a node of our own")
    with OAuthServer() as server:
        yield Held(site, site.node, server, "held")
    site.cluster.kubectl("delete", "namespace", "held", "--wait=false")


def another_image(site: Site) -> dict[str, Any]:
    """Values that name the same content by another tag, as far as a node of ours can have one."""
    if site.node is None:
        return {"podAnnotations": {"another": "pod"}}
    site.node.tag_image(site.image, next_image(site))
    repository, _, tag = next_image(site).rpartition(":")
    return {"image": {"repository": repository, "tag": tag}}


def next_image(site: Site) -> str:
    return site.image if site.node is None else f"{site.image}-next"


def image_of(pod: dict[str, Any]) -> str:
    return str(pod["spec"]["containers"][0]["image"])


def holder(site: Site) -> str:
    """The pod that acts."""
    lease = site.get("lease", NAMESPACE, RELEASE) or {}
    return str(lease["spec"]["holderIdentity"]).rpartition("_")[0]


def chart_with_another_crd(directory: Path) -> Path:
    """The chart with one more column in the CRD, which `kubectl get` shows."""
    chart = directory / CHART.name
    shutil.copytree(CHART, chart)
    (crd,) = (chart / "files" / "crds").glob("*.yaml")
    column = "{name: Upgraded, type: string, jsonPath: .metadata.uid}"
    text = crd.read_text()
    changed = re.sub(r"(additionalPrinterColumns:\n( +)- )", rf"\1{column}\n\2- ", text, count=1)
    assert changed != text
    crd.write_text(changed)
    return chart


@contextmanager
def watched_availability(site: Site) -> Iterator[list[int]]:
    """How many replicas the Deployment had available, at every look while the block ran."""
    seen: list[int] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            body = site.get("deployment", NAMESPACE, RELEASE) or {"status": {}}
            seen.append(body["status"].get("availableReplicas", 0))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()
