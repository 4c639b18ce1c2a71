"""A cluster that stays when the command that made it has returned: one for each working tree.

A process of its own, the keeper, holds it, so that there is one way to start and stop a cluster. What is known about it
is in a file of the tree; with that, also a cluster whose keeper was killed is cleared away.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from dev.controlplane.gobuild import Progress
from dev.node.cluster import NodeCluster, import_command, run_quietly
from dev.node.namespaces import remove_cgroups

_ROOT = Path(__file__).resolve().parents[2]
FILE_VARIABLE = "TOLSTOY_CLUSTER_FILE"
"""Environment variable that names another file than the tree's."""

_READY = "READY"
_STOP_TIMEOUT = 60.0


class KeptClusterError(RuntimeError):
    """There is none, or it did not start; the message says which."""


@dataclass(frozen=True)
class Kept:
    """A cluster that is kept. `keeper` and `holder` are process ids, of its keeper and of its first process."""

    keeper: int
    holder: int
    dir: str
    kubeconfig: str
    programs: str

    @property
    def alive(self) -> bool:
        """Whether its keeper lives, and is not another process that got the same number."""
        with contextlib.suppress(OSError):
            return b"dev.node\0keep" in Path(f"/proc/{self.keeper}/cmdline").read_bytes()
        return False

    @property
    def exports(self) -> str:
        """What a shell needs to use it."""
        return f"export KUBECONFIG={self.kubeconfig}\nexport PATH={self.programs}:$PATH"


def _file() -> Path:
    return Path(os.environ.get(FILE_VARIABLE) or _ROOT / ".cluster.json")


def find() -> Kept | None:
    """This tree's cluster, alive or left behind; None when there is none."""
    with contextlib.suppress(FileNotFoundError):
        return Kept(**json.loads(_file().read_text()))
    return None


def up(progress: Progress) -> Kept:
    """Start this tree's cluster, unless it runs. Interrupted, it leaves nothing. Raises `KeptClusterError`."""
    if (found := find()) and found.alive:
        progress("it runs already")
        return found
    down(progress)
    command = [sys.executable, "-m", "dev.node", "keep"]
    keeper = subprocess.Popen(
        command, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert keeper.stdout is not None
    try:
        for line in itertools.takewhile(lambda line: line.strip() != _READY, keeper.stdout):
            progress(line.rstrip())
    except BaseException:
        keeper.terminate()
        keeper.wait(_STOP_TIMEOUT)
        raise
    started = find()
    if started is None:  # the keeper has said why
        raise KeptClusterError("there is no cluster")
    return started


def down(progress: Progress) -> None:
    """End this tree's cluster, and clear away what one left whose keeper was killed."""
    found = find()
    if found is None:
        return
    progress(f"ending {Path(found.dir).name}")
    if found.alive:
        os.kill(found.keeper, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_TIMEOUT
        while found.alive and time.monotonic() < deadline:
            time.sleep(0.05)
    remove_cgroups(Path(found.dir).name)
    shutil.rmtree(found.dir, ignore_errors=True)
    _file().unlink(missing_ok=True)


def load(archive: Path) -> None:
    """Give this tree's cluster an image. Raises `KeptClusterError`."""
    found = find()
    if found is None or not found.alive:
        raise KeptClusterError("there is no cluster: `make cluster` starts one")
    run_quietly(import_command(found.holder, Path(found.dir), archive))


def keep() -> None:
    """Be the keeper: start the cluster, say so, and end it when told to, or when interrupted before."""
    signal.signal(signal.SIGTERM, _interrupt)
    with contextlib.suppress(KeyboardInterrupt):
        with NodeCluster(progress=lambda line: print(line, flush=True)) as cluster:
            known = Kept(
                keeper=os.getpid(),
                holder=cluster.holder,
                dir=str(cluster.dir),
                kubeconfig=str(cluster.kubeconfig),
                programs=str(cluster.binaries.kubectl.parent),
            )
            _file().write_text(json.dumps(asdict(known), indent=1))
            try:
                print(_READY, flush=True)
                with Path(os.devnull).open("w") as silence:  # nobody listens from now on
                    os.dup2(silence.fileno(), sys.stdout.fileno())
                    os.dup2(silence.fileno(), sys.stderr.fileno())
                while True:
                    signal.pause()
            finally:
                _file().unlink(missing_ok=True)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
