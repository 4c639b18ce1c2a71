"""A cluster with the chart installed, upstream secrets, and operators that run beside it."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

from dev.chart import CHART
from dev.controlplane import ControlPlane
from dev.controlplane.gobuild import Progress, to_stderr
from dev.helmcli import NAMESPACE, RELEASE, Helm
from dev.secretsmanager import SecretsManagerServer
from dev.testbed.process import OperatorProcess
from dev.testbed.waiting import eventually

_CRD = CHART.parents[1] / "crds" / "toolcredentials.tolstoy.dev.yaml"

FAST = {
    "SECRETS_SWEEP_INTERVAL_S": "0.5",
    "SECRETS_CACHE_DURATION_MS": "300000",
    "UNBIND_GRACE_S": "3",
    "STALL_AFTER_S": "600",
}
"""Settings with which things happen while somebody watches."""


class Testbed:
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

    def bind(self, namespace: str, **annotations: str) -> None:
        """Create the namespace if need be and set its `tolstoy.dev/` annotations; underscores stand for hyphens."""
        pairs = {f"tolstoy.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "annotations": pairs}}
        self.apply(body)

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """`kubectl apply` as the administrator."""
        self.plane.kubectl("apply", "-f", "-", stdin="\n---\n".join(json.dumps(item) for item in objects))

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """One object, None when there is none."""
        done = self.plane.kubectl("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def data(self, namespace: str, name: str) -> dict[str, str] | None:
        """The decoded data of a Secret, None when there is none."""
        body = self.get("secret", namespace, name)
        if body is None:
            return None
        return {key: base64.b64decode(value).decode() for key, value in (body.get("data") or {}).items()}

    def conditions(self, namespace: str, name: str) -> dict[str, dict[str, Any]]:
        """The conditions of a ToolCredential by type."""
        body = self.get("toolcredential", namespace, name) or {}
        return {item["type"]: item for item in (body.get("status") or {}).get("conditions", [])}

    def await_reason(self, namespace: str, name: str, reason: str, *, timeout: float = 30.0) -> dict[str, Any]:
        """Wait until the credential's Ready condition has this reason; returns its status."""

        def ask() -> dict[str, Any]:
            body = self.get("toolcredential", namespace, name) or {}
            status: dict[str, Any] = body.get("status") or {}
            found = {item["type"]: item for item in status.get("conditions", [])}
            assert found.get("Ready", {}).get("reason") == reason, found
            assert status.get("observedGeneration") == body["metadata"]["generation"]
            return status

        return eventually(ask, what=f"{namespace}/{name} is {reason}", timeout=timeout)

    def await_data(self, namespace: str, name: str, expected: Mapping[str, str], *, timeout: float = 30.0) -> None:
        """Wait until the Secret holds exactly this."""
        eventually(
            lambda: self.data(namespace, name) == expected,
            what=f"Secret {namespace}/{name} holds {sorted(expected)} as expected",
            timeout=timeout,
        )

    def _await_policies(self) -> None:
        # An admission policy takes effect a moment after it is accepted; an unbound object tells when.
        probe = json.dumps(credential("default", "policy-probe", tool="probe", org="probe"))
        eventually(
            lambda: (
                self.plane.kubectl("create", "--dry-run=server", "-f", "-", stdin=probe, check=False).returncode != 0
            ),
            what="the admission policy refuses an unbound namespace",
        )


def credential(
    namespace: str, name: str, *, tool: str | None = None, org: str | None = None, **spec: Any
) -> dict[str, Any]:
    """A ToolCredential. `spec`: further members of the spec, as in YAML."""
    chosen = {**({"tool": tool, "orgId": org} if tool else {}), **spec}
    return {
        "apiVersion": "tolstoy.dev/v1",
        "kind": "ToolCredential",
        "metadata": {"namespace": namespace, "name": name},
        "spec": chosen,
    }
