"""Who may read what: nothing without a binding, and nothing for longer than the binding and its grace."""

from __future__ import annotations

import time

import pytest

from dev.testbed import OperatorProcess, Testbed, eventually
from tests.integration.operator.conftest import NewTenant
from tests.integration.operator.tenant import Tenant, api_key, oauth
from tests.support.kubeapi import CREDENTIALS, credential

pytestmark = pytest.mark.integration

GRACE_S = 3.0  # what a testbed's operator is started with


def test_admission_refuses_what_the_namespace_is_not_bound_to(tenant: Tenant) -> None:
    body = credential("github", tool="github", orgId="org-other")
    answer = tenant.admin.post(CREDENTIALS.format(tenant.namespace), body)
    assert answer.status == 403
    assert f"namespace {tenant.namespace} is not bound to organisation org-other" in answer.message


@pytest.mark.usefixtures("no_policy")
class TestWithoutAdmissionPolicies:
    """The operator checks by itself: an installation may have no policies, and bindings change after admission."""

    def test_a_credential_waits_for_its_namespace_to_be_bound(self, new_tenant: NewTenant) -> None:
        tenant = new_tenant(bound=False)
        tenant.store(oauth())
        tenant.create()
        tenant.await_reason("NamespaceNotBound")
        assert (tenant.condition("Reconciling") or {})["status"] == "True"
        assert tenant.secret() is None
        tenant.annotate(allowed_orgs=tenant.org)
        tenant.await_reason("Synced")
        assert tenant.secret() is not None

    def test_an_organisation_is_bound_by_its_whole_name(self, new_tenant: NewTenant) -> None:
        tenant = new_tenant(bound=False)
        tenant.store(oauth())
        almost = ["*", tenant.org[:-1], f"{tenant.org}0", tenant.org.upper(), f"github/{tenant.org}", "org-*"]
        tenant.annotate(allowed_orgs=",".join(almost), allowed_secrets=f"{tenant.org},tolstoy/github/*")
        tenant.create()
        tenant.await_reason("NamespaceNotBound")
        assert tenant.secret() is None

    def test_a_secret_of_an_organisation_is_not_read_by_another(self, new_tenant: NewTenant) -> None:
        mine, theirs = new_tenant(), new_tenant()
        theirs.store(api_key())
        mine.create(orgId=theirs.org)
        mine.await_reason("NamespaceNotBound")
        assert mine.secret() is None

    def test_a_platform_secret_is_granted_by_its_name(self, new_tenant: NewTenant, testbed: Testbed) -> None:
        tenant = new_tenant()
        name = f"platform-{tenant.namespace}"
        testbed.aws.seed({name: '{"DATABASE_URL":"postgres://app@db/app"}'})
        tenant.annotate(allowed_orgs=f"{tenant.org},{name}")  # an organisation of that name is something else
        tenant.create("database", None, secretName=name)
        tenant.await_reason("NamespaceNotBound", "database")
        assert name in (tenant.condition("Ready", "database") or {})["message"]
        tenant.annotate(allowed_secrets=f"other , {name}")
        tenant.await_reason("Synced", "database")

    def test_the_secret_of_an_organisation_can_be_granted_by_name_alone(self, new_tenant: NewTenant) -> None:
        tenant = new_tenant(bound=False)
        tenant.store(api_key())
        tenant.annotate(allowed_secrets=tenant.upstream())
        tenant.synced("by-name", None, secretName=tenant.upstream())
        tenant.create("by-org")
        tenant.await_reason("NamespaceNotBound", "by-org")


class TestUnbinding:
    @pytest.fixture(autouse=True)
    def mirrored(self, tenant: Tenant) -> None:
        tenant.store(api_key())
        tenant.synced()

    def test_the_mirror_stops_at_once_and_the_secret_goes_after_the_grace(self, tenant: Tenant) -> None:
        started = time.monotonic()
        tenant.annotate(allowed_orgs=None)
        status = tenant.await_reason("NamespaceNotBound")
        assert (tenant.condition("Ready") or {})["status"] == "False"
        assert status["target"]["name"] == "github"
        tenant.store(api_key("k2"))
        tenant.force_sync()
        assert tenant.data() == api_key()
        tenant.await_no_secret()
        assert time.monotonic() - started >= GRACE_S
        eventually(lambda: "target" not in tenant.status(), what="the status names no Secret")

    def test_bound_again_within_the_grace_the_secret_was_never_away(
        self, tenant: Tenant, new_tenant: NewTenant
    ) -> None:
        before = tenant.metadata()["uid"]
        tenant.annotate(allowed_orgs=None)
        tenant.await_reason("NamespaceNotBound")
        tenant.annotate(allowed_orgs=tenant.org)
        tenant.await_reason("Synced")
        other = new_tenant()
        other.store(api_key())
        other.synced()
        other.annotate(allowed_orgs=None)
        other.await_no_secret()  # a grace has passed
        assert tenant.metadata()["uid"] == before

    def test_bound_again_after_the_grace_the_secret_is_back(self, tenant: Tenant) -> None:
        tenant.annotate(allowed_orgs=None)
        tenant.await_no_secret()
        tenant.annotate(allowed_orgs=tenant.org)
        tenant.await_data(api_key())
        tenant.await_reason("Synced")

    def test_it_overrides_retain(self, tenant: Tenant) -> None:
        tenant.edit(target={"deletionPolicy": "Retain"})
        eventually(lambda: "ownerReferences" not in tenant.metadata(), what="it is retained")
        tenant.annotate(allowed_orgs=None)
        tenant.await_no_secret()

    def test_it_overrides_suspend(self, tenant: Tenant) -> None:
        tenant.edit(suspend=True)
        tenant.await_reason("Suspended")
        tenant.annotate(allowed_orgs=None)
        tenant.await_no_secret()

    def test_another_binding_of_the_namespace_stays(self, tenant: Tenant) -> None:
        name = f"granted-{tenant.namespace}"
        tenant.testbed.aws.seed({name: '{"apiKey":"x"}'})
        tenant.annotate(allowed_secrets=name)
        tenant.synced("granted", None, secretName=name)
        tenant.annotate(allowed_orgs=None)
        tenant.await_no_secret("github")
        assert tenant.data("granted") == {"apiKey": "x"}

    def test_an_unbound_credential_can_be_labelled_unfinalized_and_deleted(self, tenant: Tenant) -> None:
        tenant.patch("github", {"metadata": {"finalizers": ["example.com/held"]}})
        tenant.annotate(allowed_orgs=None)
        tenant.await_reason("NamespaceNotBound")
        eventually(lambda: not tenant.try_edit(suspend=True).ok, what="admission has seen that it is unbound")
        tenant.patch("github", {"metadata": {"labels": {"still": "mine"}}})
        tenant.delete()
        tenant.patch("github", {"metadata": {"finalizers": None}})
        assert tenant.get() is None
        tenant.await_no_secret()

    def test_the_grace_is_over_for_a_namespace_whose_credential_was_made_anew(self, tenant: Tenant) -> None:
        """Deleting the credential takes its Secret away at once, bound or not."""
        tenant.annotate(allowed_orgs=None)
        tenant.await_reason("NamespaceNotBound")
        tenant.delete()
        tenant.await_no_secret()


def test_when_many_bindings_go_at_once_nothing_is_withdrawn(tenant: Tenant, operator: OperatorProcess) -> None:
    organisations = [f"{tenant.org}-{number}" for number in range(40)]
    tenant.annotate(allowed_orgs=",".join(organisations))
    for number, organisation in enumerate(organisations):
        tenant.testbed.aws.seed({f"tolstoy/github/{organisation}": '{"apiKey":"x"}'})
        tenant.create(f"c{number}", orgId=organisation)
    expected = {f"c{number}": {"apiKey": "x"} for number in range(40)}
    eventually(lambda: tenant.all_data() == expected, what="all Secrets are there")
    tenant.annotate(allowed_orgs=None)
    eventually(lambda: "more than a tenth of all bindings" in operator.log.read_text(), what="it says that it waits")
    for number in range(40):
        tenant.await_reason("NamespaceNotBound", f"c{number}")
    assert tenant.all_data() == expected
    tenant.annotate(allowed_orgs=",".join(organisations[2:]))  # only two are gone now: that is no mistake any more
    tenant.await_reason("Synced", "c39")
    eventually(lambda: _is_withdrawn(tenant, "c0") and _is_withdrawn(tenant, "c1"), what="these two are withdrawn")
    assert tenant.all_data().keys() == expected.keys() - {"c0", "c1"}


def _is_withdrawn(tenant: Tenant, name: str) -> bool:
    """Asked for, because the operator itself looks at what it holds back once a minute only."""
    tenant.force_sync(name)
    return tenant.secret(name) is None


class TestADyingNamespace:
    def test_it_goes_without_errors(self, new_tenant: NewTenant, operator: OperatorProcess) -> None:
        tenant = new_tenant()
        tenant.store(oauth())
        for number in range(20):
            tenant.create(f"c{number}")
        tenant.await_reason("Synced", "c19")
        tenant.close()
        path = f"/api/v1/namespaces/{tenant.namespace}"
        eventually(lambda: tenant.admin.get(path).status == 404, what="the namespace is gone")
        told = [
            record["msg"]
            for record in operator.records()
            if record.get("namespace") == tenant.namespace and record["level"] in ("warning", "error")
        ]
        assert told == []

    def test_a_namespace_of_the_same_name_starts_from_nothing(self, new_tenant: NewTenant) -> None:
        tenant = new_tenant()
        tenant.store(oauth())
        tenant.synced()
        tenant.close()
        path = f"/api/v1/namespaces/{tenant.namespace}"
        eventually(lambda: tenant.admin.get(path).status == 404, what="the namespace is gone")
        metadata = {"name": tenant.namespace, "annotations": {"tolstoy.dev/allowed-orgs": tenant.org}}
        assert tenant.admin.post("/api/v1/namespaces", {"metadata": metadata}).ok
        tenant.synced()
        assert tenant.secret() is not None
