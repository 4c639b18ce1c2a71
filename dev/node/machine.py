"""What a machine must have for a node to run on it, and how it gets that where it is Debian's or a relative."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from dev import apt
from dev.controlplane.gobuild import Progress

CNI_DIRECTORIES = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
"""Where distributions put the plugins that give pods their network."""

PACKAGES: Mapping[str, str] = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "mount": "mount",
}
"""Programs, and the Debian packages that they come in."""

_PLUGINS = ("bridge", "host-local", "loopback")
_PLUGIN_PACKAGE = "containernetworking-plugins"


class MachineError(RuntimeError):
    """No node runs on this machine; the message says what is missing and what serves instead."""


def cni_directory() -> Path | None:
    """Where all the network plugins that we use are, if they are."""
    for directory in CNI_DIRECTORIES:
        if all((directory / name).exists() for name in _PLUGINS):
            return directory
    return None


def missing() -> list[str]:
    """What this machine lacks, as words for a person: empty when a node can run."""
    lacks = []
    if sys.platform != "linux":
        return [f"Linux (this is {sys.platform})"]
    if os.geteuid():
        lacks.append("root's rights")
    if Path("/proc/sys/user/max_net_namespaces").read_text().strip() == "0":
        lacks.append("network namespaces")
    lacks += sorted(_absent_programs())
    if cni_directory() is None:
        lacks.append(f"network plugins ({', '.join(_PLUGINS)})")
    return lacks


def provide(progress: Progress) -> None:
    """See to it that a node can run here: install what is missing, where that is root's right and apt is there.

    Raises `MachineError`.
    """
    if packages := _absent_packages():
        apt.install(packages, progress)
    if lacks := missing():
        raise MachineError(
            f"a node cannot run here; missing: {', '.join(lacks)}.\n"
            f"What installs it on Debian: apt-get install {' '.join(sorted({*PACKAGES.values(), _PLUGIN_PACKAGE}))}\n"
            "Any other cluster serves as well, such as one that `kind create cluster` or `k3d cluster create` made:\n"
            "  make e2e KUBECONFIG=file CONTEXT=name IMAGE=what-its-nodes-can-pull HOST_ADDRESS=of-this-machine"
        )


def _absent_programs() -> set[str]:
    return {name for name in PACKAGES if shutil.which(name) is None}


def _absent_packages() -> list[str]:
    absent = {PACKAGES[name] for name in _absent_programs()}
    return sorted(absent | ({_PLUGIN_PACKAGE} if cni_directory() is None else set()))
