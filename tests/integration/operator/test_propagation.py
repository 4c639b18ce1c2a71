"""Pods that mount a Secret are told when it changes. What a kubelet makes of that takes a node; here are patches."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from dev.testbed import OperatorProcess, eventually
from tests.integration.operator.tenant import Tenant, api_key, oauth
from tolstoy_operator.api.names import SECRET_CHANGED

pytestmark = pytest.mark.integration

MOUNTED = {"volumes": [{"name": "v", "secret": {"secretName": "github"}}]}
PROJECTED = {"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "github"}}]}}]}


def run_pod(tenant: Tenant, name: str, spec: dict[str, Any] = MOUNTED, *, phase: str = "Running", **mount: str) -> None:
    """A pod as a kubelet would report it."""
    container = {"name": "web", "image": "registry.example.com/web"}
    container["volumeMounts"] = [{"name": "v", "mountPath": "/etc/github", **mount}]  # type: ignore[assignment]
    body = {"metadata": {"name": name}, "spec": {"containers": [container], **spec}}
    path = f"/api/v1/namespaces/{tenant.namespace}/pods"
    eventually(lambda: tenant.admin.post(path, body).ok, what="the namespace takes pods")
    assert tenant.admin.patch(f"{path}/{name}/status", {"status": {"phase": phase}}).ok


def told(tenant: Tenant, name: str) -> str | None:
    body = tenant.admin.get(f"/api/v1/namespaces/{tenant.namespace}/pods/{name}").body
    found: dict[str, str] = body["metadata"].get("annotations") or {}
    return found.get(SECRET_CHANGED)


def await_told(tenant: Tenant, name: str) -> None:
    """Wait until the pod knows of the Secret as it is."""

    def ask() -> bool:
        return told(tenant, name) == str(tenant.metadata()["resourceVersion"])

    eventually(ask, what=f"{name} is told")


class TestImmediate:
    def test_running_pods_are_told_of_each_change(self, tenant: Tenant) -> None:
        tenant.store(api_key())
        tenant.synced(target={"propagation": "Immediate"})
        run_pod(tenant, "web")
        run_pod(tenant, "projected", PROJECTED)
        run_pod(tenant, "starting", phase="Pending")
        run_pod(tenant, "part", subPath="apiKey")
        for key in ("k2", "k3"):
            tenant.store(api_key(key))
            tenant.force_sync()
            tenant.await_data(api_key(key))
            await_told(tenant, "web")
            await_told(tenant, "projected")
        assert (told(tenant, "starting"), told(tenant, "part")) == (None, None)

    def test_it_is_the_default_where_the_old_token_ends(self, new_tenant: Callable[..., Tenant]) -> None:
        """GitLab's does; of GitHub's nobody knows."""
        tenant = new_tenant()
        for tool in ("gitlab", "github"):
            tenant.store(oauth(), tool)
            tenant.synced(tool, tool)
            run_pod(tenant, tool, {"volumes": [{"name": "v", "secret": {"secretName": tool}}]})
            tenant.store(oauth("t2"), tool)
            tenant.force_sync(tool)
        eventually(lambda: told(tenant, "gitlab") == tenant.metadata("gitlab")["resourceVersion"], what="it is told")
        assert told(tenant, "github") is None

    def test_it_is_quick(self, tenant: Tenant, operator: OperatorProcess) -> None:
        tenant.store(api_key())
        tenant.synced(target={"propagation": "Immediate"})
        run_pod(tenant, "web")
        tenant.store(api_key("k2"))
        tenant.patch("github", {"metadata": {"annotations": {"tolstoy.dev/force-sync": "now"}}})
        tenant.await_data(api_key("k2"))
        started = time.monotonic()
        await_told(tenant, "web")
        assert time.monotonic() - started < 2
        assert operator.metric('tolstoy_pod_touches_total{outcome="ok"}') >= 1
