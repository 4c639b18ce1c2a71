"""A node on this machine runs pods, and leaves nothing when it is gone, however it goes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.controlplane.gobuild import to_stderr
from dev.node import NodeCluster, configs, kept
from dev.node.namespaces import cgroups
from dev.testbed import eventually
from tests.support.machinestate import processes_beside, running, snapshot

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("able")]


@pytest.fixture
def own_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A kept cluster of this test's own, whatever cluster the working tree has."""
    monkeypatch.setenv(kept.FILE_VARIABLE, str(tmp_path / "cluster.json"))
    yield
    kept.down(to_stderr)


def start_a_pod(cluster: NodeCluster) -> str:
    """Run a pod of the one image that every node has. Returns its UID."""
    container = {"name": "pause", "image": configs.PAUSE, "imagePullPolicy": "Never"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pause", "namespace": "default"},
        "spec": {"containers": [container]},
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/pause", "--timeout=60s")
    return cluster.kubectl("get", "pod", "pause", "-o", "jsonpath={.metadata.uid}").stdout


def test_pods_run_and_nothing_is_left() -> None:
    before = snapshot()
    with NodeCluster() as cluster:
        uid = start_a_pod(cluster)
        pids = {*cluster.container_pids(uid), *processes_beside(cluster.holder)}
        assert len(pids) > 8  # the pod's two, the cluster's six, and what holds them
        assert cgroups(cluster.cgroup)
        assert snapshot() == before  # not even while it runs
    assert running(pids) == set()
    assert cgroups(cluster.cgroup) == []
    assert not cluster.dir.exists()
    assert snapshot() == before


def test_two_nodes_run_side_by_side() -> None:
    with NodeCluster() as one, NodeCluster() as other:
        start_a_pod(one)
        start_a_pod(other)
        assert one.cgroup != other.cgroup
        one.stop()
        other.kubectl("get", "pod", "pause")
        assert cgroups(one.cgroup) == []
        assert cgroups(other.cgroup)


def test_a_restarted_kubelet_keeps_its_containers() -> None:
    with NodeCluster() as cluster:
        uid = start_a_pod(cluster)
        pids = cluster.container_pids(uid)
        cluster.stop_kubelet()
        cluster.start_kubelet()
        assert cluster.container_pids(uid) == pids


@pytest.mark.usefixtures("own_tree")
def test_a_kept_cluster_whose_keeper_is_killed_is_cleared_away() -> None:
    before = snapshot()
    subprocess.run([sys.executable, "-m", "dev.node", "up"], check=True)
    found = kept.find()
    assert found
    assert found.alive
    subprocess.run([sys.executable, "-m", "dev.node", "up"], check=True)
    assert kept.find() == found
    pids = processes_beside(found.holder)
    assert len(pids) > 6
    os.kill(found.keeper, signal.SIGKILL)
    eventually(lambda: not running(pids), what="everything ends with the keeper")
    kept.down(to_stderr)
    assert cgroups(Path(found.dir).name) == []
    assert not Path(found.dir).exists()
    assert kept.find() is None
    assert snapshot() == before


@pytest.mark.usefixtures("own_tree")
def test_an_interrupted_start_leaves_nothing() -> None:
    before = snapshot()
    command = [sys.executable, "-m", "dev.node", "up"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as up:
        assert up.stderr
        assert any("control plane" in line for line in iter(up.stderr.readline, ""))
        up.send_signal(signal.SIGINT)
        assert up.wait(60) == 130
    assert kept.find() is None
    assert snapshot() == before
