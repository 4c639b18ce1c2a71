"""Where the tests run: a cluster with nodes, Helm, an image that the nodes have, a Secrets Manager that pods reach."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.chart import CHART
from dev.controlplane import Binaries, find_or_build
from dev.controlplane.gobuild import Progress
from dev.controlplane.reach import Cluster, run_kubectl
from dev.helmcli import NAMESPACE, RELEASE, Helm
from dev.image import build
from dev.node import NodeCluster
from dev.secretsmanager import SecretsManagerServer
from dev.testbed import eventually
from dev.testbed.view import ClusterView

CONTEXT, IMAGE, HOST = "CONTEXT", "IMAGE", "HOST_ADDRESS"
"""Environment variables with which somebody's cluster is named on purpose: the context of its kubeconfig (KUBECONFIG),
an image of the operator that its nodes can get, and the address at which its pods reach this machine."""

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
MOUNT = "/credential"


@dataclass
class Site(ClusterView):
    """One place for all tests of a session. `node` is the node itself, where it is ours."""

    cluster: Cluster
    helm: Helm
    aws: SecretsManagerServer
    endpoint: str
    image: str
    node: NodeCluster | None = None

    def __post_init__(self) -> None:
        super().__init__(self.cluster)

    def values(self, **more: Any) -> dict[str, Any]:
        """Values of the chart: the image, the stand-in, and otherwise the defaults, but for what `more` says."""
        repository, _, tag = self.image.rpartition(":")
        environment = self.aws.env() | {"AWS_ENDPOINT_URL": self.endpoint}
        return {
            "image": {"repository": repository, "tag": tag},
            "store": {"region": self.aws.region},
            "sync": {"sweepIntervalSeconds": 1},
            "extraEnv": [{"name": name, "value": value} for name, value in environment.items() if "REGION" not in name],
            **more,
        }

    def deploy(self, values: Mapping[str, Any] | None = None, *, chart: Path = CHART) -> None:
        """Install or upgrade, and return when all is ready; pods of before, which Helm does not await, are gone."""
        options = ("--namespace", NAMESPACE, "--create-namespace", "--wait", "--timeout=3m")
        self.helm.run("upgrade", "--install", RELEASE, str(chart), *options, values=values or self.values())
        eventually(lambda: not any(map(is_leaving, self.pods())), what="replaced pods are gone", timeout=120)

    def uninstall(self) -> None:
        """Take the release away, hooks included."""
        self.helm.run("uninstall", RELEASE, "--namespace", NAMESPACE, "--wait", "--timeout=2m")

    def namespace(self, name: str, **annotations: str) -> None:
        """A tenant's namespace with restricted Pod security, bound by `tolstoy.dev/` annotations."""
        pairs = {f"tolstoy.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
        metadata = {"name": name, "labels": RESTRICTED, "annotations": pairs}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def pods(self, namespace: str = NAMESPACE) -> list[dict[str, Any]]:
        """The pods of a namespace; the operator's by default."""
        return self.all("pod", namespace)

    def consumer(self, namespace: str, name: str, secret: str) -> None:
        """A pod under restricted Pod security that mounts the Secret at MOUNT, and is running when this returns."""
        self.apply(_consumer(namespace, name, secret, self.image))
        self.cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "-n", namespace, "--timeout=90s")

    def read(self, namespace: str, pod: str, key: str) -> str:
        """What a program in the pod reads from the mounted Secret's file."""
        program = f"print(open({f'{MOUNT}/{key}'!r}).read(), end='')"
        return self.cluster.kubectl("exec", "-n", namespace, pod, "--", "python", "-c", program).stdout


def is_leaving(pod: Mapping[str, Any]) -> bool:
    """Whether it was deleted, and its containers may still run."""
    return "deletionTimestamp" in pod["metadata"]


@contextlib.contextmanager
def own_site(progress: Progress) -> Iterator[Site]:
    """A node of our own. Raises `MachineError`, `ImageError` or `BaseError` where it cannot be."""
    image = build(progress)
    with NodeCluster(audit=True, progress=progress) as node, SecretsManagerServer() as aws:
        node.load(image.archive)
        endpoint = f"http://{node.forward_out(aws.port)}"
        yield Site(node, Helm(node), aws, endpoint, image.name, node)


@dataclass(frozen=True)
class GivenCluster:
    """The cluster of one context of somebody's kubeconfig."""

    dir: Path
    kubeconfig: Path
    binaries: Binaries

    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run kubectl with that context's rights."""
        cache = self.dir / "kubectl-cache"
        return run_kubectl(
            self.binaries.kubectl, *args, kubeconfig=self.kubeconfig, cache=cache, stdin=stdin, check=check
        )


@contextlib.contextmanager
def given_site(progress: Progress) -> Iterator[Site]:
    """The cluster that the environment names. What the tests made there is taken away in the end."""
    binaries = find_or_build(progress)
    directory = Path(tempfile.mkdtemp(prefix="tolstoy-e2e-"))
    try:
        only = ("config", "view", "--minify", "--flatten", f"--context={os.environ[CONTEXT]}")
        given = Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
        shown = run_kubectl(binaries.kubectl, *only, kubeconfig=given, cache=directory).stdout
        (directory / "kubeconfig").touch(mode=0o600)
        (directory / "kubeconfig").write_text(shown)
        cluster = GivenCluster(directory, directory / "kubeconfig", binaries)
        with SecretsManagerServer(host=os.environ[HOST]) as aws:
            site = Site(cluster, Helm(cluster), aws, aws.endpoint, os.environ[IMAGE])
            yield site
            site.helm.run("uninstall", RELEASE, "--namespace", NAMESPACE, "--ignore-not-found", "--wait")
    finally:
        shutil.rmtree(directory)


def _consumer(namespace: str, name: str, secret: str, image: str) -> dict[str, Any]:
    container = {
        "name": "consumer",
        "image": image,
        "command": ["python", "-c", "import signal; signal.sigwait({signal.SIGTERM})"],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "credential", "mountPath": MOUNT, "readOnly": True}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": [{"name": "credential", "secret": {"secretName": secret}}],
        },
    }
