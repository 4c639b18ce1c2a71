"""Packages of the system, on Debian and its relatives, for who is root; elsewhere nothing happens."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from dev.controlplane.gobuild import Progress


def install(packages: Sequence[str], progress: Progress) -> None:
    """`apt-get install`, without letting the packages start services. Whether it worked is for the caller to look."""
    if sys.platform != "linux" or os.geteuid() or shutil.which("apt-get") is None:
        return
    progress(f"installing {', '.join(packages)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-qq", "--yes", "--no-install-recommends", *packages],
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()[-1:]
            progress(f"{' '.join(command[:2])} said: {' '.join(said)}")
