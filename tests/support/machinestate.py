"""What a node could leave on a machine, to be compared from before to after."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

from dev.node.holder import PARAMETERS

_PATHS = (
    "/var/lib/kubelet",
    "/var/log/pods",
    "/var/log/containers",
    "/run/containerd",
    "/opt/containerd",
    "/run/netns",
)


def snapshot() -> dict[str, object]:
    """Mounts, interfaces, kernel parameters, and the paths that container runtimes make."""
    links = subprocess.run(["ip", "-oneline", "link"], check=True, capture_output=True, text=True).stdout
    return {
        "mounts": sorted(Path("/proc/self/mounts").read_text().splitlines()),
        "links": sorted(line.split(": ")[1] for line in links.splitlines()),
        "parameters": {
            name: path.read_text()
            for name in (*PARAMETERS, "net/ipv4/ip_forward")
            if (path := Path("/proc/sys", name)).exists()
        },
        "paths": {path: sorted(os.listdir(path)) if Path(path).exists() else None for path in _PATHS},
    }


def processes_beside(holder: int) -> set[int]:
    """The processes in the PID namespace of this one; those in containers are in others below it."""
    namespace = os.readlink(f"/proc/{holder}/ns/pid")
    found = set()
    for path in Path("/proc").glob("[0-9]*/ns/pid"):
        with contextlib.suppress(OSError):
            if os.readlink(path) == namespace:
                found.add(int(path.parts[2]))
    return found


def running(pids: set[int]) -> set[int]:
    """Those that still run."""
    return {pid for pid in pids if Path(f"/proc/{pid}").exists()}
