"""Install, upgrade, roll back, uninstall and install again: the tenants' credentials stay through all of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.chart import CHART
from dev.controlplane import ControlPlane
from dev.helmcli import DEFAULT_VALUES, NAMESPACE, RELEASE, Helm
from tests.support import docs
from tests.support.chartfiles import with_overrides
from tests.support.kubeapi import CREDENTIALS, KubeApi, credential

pytestmark = pytest.mark.integration

CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/toolcredentials.tolstoy.dev"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{RELEASE}"
GITHUB = f"{CREDENTIALS.format('team-a')}/github"
NEW_COLUMN = {"name": "Novelty", "type": "string", "jsonPath": ".status.novelty"}


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """Of its own: these tests take away what others stand on."""
    with ControlPlane() as plane:
        yield plane


@pytest.fixture
def admin(plane: ControlPlane) -> Iterator[KubeApi]:
    with KubeApi(plane, plane.token) as admin:
        yield admin


@pytest.fixture
def helm(plane: ControlPlane, admin: KubeApi) -> Iterator[Helm]:
    """Helm with the chart installed and a tenant's credential there; all of it is gone afterwards."""
    helm = Helm(plane)
    helm.install()
    namespace = {"metadata": {"name": "team-a", "annotations": {"tolstoy.dev/allowed-orgs": "org-abc123"}}}
    admin.post("/api/v1/namespaces", namespace)
    assert admin.post(CREDENTIALS.format("team-a"), credential("github", tool="github", orgId="org-abc123")).ok
    yield helm
    helm.run("uninstall", RELEASE, "--namespace", NAMESPACE, "--no-hooks", "--ignore-not-found")
    plane.kubectl("delete", "crd", "toolcredentials.tolstoy.dev", "--ignore-not-found")


@pytest.fixture
def next_chart(tmp_path: Path) -> Path:
    """The chart of a release to come, whose CRD has another column."""
    chart = tmp_path / "tolstoy-operator"
    shutil.copytree(CHART, chart)
    (path,) = (chart / "files" / "crds").iterdir()
    crd = yaml.safe_load(path.read_text())
    crd["spec"]["versions"][0]["additionalPrinterColumns"].append(NEW_COLUMN)
    path.write_text(yaml.safe_dump(crd))
    description = yaml.safe_load((chart / "Chart.yaml").read_text()) | {"version": "9.0.0", "appVersion": "9.0.0"}
    (chart / "Chart.yaml").write_text(yaml.safe_dump(description))
    return chart


def columns(admin: KubeApi) -> list[str]:
    return [column["name"] for column in admin.get(CRD).body["spec"]["versions"][0]["additionalPrinterColumns"]]


def image(admin: KubeApi) -> str:
    containers: list[dict[str, Any]] = admin.get(DEPLOYMENT).body["spec"]["template"]["spec"]["containers"]
    return str(containers[0]["image"])


def test_an_upgrade_changes_the_crd_and_a_rollback_changes_it_back(
    helm: Helm, admin: KubeApi, next_chart: Path
) -> None:
    uid = admin.get(GITHUB).body["metadata"]["uid"]
    before, old_image = columns(admin), image(admin)
    helm.install(chart=str(next_chart))
    assert columns(admin) == [*before, "Novelty"]
    assert image(admin).endswith(":9.0.0")
    helm.run("rollback", RELEASE, "--namespace", NAMESPACE, "--no-hooks")
    assert columns(admin) == before
    assert image(admin) == old_image
    assert admin.get(GITHUB).body["metadata"]["uid"] == uid


def test_an_upgrade_that_changes_nothing_starts_no_new_pods(helm: Helm, admin: KubeApi) -> None:
    before = admin.get(DEPLOYMENT).body["metadata"]["generation"]
    helm.install()
    assert admin.get(DEPLOYMENT).body["metadata"]["generation"] == before


def test_a_changed_setting_starts_new_pods(helm: Helm, admin: KubeApi) -> None:
    before = admin.get(DEPLOYMENT).body["metadata"]["generation"]
    helm.install(with_overrides(dict(DEFAULT_VALUES), {"sync": {"workers": 64}}))
    assert admin.get(DEPLOYMENT).body["metadata"]["generation"] > before


def test_an_uninstall_leaves_the_credentials_and_a_new_install_finds_them(helm: Helm, admin: KubeApi) -> None:
    uid = admin.get(GITHUB).body["metadata"]["uid"]
    helm.uninstall()
    assert admin.get(DEPLOYMENT).status == 404
    assert admin.get(GITHUB).body["metadata"]["uid"] == uid
    helm.install()
    assert admin.get(DEPLOYMENT).ok
    assert admin.get(GITHUB).body["metadata"]["uid"] == uid


def test_an_uninstall_leaves_nothing_else(helm: Helm, plane: ControlPlane) -> None:
    helm.uninstall()
    kinds = (
        "deployments,services,serviceaccounts,networkpolicies,poddisruptionbudgets,roles,rolebindings,"
        "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings,jobs"
    )
    left = plane.kubectl("get", kinds, "--all-namespaces", "-l", f"app.kubernetes.io/instance={RELEASE}", "-o", "name")
    assert left.stdout == ""


def test_without_the_crd_value_an_upgrade_still_keeps_the_crd(helm: Helm, admin: KubeApi) -> None:
    helm.install(with_overrides(dict(DEFAULT_VALUES), {"crds": {"install": False}}))
    assert admin.get(CRD).ok
    assert admin.get(GITHUB).ok


def test_the_embedded_stores_volume_stays(helm: Helm, admin: KubeApi) -> None:
    claim = f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims/{RELEASE}"
    helm.install({"replicas": 1, "store": {"kind": "SQLite"}})
    uid = admin.get(claim).body["metadata"]["uid"]
    helm.uninstall()
    helm.install({"replicas": 1, "store": {"kind": "SQLite"}})
    assert admin.get(claim).body["metadata"]["uid"] == uid


def test_a_second_release_is_refused(helm: Helm) -> None:
    done = helm.run(
        *("install", "another", str(CHART), "--namespace", "elsewhere", "--create-namespace", "--no-hooks"),
        values=DEFAULT_VALUES,
        check=False,
    )
    assert done.returncode != 0
    assert "exists and cannot be imported into the current release" in done.stderr


def test_a_release_of_another_name_takes_over_what_an_uninstall_left(helm: Helm, admin: KubeApi) -> None:
    helm.uninstall()
    install = ("install", "another", str(CHART), "--namespace", "elsewhere", "--create-namespace", "--no-hooks")
    assert helm.run(*install, values=DEFAULT_VALUES, check=False).returncode != 0
    helm.run(*install, "--take-ownership", values=DEFAULT_VALUES)
    assert admin.get(GITHUB).ok
    helm.run("uninstall", "another", "--namespace", "elsewhere", "--no-hooks")


@pytest.mark.skipif(shutil.which("jq") is None, reason="the page's command uses jq")
def test_the_installation_pages_command_takes_the_finalizer_off(
    helm: Helm, plane: ControlPlane, admin: KubeApi
) -> None:
    helm.uninstall()
    assert admin.patch(GITHUB, {"metadata": {"finalizers": ["example.com/theirs", "tolstoy.dev/revoke"]}}).ok
    (command,) = re.findall(
        r"^\$ (kubectl get toolcredentials .*?)^```$", docs.text("install.md"), re.DOTALL | re.MULTILINE
    )
    path = f"{plane.binaries.kubectl.parent}:{os.environ['PATH']}"
    subprocess.run(
        ["bash", "-ec", command],
        env={"KUBECONFIG": str(plane.kubeconfig), "PATH": path, "HOME": str(plane.dir)},
        check=True,
    )
    assert admin.get(GITHUB).body["metadata"]["finalizers"] == ["example.com/theirs"]
    assert admin.patch(GITHUB, {"metadata": {"finalizers": None}}).ok
