"""What tests, demo and benchmarks ask of a cluster, and put into it, as its administrator.

Looking is done by requests of this process: who waits looks often, and a kubectl for each look would keep a core busy.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from kubernetes.config import new_client_from_config
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import NotFoundError

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
        resource = self._api.resources.get(singular_name=kind)
        try:
            found: dict[str, Any] = resource.get(name=name, namespace=namespace).to_dict()
        except NotFoundError:
            return None
        return found

    def all(self, kind: str, namespace: str) -> list[dict[str, Any]]:
        """All objects of a kind in a namespace."""
        found: list[dict[str, Any]] = (
            self._api.resources.get(singular_name=kind).get(namespace=namespace).to_dict()["items"]
        )
        return found

    @cached_property
    def _api(self) -> Any:
        client = new_client_from_config(str(self.cluster.kubeconfig))
        return DynamicClient(client, cache_file=str(self.cluster.dir / "discovery"))

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

    def await_reason(self, namespace: str, name: str, reason: str, *, timeout: float = 90.0) -> dict[str, Any]:
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
