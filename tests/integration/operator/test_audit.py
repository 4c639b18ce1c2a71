"""The audit log of a running operator: what happened to a secret is found the way that docs/on-call.md finds it."""

from __future__ import annotations

from typing import Any

import pytest

from dev.testbed import OperatorProcess, eventually
from tests.integration.operator.conftest import NewTenant
from tests.integration.operator.tenant import Tenant, api_key
from tests.integration.operator.test_first_tokens import IMPORT, SOURCE, handed_over

pytestmark = pytest.mark.integration

LINE = {"logger": "tolstoy_operator.audit", "audit": True, "actor": "credential"}


def lines(operator: OperatorProcess, tenant: Tenant) -> list[dict[str, Any]]:
    """All about the organisation's secret."""
    return [line for line in operator.records() if line.get("audit") and line.get("secret") == tenant.upstream()]


def told(operator: OperatorProcess, tenant: Tenant, operation: str, outcome: str = "ok") -> dict[str, Any]:
    """The latest line of an operation, once there is one, without what every line has."""

    def ask() -> dict[str, Any]:
        found = {line["outcome"]: line for line in lines(operator, tenant) if line["operation"] == operation}
        assert outcome in found, found
        return found[outcome]

    line = eventually(ask, what=f"{operation} has ended with {outcome}")
    assert line.items() >= LINE.items()
    return {key: value for key, value in line.items() if key not in {*LINE, "ts", "msg", "operation", "outcome"}}


def expected(tenant: Tenant, level: str = "info", name: str = "github", **more: str) -> dict[str, Any]:
    """A line about a credential and the current version of its secret."""
    uid = (tenant.get(name) or {})["metadata"]["uid"]
    whose = {"namespace": tenant.namespace, "name": name, "uid": uid}
    return {"level": level, "secret": tenant.upstream(), "version": tenant.version(), **whose, **more}


def test_what_is_read_and_mirrored_and_withdrawn_names_the_credential(
    operator: OperatorProcess, tenant: Tenant
) -> None:
    tenant.store(api_key())
    tenant.synced()
    assert told(operator, tenant, "read") == expected(tenant)
    assert told(operator, tenant, "mirror") == expected(tenant, target="github")
    tenant.annotate(allowed_orgs=None)
    tenant.await_no_secret()
    assert told(operator, tenant, "withdraw") == expected(tenant, target="github")
    assert {line["outcome"] for line in lines(operator, tenant)} == {"ok"}


def test_merged_keys_of_a_deleted_credential_are_withdrawn(operator: OperatorProcess, tenant: Tenant) -> None:
    tenant.store(api_key())
    tenant.add_secret("web", metadata={"annotations": {"tolstoy.dev/allow-merge": "github"}})
    tenant.synced(target={"name": "web", "creationPolicy": "Merge"})
    line = expected(tenant, target="web")
    assert told(operator, tenant, "mirror") == line
    tenant.delete()
    tenant.await_data({"theirs": "kept"}, "web")
    assert told(operator, tenant, "withdraw") == line


def test_a_write_that_is_refused_is_told_with_its_error(operator: OperatorProcess, tenant: Tenant) -> None:
    path = f"/api/v1/namespaces/{tenant.namespace}"
    probe, none = {"metadata": {"name": "probe"}}, {"count/secrets": "0"}
    quota = {"metadata": {"name": "none"}, "spec": {"hard": none}}
    assert tenant.admin.post(f"{path}/resourcequotas", quota).ok
    counted = {"status": {"hard": none, "used": none}}  # no controller does that here
    assert tenant.admin.patch(f"{path}/resourcequotas/none/status", counted).ok
    eventually(
        lambda: tenant.admin.post(f"{path}/secrets?dryRun=All", probe).status == 403, what="the quota is in force"
    )
    tenant.store(api_key())
    tenant.create()
    tenant.await_reason("TargetConflict")
    assert told(operator, tenant, "mirror", "Forbidden") == expected(tenant, "warning", target="github")
    assert tenant.admin.delete(f"{path}/resourcequotas/none").ok
    tenant.await_reason("Synced", timeout=60)
    assert told(operator, tenant, "mirror") == expected(tenant, target="github")


def test_first_tokens_name_the_secret_that_they_came_in(operator: OperatorProcess, new_tenant: NewTenant) -> None:
    tenant = new_tenant(allow_import="true")
    tenant.add_secret("consent", metadata=IMPORT, data=handed_over())
    tenant.synced(initialTokensFrom=SOURCE)
    assert told(operator, tenant, "import") == expected(tenant, target="consent")
    assert told(operator, tenant, "mirror") == expected(tenant, target="github")
