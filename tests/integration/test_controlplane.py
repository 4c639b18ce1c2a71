"""The control plane is real, keeps what it is given, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dev.controlplane import ControlPlane
from tests.support.processes import running_in

pytestmark = pytest.mark.integration

CRD: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "owners.example.dev"},
    "spec": {
        "group": "example.dev",
        "scope": "Namespaced",
        "names": {"plural": "owners", "singular": "owner", "kind": "Owner"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }
        ],
    },
}
OWNER = {"apiVersion": "example.dev/v1", "kind": "Owner", "metadata": {"name": "it", "namespace": "default"}}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    crd = tmp_path_factory.mktemp("crds") / "owners.json"
    crd.write_text(json.dumps(CRD))
    with ControlPlane(audit=True, crds=[crd]) as running:
        yield running


def eventually(condition: Callable[[], object], *, within: float = 20) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def test_it_says_its_version(plane: ControlPlane) -> None:
    version = json.loads(plane.kubectl("version", "--output=json").stdout)
    server = version["serverVersion"]
    assert server["gitVersion"] == version["clientVersion"]["gitVersion"]
    assert server["gitVersion"].startswith(f"v{server['major']}.{server['minor']}.")


def test_objects_and_clients_survive_a_restart_of_the_api_server(plane: ControlPlane) -> None:
    address = plane.url
    plane.kubectl("create", "namespace", "before")
    plane.stop_apiserver()
    assert plane.kubectl("get", "namespaces", check=False).returncode != 0
    plane.start_apiserver()
    assert plane.url == address
    plane.kubectl("get", "namespace", "before")
    plane.kubectl("create", "namespace", "after")
    account = ("get", "serviceaccount", "default", "--namespace=after")
    eventually(lambda: plane.kubectl(*account, check=False).returncode == 0)  # the controller manager is back too


def test_rights_are_checked(plane: ControlPlane) -> None:
    config = plane.kubeconfig_for("default", "default")
    who = json.loads(plane.kubectl("auth", "whoami", "--output=json", kubeconfig=config).stdout)
    assert who["status"]["userInfo"]["username"] == "system:serviceaccount:default:default"
    with pytest.raises(subprocess.CalledProcessError) as caught:
        plane.kubectl("get", "secrets", kubeconfig=config)
    assert "is forbidden" in caught.value.__notes__[0]


def test_what_is_owned_goes_with_its_owner(plane: ControlPlane) -> None:
    plane.kubectl("create", "--filename=-", stdin=json.dumps(OWNER))
    uid = plane.kubectl("get", "owner", "it", "--output=jsonpath={.metadata.uid}").stdout
    reference = {"apiVersion": "example.dev/v1", "kind": "Owner", "name": "it", "uid": uid}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "its", "namespace": "default", "ownerReferences": [reference]},
    }
    plane.kubectl("create", "--filename=-", stdin=json.dumps(secret))
    plane.kubectl("delete", "owner", "it")
    eventually(lambda: plane.kubectl("get", "secret", "its", check=False).returncode != 0)


def test_requests_are_counted(plane: ControlPlane) -> None:
    def count() -> int:
        return plane.requests(user="admin", agent="kubectl/", verb="create", resource="configmaps")

    seen = count()
    plane.kubectl("create", "configmap", "counted")
    eventually(lambda: count() == seen + 1)
    assert plane.requests(user="system:kube-controller-manager", verb="watch") > 0


def test_two_planes_know_nothing_of_each_other(plane: ControlPlane) -> None:
    with ControlPlane() as other:
        assert other.url != plane.url
        other.kubectl("create", "namespace", "only-there")
        assert plane.kubectl("get", "namespace", "only-there", check=False).returncode != 0
        denied = plane.kubectl("get", "namespaces", f"--server={other.url}", check=False)
        assert denied.returncode != 0  # neither its authority nor its token is known there
        assert running_in(other.dir) == ["etcd", "kube-apiserver", "kube-controller"]
    assert running_in(other.dir) == []
    assert not other.dir.exists()
    plane.kubectl("get", "namespaces")


def test_what_is_built_is_told_by_its_name() -> None:
    command = [sys.executable, "-m", "dev.controlplane", "build", "--helm"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    told = dict(line.split(": ") for line in done.stdout.splitlines())
    assert told.keys() == {"control plane", "Helm and kubeconform"}
    assert (Path(told["control plane"]) / "kubectl").exists()
    assert (Path(told["Helm and kubeconform"]) / "helm").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_nothing_is_left_when_the_command_ends(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "dev.controlplane", "up"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as up:
        assert up.stdout
        name, _, value = up.stdout.readline().strip().removeprefix("export ").partition("=")
        directory = Path(value).parent
        assert name == "KUBECONFIG"
        assert len(running_in(directory)) == 3
        os.kill(up.pid, number)
        up.wait(20)
    eventually(lambda: running_in(directory) == [])
    assert directory.exists() == (number == signal.SIGKILL)
    if directory.exists():
        shutil.rmtree(directory)
