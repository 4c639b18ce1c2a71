"""Namespaces of a node's own: network, mounts, processes. Whatever happens in them goes away with their first process.

The kernel does the cleaning up, also when we are killed: the first process dies with us (`unshare --kill-child`), every
other process of the PID namespace with it, and then mounts, interfaces, routes and firewall rules, which nobody holds.
Two things are outside, and are removed by `remove_cgroups` and by whoever made the directory: cgroups and files.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from dev.controlplane import files
from dev.controlplane.processes import Child, spawn, stop

_HERE = Path(__file__).parent
_START_TIMEOUT = 20.0


class NamespaceError(RuntimeError):
    """The namespaces could not be made; the message says what the system said."""


class Namespaces:
    """One set of namespaces. `start` makes them, `stop` ends all that runs in them.

    `pid`: their first process, as this machine numbers it; 0 before the start.
    """

    def __init__(self, directory: Path) -> None:
        """`directory` is the node's own; it must not lie below one that is replaced inside (see `holder`)."""
        self._dir = directory
        self._log = directory / "logs" / "namespaces.log"
        self._holder: Child | None = None
        self._forwarders: list[Child] = []
        self.pid = 0

    def start(self, address: str) -> None:
        """Make them, with one interface besides the loopback, which has `address` (with a prefix length)."""
        unshare = ["unshare", "--net", "--mount", "--pid", "--ipc", "--fork", "--kill-child=KILL", "--mount-proc"]
        holder = [sys.executable, "-I", "-S", str(_HERE / "holder.py"), str(self._dir)]
        self._holder = spawn([*unshare, *holder], log=self._log, env=_environment())
        _await_line(self._holder, self._log, "READY")
        unshared = self._holder.pid
        (self.pid,) = map(int, Path(f"/proc/{unshared}/task/{unshared}/children").read_text().split())
        for command in (
            "link set lo up",
            "link add node0 type veth peer name nowhere0",  # a cable with both ends here
            f"address add {address} dev node0",
            "link set node0 up",
            "link set nowhere0 up",
            "route add default dev node0",  # Services have addresses of no network; what is not a Service gets lost
        ):
            subprocess.run(
                ["nsenter", f"--net=/proc/{self.pid}/ns/net", "ip", *command.split()], check=True, capture_output=True
            )

    def stop(self) -> None:
        """End every process in them at once, and return when all are gone."""
        for child in self._forwarders:
            stop(child, grace=0)
        self._forwarders.clear()
        if self._holder is None:
            return
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._holder.wait(_START_TIMEOUT)  # `unshare` ends when the first process, and so all, have
        stop(self._holder, grace=0)
        self._holder, self.pid = None, 0

    def inside(self, *command: str | Path) -> list[str]:
        """The command line that runs `command` in them: see the function of this name."""
        return inside(self.pid, self._dir, *command)

    def forward_in(self, address: str, port: int) -> int:
        """Let a free port of 127.0.0.1 lead to this address inside. Returns the port."""
        return self._forward("in", f"{address}:{port}")

    def forward_out(self, address: str, port: int) -> None:
        """Let this address and port inside lead to the same port of 127.0.0.1."""
        self._forward("out", f"{address}:{port}", str(port))

    def _forward(self, direction: str, listen: str, *target: str) -> int:
        log = self._dir / "logs" / f"forward-{direction}-{len(self._forwarders)}.log"
        child = spawn(_crossing(direction, str(self.pid), listen, *target), log=log, env=_environment())
        self._forwarders.append(child)
        return int(_await_line(child, log, "READY ").split()[1])


def inside(holder: int, directory: Path, *command: str | Path) -> list[str]:
    """The command line that runs `command` in the namespaces of `holder`, with `directory` as its working directory.

    It passes signals on, and ends with the exit code of `command`.
    """
    return _crossing("run", str(holder), str(directory), *map(str, command))


def remove_cgroups(name: str) -> None:
    """End what is left in the cgroups called `name`, and remove them from all hierarchies."""
    for top in cgroups(name):
        for listing in sorted(top.rglob("cgroup.procs")):
            for pid in listing.read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        deadline = time.monotonic() + _START_TIMEOUT
        while top.exists():
            below = [path for path in top.rglob("*") if path.is_dir()]
            try:
                for path in sorted([top, *below], reverse=True):
                    path.rmdir()
            except OSError:  # a process that is ending still counts
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


def make_cgroups(name: str) -> None:
    """A cgroup called `name` at the top of every hierarchy."""
    for hierarchy in _hierarchies():
        (hierarchy / name).mkdir()


def cgroups(name: str) -> list[Path]:
    """The cgroups of this name that exist, one at most in each hierarchy."""
    return [hierarchy / name for hierarchy in _hierarchies() if (hierarchy / name).is_dir()]


def _hierarchies() -> list[Path]:
    """Where cgroups are mounted: one place with version 2, one for each controller with version 1."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [Path(where) for _, where, kind, *_ in mounts if kind in {"cgroup", "cgroup2"}]


def _crossing(*arguments: str) -> list[str]:
    return [sys.executable, "-I", "-S", str(_HERE / "crossing.py"), *arguments]


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k in {"PATH", "HOME", "TMPDIR"}}


def _await_line(child: Child, log: Path, start: str) -> str:
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline:
        ended = child.poll() is not None
        for line in log.read_text().splitlines():
            if line.startswith(start):
                return line
        if ended:
            break
        time.sleep(0.01)
    stop(child, grace=0)
    raise NamespaceError(f"no namespaces of our own on this machine:\n{files.tail(log)}")
