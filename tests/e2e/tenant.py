"""A tenant: a namespace, a credential in it, and a pod that reads what the credential brings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dev.testbed.view import credential
from tests.e2e.site import MOUNT, Site

POD = "reader"
NAME = "payments"
KEY = "apiKey"


class Tenant:
    """A bound namespace with one ToolCredential that is synced, and a running pod that mounts its Secret."""

    def __init__(self, site: Site, namespace: str, **spec: Any) -> None:
        """`spec`: further members of the ToolCredential's spec."""
        self.site = site
        self.namespace = namespace
        self._upstream = f"tolstoy/payments/{namespace}"
        self.change("first")
        site.namespace(namespace, allowed_orgs=namespace)
        site.apply(credential(namespace, NAME, tool="payments", org=namespace, **spec))
        site.await_reason(namespace, NAME, "Synced", timeout=60)
        site.consumer(namespace, POD, NAME)

    def change(self, value: str) -> None:
        """Let upstream hold this API key."""
        self.site.aws.seed({self._upstream: json.dumps({KEY: value})})

    def force_sync(self, mark: str) -> None:
        """Tell the operator to look at upstream now."""
        annotation = f"tolstoy.dev/force-sync={mark}"
        self.site.cluster.kubectl("annotate", "toolcredential", NAME, "-n", self.namespace, "--overwrite", annotation)

    def await_secret(self, value: str, *, timeout: float = 90.0) -> None:
        """Wait until the Secret holds this value."""
        self.site.await_data(self.namespace, NAME, {KEY: value}, timeout=timeout)

    def read(self) -> str:
        """What the pod reads."""
        return self.site.read(self.namespace, POD, KEY)

    def file(self) -> Path:
        """The mounted file as the pod's process sees it. Only on a node of our own."""
        assert self.site.node
        (pod,) = (pod for pod in self.site.pods(self.namespace) if pod["metadata"]["name"] == POD)
        for pid in self.site.node.container_pids(pod["metadata"]["uid"]):
            file = Path(f"/proc/{pid}/root{MOUNT}/{KEY}")
            if file.exists():
                return file
        raise AssertionError("no process of the pod has the file")

    def writes(self) -> list[float]:
        """When the Secret was written, in epoch seconds, oldest first. Only on a node of our own."""
        assert self.site.node
        return [
            request.at
            for request in self.site.node.audited()
            if (request.namespace, request.name, request.resource) == (self.namespace, NAME, "secrets")
            and request.verb in {"create", "patch", "update"}
        ]

    def secret(self) -> dict[str, Any]:
        """The Secret's metadata."""
        body = self.site.get("secret", self.namespace, NAME)
        assert body
        metadata: dict[str, Any] = body["metadata"]
        return metadata

    def remove(self) -> None:
        """Delete the namespace, without waiting for it."""
        self.site.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")
