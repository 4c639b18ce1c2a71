"""A real cluster of one node on this machine: containers, kubelet, Services, everything.

with NodeCluster() as cluster:
    cluster.load(archive)
    cluster.kubectl("apply", "-f", "pod.yaml")
"""

from __future__ import annotations

from dev.node.cluster import NodeCluster
from dev.node.machine import MachineError
from dev.node.namespaces import NamespaceError

__all__ = ["MachineError", "NamespaceError", "NodeCluster"]
