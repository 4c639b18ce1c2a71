"""The first process of a node's namespaces: it lays the machine's own paths under others, then reaps.

Run as a file: `holder.py DIRECTORY`, by `unshare`. When it ends, the kernel ends every process of the PID namespace,
and with them go mounts, interfaces and firewall rules.

Container runtimes and the kubelet have paths that no setting changes (shims' sockets, `/var/lib/kubelet`,
`/var/log/containers`), and the kubelet sets kernel parameters of the whole machine. Here both are given directories and
files of the node's own: the machine is not touched, and any number of nodes run side by side.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

DIRECTORIES = ("/run", "/var/lib", "/var/log")

PARAMETERS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""What the kubelet insists on. It reads these files, finds what it wants, and writes nothing."""


def main() -> None:
    base = Path(sys.argv[1]) / "machine"
    _mount("--make-rshared", "/")  # within these namespaces: what the kubelet mounts must appear in containers
    for path in DIRECTORIES:
        own = base / path.lstrip("/")
        own.mkdir(parents=True)
        _mount("--bind", str(own), path)
    images = Path(sys.argv[1]) / "containerd"
    images.mkdir()
    _mount("-t", "tmpfs", "-o", "mode=0711", "images", str(images))  # in memory: made and gone at once, 0.7 GB
    for name, value in PARAMETERS.items():
        own = base / "sys" / name
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text(f"{value}\n")
        if Path("/proc/sys", name).exists():
            _mount("--bind", str(own), f"/proc/sys/{name}")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")  # of this network namespace
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    print("READY", flush=True)
    while True:
        _reap()
        signal.sigwait({signal.SIGCHLD})


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


if __name__ == "__main__":
    main()
