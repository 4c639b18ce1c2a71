"""The configuration files of a node's programs, and why each unusual line is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

NODE = "node"
"""The node's name in the cluster."""

ADDRESS = "192.0.2.1"
"""The node's address, of a range for documentation: it is seen inside the node's network namespace alone."""

POD_NETWORK = "10.244.0.0/24"
PAUSE = "localhost/pause:1"


def containerd(directory: Path, plugins: Path) -> str:
    """TOML for containerd 1.6 and newer, which keeps everything in `directory`."""
    return f"""version = 2
root = "{directory}/containerd/root"
state = "{directory}/containerd/state"
[grpc]
  address = "{directory}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{directory}/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  netns_mounts_under_state_dir = true
  # Inside a container, as on CI, root may not lower what the kernel thinks of killing it.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{directory}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""


def network(directory: Path) -> dict[str, Any]:
    """How pods get their network: a bridge, which is also their gateway. Nothing leaves the node."""
    bridge = {
        "type": "bridge",
        "bridge": "pods0",
        "isGateway": True,
        "hairpinMode": True,  # a pod may reach itself through a Service
        "ipam": {
            "type": "host-local",
            "dataDir": f"{directory}/addresses",
            "ranges": [[{"subnet": POD_NETWORK}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}


def kubelet(directory: Path, *, cgroup: str, sync: str | None) -> dict[str, Any]:
    """The kubelet's; `sync` is a duration like `1s`, None for its own default."""
    low = {"memory.available": "50Mi"} | {
        f"{disk}.{what}": "1%" for disk in ("nodefs", "imagefs") for what in ("available", "inodesFree")
    }
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": ADDRESS,
        "containerRuntimeEndpoint": f"unix://{directory}/containerd.sock",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{directory}/kubelet-client.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,  # as for containerd
        "resolvConf": f"{directory}/resolv.conf",
        "volumePluginDir": f"{directory}/volume-plugins",
        "evictionHard": low,
        "imageGCHighThresholdPercent": 100,  # never: images were put here by hand, nobody can pull them again
    } | ({"syncFrequency": sync} if sync else {})


def proxy(directory: Path) -> dict[str, Any]:
    """kube-proxy's."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": POD_NETWORK,
        "clientConnection": {"kubeconfig": f"{directory}/proxy.kubeconfig"},
        "hostnameOverride": NODE,
        "oomScoreAdj": 0,
        # What tracks connections is the machine's, not the namespace's: leave it alone.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "nftables": {"masqueradeAll": True},
    }
