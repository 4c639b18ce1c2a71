"""The programs of a Kubernetes control plane, and the tools that check and install a chart.

The control plane comes, in this order, from `KUBEBUILDER_ASSETS` when that directory holds all four programs, from
the cache, or from a build. What a node needs on top is of the same module and release, but a build of its own, so that
who wants no node waits for none. Helm has a Go module of its own because its dependencies are newer than those that the
API server was released with. Both are built when first asked for.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dev.controlplane.gobuild import BuildError, GoTools, Progress, built, required_version

_HERE = Path(__file__).parent
_COMMANDS = "k8s.io/kubernetes/cmd"


def _kubernetes_flags(version: str) -> str:
    """Linker flags that tell the programs their version: an unstamped server reports one nobody can parse."""
    major, minor, _ = version.removeprefix("v").split(".")
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(["-s", "-w", *(f"-X {p}.{k}={v}" for p in packages for k, v in values.items())])


CONTROL_PLANE = GoTools(
    name="controlplane",
    module=_HERE,
    packages={
        "etcd": "go.etcd.io/etcd/server/v3",
        "kube-apiserver": f"{_COMMANDS}/kube-apiserver",
        "kube-controller-manager": f"{_COMMANDS}/kube-controller-manager",
        "kubectl": f"{_COMMANDS}/kubectl",
    },
    ldflags=_kubernetes_flags(required_version(_HERE, "k8s.io/kubernetes")),
    usual_minutes=5,
)

NODE = GoTools(
    name="node",
    module=_HERE,
    packages={name: f"{_COMMANDS}/{name}" for name in ("kube-scheduler", "kubelet", "kube-proxy")},
    ldflags=CONTROL_PLANE.ldflags,
    usual_minutes=2,
)

_HELM = _HERE.parent / "helm"

CHART_TOOLS = GoTools(
    name="helm",
    module=_HELM,
    packages={
        "helm": "helm.sh/helm/v4/cmd/helm",
        "kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform",
    },
    ldflags=f"-s -w -X helm.sh/helm/v4/internal/version.version={required_version(_HELM, 'helm.sh/helm/v4')}",
    usual_minutes=2,
)


_WORKFLOWS = _HERE.parent / "workflows"

WORKFLOW_TOOLS = GoTools(
    name="actionlint",
    module=_WORKFLOWS,
    packages={"actionlint": "github.com/rhysd/actionlint/cmd/actionlint"},
    ldflags="-s -w",
    usual_minutes=1,
)


@dataclass(frozen=True)
class Binaries:
    """Paths of the four programs of a control plane."""

    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path
    kubectl: Path

    @classmethod
    def inside(cls, directory: Path) -> Binaries:
        """The programs in `directory` under their usual names, whether or not they are there."""
        return cls(*(directory / name for name in CONTROL_PLANE.packages))

    @property
    def missing(self) -> list[Path]:
        """Those that are not executable files."""
        return [p for p in vars(self).values() if not (p.is_file() and os.access(p, os.X_OK))]


def find_or_build(progress: Progress = print) -> Binaries:
    """The programs of a control plane, built on first use.

    `progress` gets a line now and then while a build runs. Raises `BuildError`.
    """
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        given = Binaries.inside(Path(assets).resolve())
        if not given.missing:
            return given
        progress(f"KUBEBUILDER_ASSETS lacks {', '.join(p.name for p in given.missing)}: not used")
    return Binaries.inside(built(CONTROL_PLANE, progress))


@dataclass(frozen=True)
class NodeBinaries:
    """Paths of the three programs that make a control plane a cluster with a node."""

    kube_scheduler: Path
    kubelet: Path
    kube_proxy: Path


def node(progress: Progress = print) -> NodeBinaries:
    """The programs of a node, built on first use. Raises `BuildError`."""
    directory = built(NODE, progress)
    return NodeBinaries(*(directory / name for name in NODE.packages))


def helm(progress: Progress = print) -> Path:
    """The Helm executable, built on first use. Raises `BuildError`."""
    return built(CHART_TOOLS, progress) / "helm"


def kubeconform(progress: Progress = print) -> Path:
    """The kubeconform executable, built along with Helm. Raises `BuildError`."""
    return built(CHART_TOOLS, progress) / "kubeconform"


def actionlint(progress: Progress = print) -> Path:
    """The program that checks workflow files, built on first use. Raises `BuildError`."""
    return built(WORKFLOW_TOOLS, progress) / "actionlint"


__all__ = ["actionlint", "Binaries", "BuildError", "NodeBinaries", "find_or_build", "helm", "kubeconform", "node"]
