"""A real Kubernetes control plane on this machine: etcd, kube-apiserver and kube-controller-manager.

No nodes, so nothing runs in its pods; everything else is what a cluster does, with RBAC, admission policies,
garbage collection and ServiceAccount tokens.

    with ControlPlane() as plane:
        plane.kubectl("create", "namespace", "team-a")
"""

from __future__ import annotations

from dev.controlplane.binaries import Binaries, BuildError, NodeBinaries, find_or_build, helm, kubeconform, node
from dev.controlplane.cluster import ControlPlane, ControlPlaneError

__all__ = [
    "Binaries",
    "BuildError",
    "ControlPlane",
    "ControlPlaneError",
    "NodeBinaries",
    "find_or_build",
    "helm",
    "kubeconform",
    "node",
]
