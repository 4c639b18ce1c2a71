"""What the operator says over HTTP, and to whom: names of tenants' objects only to callers who may list them."""

from __future__ import annotations

import json
import re

import pytest

from dev.testbed import OperatorProcess, eventually
from tests.integration.operator.conftest import NewTenant
from tests.integration.operator.tenant import TOKEN_ENDS_MS, Tenant, oauth
from tests.support.kubeapi import CREDENTIALS, KubeApi

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    return {"METRICS_PER_CREDENTIAL": "true"}


@pytest.fixture
def mirrored(tenant: Tenant) -> Tenant:
    tenant.store(oauth())
    tenant.synced()
    return tenant


def token_of(tenant: Tenant, account: str, *, role: str | None = None) -> str:
    """A token of a new ServiceAccount of the tenant's namespace, bound there to a ClusterRole."""
    admin, namespace = tenant.admin, tenant.namespace
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    assert admin.post(accounts, {"metadata": {"name": account}}).ok
    if role is not None:
        binding = {
            "metadata": {"name": account},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
        }
        assert admin.post(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings", binding).ok
        with admin.as_service_account(account, namespace) as user:
            eventually(lambda: user.get(CREDENTIALS.format(namespace)).ok, what="the role is in force")
    answer = admin.post(f"{accounts}/{account}/token", {"spec": {}})
    return str(answer.body["status"]["token"])


def asked(operator: OperatorProcess, namespace: str | None = None, token: str | None = None) -> tuple[int, list[str]]:
    """The answer to a question for credentials: HTTP status, and whose were named."""
    query = f"?namespace={namespace}" if namespace else ""
    status, text = operator.get(f"/status/detailed{query}", token=token)
    return status, [f"{one['namespace']}/{one['name']}" for one in json.loads(text).get("items", [])]


class TestProbes:
    @pytest.mark.parametrize("path", ["/healthz", "/readyz"])
    def test_they_hold_and_say_what_was_looked_at(self, operator: OperatorProcess, path: str) -> None:
        status, text = operator.get(path)
        body = json.loads(text)
        assert (status, body["status"]) == (200, "ok")
        assert body["checks"]

    def test_health_tells_of_the_store_the_queue_and_the_credentials(
        self, operator: OperatorProcess, mirrored: Tenant
    ) -> None:
        status, text = operator.get("/health")
        body = json.loads(text)
        assert (status, body["status"]) == (200, "healthy")
        assert body["leader"] is True
        assert body["secrets"]["connected"] is True
        assert body["secrets"]["cache"]["entries"] > 0
        assert body["secrets"]["cache"]["staleServed"] >= 0
        assert body["credentials"]["byReason"]["Synced"] >= 1
        assert body["queue"]["oldestOverdueSeconds"] >= 0
        assert mirrored.namespace not in text

    def test_nothing_else_is_served(self, operator: OperatorProcess) -> None:
        assert operator.get("/")[0] == operator.get("/debug")[0] == 404


class TestDetails:
    def test_anybody_sees_figures_and_nobody_names(self, operator: OperatorProcess, mirrored: Tenant) -> None:
        status, text = operator.get("/status/detailed")
        assert status == 200
        assert json.loads(text)["credentials"]["total"] >= 1
        assert mirrored.namespace not in text
        assert mirrored.org not in text

    def test_without_a_token_no_namespace_is_shown(self, operator: OperatorProcess, mirrored: Tenant) -> None:
        assert asked(operator, mirrored.namespace)[0] == 401

    def test_a_token_of_nobody_is_refused(self, operator: OperatorProcess, mirrored: Tenant) -> None:
        assert asked(operator, mirrored.namespace, "not-a-token")[0] == 403
        assert asked(operator, None, "not-a-token")[0] == 403

    def test_a_workload_without_rights_is_refused(self, operator: OperatorProcess, mirrored: Tenant) -> None:
        token = token_of(mirrored, "workload")
        assert asked(operator, mirrored.namespace, token)[0] == 403

    def test_a_developer_sees_the_own_namespace_and_no_other(
        self, operator: OperatorProcess, mirrored: Tenant, new_tenant: NewTenant
    ) -> None:
        other = new_tenant()
        other.store(oauth())
        other.synced()
        token = token_of(mirrored, "developer", role="view")
        assert asked(operator, mirrored.namespace, token) == (200, [f"{mirrored.namespace}/github"])
        assert asked(operator, other.namespace, token) == (403, [])
        assert asked(operator, None, token) == (403, [])

    def test_the_administrator_sees_all(
        self, operator: OperatorProcess, mirrored: Tenant, new_tenant: NewTenant, admin: KubeApi
    ) -> None:
        other = new_tenant()
        other.create("waiting")
        other.await_reason("SecretNotFound", "waiting")
        status, text = operator.get("/status/detailed", token=other.testbed.plane.token)
        found = {(one["namespace"], one["name"]): one for one in json.loads(text)["items"]}
        assert status == 200
        assert found[mirrored.namespace, "github"]["reason"] == "Synced"
        assert found[other.namespace, "waiting"]["reason"] == "SecretNotFound"


class TestMetrics:
    def test_they_count_what_happens(self, operator: OperatorProcess, tenant: Tenant) -> None:
        def figures() -> list[float]:
            return [
                operator.metric('tolstoy_sync_total{outcome="Synced"}'),
                operator.metric('tolstoy_kube_requests_total{code="201",resource="secrets",verb="POST"}'),
                sum(
                    operator.metric(f'tolstoy_upstream_calls_total{{operation="{name}",outcome="ok"}}')
                    for name in ("GetSecretValue", "BatchGetSecretValue")
                ),
            ]

        before = figures()
        tenant.store(oauth())
        tenant.synced()
        eventually(lambda: all(now > then for now, then in zip(figures(), before, strict=True)), what="all have grown")
        assert operator.metric('tolstoy_credentials{reason="Synced"}') >= 1
        assert operator.metric("tolstoy_leader") == 1
        assert operator.metric('tolstoy_sweep_last_success_timestamp_seconds{kind="changed"}') > 0

    def test_those_of_a_credential_are_there_on_demand_and_go_with_it(
        self, operator: OperatorProcess, mirrored: Tenant
    ) -> None:
        labels = f'{{name="github",namespace="{mirrored.namespace}"}}'
        assert operator.metric(f"tolstoy_credential_ready{labels}") == 1
        assert operator.metric(f"tolstoy_credential_expiry_timestamp_seconds{labels}") == TOKEN_ENDS_MS / 1000
        mirrored.store("not json")
        mirrored.await_reason("SecretMalformed")
        assert operator.metric(f"tolstoy_credential_ready{labels}") == 0
        mirrored.delete()
        eventually(lambda: mirrored.namespace not in operator.get("/metrics")[1], what="its series are gone")

    def test_every_series_has_a_help_text_and_our_prefix(self, operator: OperatorProcess) -> None:
        _, text = operator.get("/metrics")
        names = set(re.findall(r"^# HELP (\S+) \S", text, re.MULTILINE))
        assert {name for name in names if not name.startswith(("tolstoy_", "python_", "process_"))} == set()
        assert len(names) > 10
