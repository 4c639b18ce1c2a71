"""What tests, demo and benchmarks ask of a cluster, and put into it, as its administrator by kubectl."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from dev.controlplane.reach import Cluster
from dev.testbed.waiting import eventually


class ClusterView:
    """A cluster's namespaces, ToolCredentials and Secrets."""

    def __init__(self, plane: Cluster) -> None:
        self.cluster = plane

    def bind(self, namespace: str, **annotations: str) -> None:
        """Create the namespace if need be and set its `tolstoy.dev/` annotations; underscores stand for hyphens."""
        pairs = {f"tolstoy.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "annotations": pairs}}
        self.apply(body)

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """`kubectl apply` as the administrator."""
        self.cluster.kubectl("apply", "-f", "-", stdin="\n---\n".join(json.dumps(item) for item in objects))

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """One object, None when there is none."""
        done = self.cluster.kubectl("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
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
