"""A tenant: a namespace, a credential in it, and a pod that reads what the credential brings."""

from __future__ import annotations

import json
from typing import Any

from dev.testbed.view import credential
from tests.e2e.site import Site

POD = "reader"
NAME = "payments"


class Tenant:
    """A bound namespace with one ToolCredential that is synced, and a running pod that mounts its Secret."""

    def __init__(self, site: Site, namespace: str) -> None:
        self.site = site
        self.namespace = namespace
        self._upstream = f"tolstoy/payments/{namespace}"
        self.change("first")
        site.namespace(namespace, allowed_orgs=namespace)
        site.apply(credential(namespace, NAME, tool="payments", org=namespace))
        site.await_reason(namespace, NAME, "Synced", timeout=60)
        site.consumer(namespace, POD, NAME)

    def change(self, value: str) -> None:
        """Let upstream hold this API key."""
        self.site.aws.seed({self._upstream: json.dumps({"apiKey": value})})

    def await_secret(self, value: str, *, timeout: float = 30.0) -> None:
        """Wait until the Secret holds this value."""
        self.site.await_data(self.namespace, NAME, {"apiKey": value}, timeout=timeout)

    def read(self) -> str:
        """What the pod reads."""
        return self.site.read(self.namespace, POD, "apiKey")

    def secret(self) -> dict[str, Any]:
        """The Secret's metadata."""
        body = self.site.get("secret", self.namespace, NAME)
        assert body
        metadata: dict[str, Any] = body["metadata"]
        return metadata

    def remove(self) -> None:
        """Delete the namespace, without waiting for it."""
        self.site.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")
