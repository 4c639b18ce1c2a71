"""Clusters that kubectl and Helm can work on, whoever runs them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from dev.controlplane.binaries import Binaries


class Cluster(Protocol):
    """A cluster that kubectl and Helm can work on: a control plane of ours, a node of ours, or somebody's."""

    @property
    def dir(self) -> Path:
        """Where what belongs to it is kept; it goes away with it."""

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""

    @property
    def binaries(self) -> Binaries:
        """Where kubectl is."""

    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the administrator; with `check`, a failure raises `CalledProcessError`."""


CALM_COLLECTOR: Final = {"GOGC": "400"}
"""For the environment of programs in Go. Memory is there, and by default a fifth of an API server's time is
spent on collecting it."""


def run_kubectl(
    program: Path, *args: str, kubeconfig: Path, cache: Path, stdin: str | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run kubectl. `cache`: a directory for this cluster; the usual one goes by address, and addresses come back.

    With `check`, a failure raises `subprocess.CalledProcessError`, with what kubectl said as a note.
    """
    command = [str(program), f"--kubeconfig={kubeconfig}", f"--cache-dir={cache}", *args]
    environment = os.environ | {"KUBERC": "off"}  # a person's preferences are not for tests
    return run_program(command, stdin=stdin or "", environment=environment, check=check)


def run_program(
    command: Sequence[str | Path], *, stdin: str, environment: Mapping[str, str], check: bool
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end. With `check`, a failure raises `CalledProcessError`, with what it said as a note."""
    environment = {**environment, **CALM_COLLECTOR}
    done = subprocess.run(command, input=stdin, env=environment, capture_output=True, text=True, check=False)
    try:
        if check:
            done.check_returncode()
    except subprocess.CalledProcessError as error:
        error.add_note(done.stderr.strip())
        raise
    return done
