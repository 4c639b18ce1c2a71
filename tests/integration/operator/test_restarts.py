"""A workload is restarted once for another value, and its owner is told."""

from __future__ import annotations

from typing import Any

import pytest

from dev.testbed import eventually
from tests.integration.operator.tenant import Tenant, api_key
from tolstoy_operator.api.names import RESTARTED_AT

pytestmark = pytest.mark.integration

WEB = {"kind": "Deployment", "name": "web"}


def add_deployment(tenant: Tenant, name: str = "web") -> None:
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "web", "image": "registry.example.com/web"}]},
    }
    spec = {"selector": {"matchLabels": {"app": name}}, "template": template}
    path = f"/apis/apps/v1/namespaces/{tenant.namespace}/deployments"
    assert tenant.admin.post(path, {"metadata": {"name": name}, "spec": spec}).ok


def deployment(tenant: Tenant, name: str = "web") -> dict[str, Any]:
    return tenant.admin.get(f"/apis/apps/v1/namespaces/{tenant.namespace}/deployments/{name}").body


def await_restarted(tenant: Tenant) -> None:
    def ask() -> bool:
        return RESTARTED_AT in (deployment(tenant)["spec"]["template"]["metadata"].get("annotations") or {})

    eventually(ask, what="the Deployment is restarted", timeout=40)


def reasons(tenant: Tenant) -> list[str]:
    return [event["reason"] for event in tenant.events()]


def test_another_value_is_one_restart_and_the_first_one_is_none(tenant: Tenant) -> None:
    add_deployment(tenant)
    tenant.store(api_key())
    tenant.synced(restartTargets=[WEB, {"kind": "DaemonSet", "name": "absent"}])
    for key in ("k2", "k3"):
        tenant.store(api_key(key))
        tenant.force_sync()
        tenant.await_data(api_key(key))
    assert deployment(tenant)["metadata"]["generation"] == 1
    await_restarted(tenant)
    eventually(lambda: {"Restarted", "RestartFailed"} <= set(reasons(tenant)), what="Events tell")
    assert deployment(tenant)["metadata"]["generation"] == 2
