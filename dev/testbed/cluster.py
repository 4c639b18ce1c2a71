"""A cluster with the chart installed, upstream secrets, and operators that run beside it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Literal, Self

from dev.chart import CHART
from dev.controlplane import ControlPlane
from dev.controlplane.gobuild import Progress, to_stderr
from dev.helmcli import NAMESPACE, RELEASE, Helm
from dev.secretsmanager import SecretsManagerServer
from dev.testbed.process import OperatorProcess
from dev.testbed.view import ClusterView, credential
from dev.testbed.waiting import eventually

_CRD = CHART.parents[1] / "crds" / "toolcredentials.tolstoy.dev.yaml"

FAST = {
    "SECRETS_SWEEP_INTERVAL_S": "0.5",
    "SECRETS_CACHE_DURATION_MS": "300000",
    "UNBIND_GRACE_S": "3",
    "STALL_AFTER_S": "600",
    "VALIDATE_TOKENS": "false",
}
"""Settings with which things happen while somebody watches, and no provider outside this machine is asked anything."""


class Testbed(ClusterView):
    """Everything but the operator; `operator()` starts one. A context manager."""

    __test__ = False  # its name makes pytest curious

    def __init__(
        self,
        *,
        mode: Literal["strict", "fast"] = "strict",
        audit: bool = False,
        aws: SecretsManagerServer | None = None,
        progress: Progress = to_stderr,
    ) -> None:
        """`aws`: a running stand-in of somebody else, for two clusters on one; without it there is an own one."""
        self.plane = ControlPlane(audit=audit, crds=[_CRD], progress=progress)
        super().__init__(self.plane)
        self.aws = SecretsManagerServer(mode) if aws is None else aws
        self._own_aws = aws is None
        self._stack = contextlib.ExitStack()
        self._progress = progress

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.plane)
            if self._own_aws:
                stack.enter_context(self.aws)
            self._progress("installing the chart")
            Helm(self.plane).install({"store": {"region": self.aws.region}, "crds": {"install": False}})
            self._await_policies()
            self.kubeconfig = self.plane.kubeconfig_for(RELEASE, NAMESPACE)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def environment(self, **settings: str) -> dict[str, str]:
        """Settings for an operator of this testbed."""
        return {**self.aws.env(), "POD_NAMESPACE": NAMESPACE, **FAST, **settings}

    @contextlib.contextmanager
    def operator(self, name: str = "operator", **settings: str) -> Iterator[OperatorProcess]:
        """A running operator; `settings` are environment variables."""
        with OperatorProcess(self.kubeconfig, self.environment(**settings), name=name) as process:
            yield process

    def _await_policies(self) -> None:
        # An admission policy takes effect a moment after it is accepted; an unbound object tells when.
        probe = json.dumps(credential("default", "policy-probe", tool="probe", org="probe"))
        eventually(
            lambda: (
                self.plane.kubectl("create", "--dry-run=server", "-f", "-", stdin=probe, check=False).returncode != 0
            ),
            what="the admission policy refuses an unbound namespace",
        )
