"""Helm against a control plane of ours, as an installation's pipeline would call it.

A control plane without nodes runs no pods: installations don't wait for them, and hooks, which are Jobs, are left out.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from dev.chart import CHART
from dev.controlplane import helm
from dev.controlplane.reach import Cluster, run_program

Values = Mapping[str, Any]

RELEASE = "tolstoy-operator"
NAMESPACE = "tolstoy-system"
DEFAULT_VALUES: Values = {"store": {"region": "eu-west-1"}}


class Helm:
    """Helm commands with one cluster's administrator's rights, and with no configuration of this user's."""

    def __init__(self, plane: Cluster) -> None:
        self._program = helm()
        self._plane = plane

    def run(self, *args: str, values: Values | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one command; `values` go in as a file of values would.

        With `check`, a failure raises `subprocess.CalledProcessError`, with what Helm said as a note.
        """
        home = self._plane.dir / "helm"
        return run_program(
            [self._program, *args, *(["--values=-"] if values is not None else [])],
            stdin=json.dumps(values) if values is not None else "",
            environment={
                "HOME": str(home),
                "KUBECONFIG": str(self._plane.kubeconfig),
                "PATH": str(self._plane.binaries.kubectl.parent),
            },
            check=check,
        )

    def install(self, values: Values = DEFAULT_VALUES, *, chart: str = str(CHART), check: bool = True) -> str:
        """Install or upgrade the chart as release `tolstoy-operator` in `tolstoy-system`; returns what Helm said."""
        done = self.run(
            *("upgrade", "--install", RELEASE, chart),
            *("--namespace", NAMESPACE, "--create-namespace", "--no-hooks"),
            values=values,
            check=check,
        )
        return done.stdout + done.stderr

    def uninstall(self) -> str:
        """Take the release away again."""
        return self.run("uninstall", RELEASE, "--namespace", NAMESPACE, "--no-hooks", "--wait=watcher").stdout
