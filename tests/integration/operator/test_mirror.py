"""The main job: what is stored upstream is in the Secret, follows it, and is repaired; the status tells the truth."""

from __future__ import annotations

import pytest

from dev.testbed import eventually
from tests.integration.operator.tenant import TOKEN_ENDS, Tenant, api_key, oauth, oauth_data, value

pytestmark = pytest.mark.integration


def test_an_applied_credential_becomes_a_secret(tenant: Tenant) -> None:
    tenant.store(oauth())
    tenant.synced()
    body = tenant.await_data(oauth_data())
    assert body["type"] == "Opaque"
    assert body["metadata"]["labels"] == {"tolstoy.dev/managed": "true"}


def test_a_status_says_what_was_found_and_written(tenant: Tenant) -> None:
    tenant.store(oauth())
    status = tenant.synced()
    assert status["credentialType"] == "OAuth2"
    assert (status["grant"]["state"], status["grant"]["expiresAt"]) == ("Active", TOKEN_ENDS)
    assert status["target"]["name"] == "github"
    assert status["target"]["keys"] == ["accessToken", "expiresAt", "scope", "tokenType"]
    assert status["upstream"]["name"] == tenant.upstream()
    assert status["upstream"]["versionId"] == tenant.version()
    assert status["upstream"]["region"] == tenant.testbed.aws.region
    conditions = {item["type"]: item["status"] for item in status["conditions"]}
    assert conditions == {"Ready": "True", "Synced": "True", "TokenHealthy": "True"}


def test_kubectl_waits_for_it_and_shows_it(tenant: Tenant) -> None:
    tenant.store(oauth())
    tenant.create()
    kubectl = tenant.testbed.plane.kubectl
    kubectl("wait", "--for=condition=Ready", "tc/github", "-n", tenant.namespace, "--timeout=60s")
    row = kubectl("get", "tc", "github", "-n", tenant.namespace, "--no-headers").stdout.split()
    assert row[:7] == ["github", "github", tenant.org, "OAuth2", "True", "Synced", TOKEN_ENDS]


def test_a_change_upstream_arrives(tenant: Tenant) -> None:
    tenant.store(oauth("before"))
    first = tenant.synced()
    tenant.store(oauth("after"))
    tenant.await_data(oauth_data("after"))
    assert tenant.version() != first["upstream"]["versionId"]
    eventually(
        lambda: tenant.status()["upstream"]["versionId"] == tenant.version(), what="the status names the new version"
    )


def test_a_secret_that_was_missing_upstream_arrives_when_it_is_stored(tenant: Tenant) -> None:
    tenant.create()
    tenant.await_reason("SecretNotFound")
    assert (tenant.condition("Reconciling") or {}).get("status") == "True"
    assert tenant.condition("Stalled") is None
    tenant.store(oauth())
    tenant.await_reason("Synced")
    assert tenant.condition("Reconciling") is None


class TestDrift:
    @pytest.fixture(autouse=True)
    def mirrored(self, tenant: Tenant) -> None:
        tenant.store(api_key())
        tenant.synced(target={"labels": {"team": "blue"}, "annotations": {"example.com/note": "ours"}})

    def test_an_edited_value_is_restored(self, tenant: Tenant) -> None:
        tenant.patch_secret({"stringData": {"apiKey": "typo"}})
        tenant.await_data(api_key())

    def test_a_key_that_others_add_goes(self, tenant: Tenant) -> None:
        tenant.patch_secret({"stringData": {"extra": "x"}})
        tenant.await_data(api_key())

    def test_a_key_that_others_remove_comes_back(self, tenant: Tenant) -> None:
        tenant.patch_secret({"data": None})
        tenant.await_data(api_key())

    def test_our_label_comes_back(self, tenant: Tenant) -> None:
        tenant.patch_secret({"metadata": {"labels": {"tolstoy.dev/managed": None}}})
        eventually(
            lambda: tenant.metadata()["labels"].get("tolstoy.dev/managed") == "true", what="our label is there again"
        )

    def test_a_label_of_the_spec_comes_back(self, tenant: Tenant) -> None:
        tenant.patch_secret({"metadata": {"labels": {"team": "red"}}})
        eventually(lambda: tenant.metadata()["labels"]["team"] == "blue", what="the label is as the spec says")

    def test_labels_and_annotations_of_others_stay(self, tenant: Tenant) -> None:
        theirs = {"labels": {"theirs": "x"}, "annotations": {"theirs": "y"}}
        tenant.patch_secret({"metadata": theirs, "stringData": {"apiKey": "typo"}})
        metadata = tenant.await_data(api_key())["metadata"]
        assert metadata["labels"]["theirs"] == "x"
        assert metadata["annotations"]["theirs"] == "y"

    def test_the_owner_reference_comes_back(self, tenant: Tenant) -> None:
        before = tenant.metadata()["ownerReferences"]
        tenant.patch_secret({"metadata": {"ownerReferences": None}})
        eventually(lambda: tenant.metadata().get("ownerReferences") == before, what="the owner is named again")

    def test_a_deleted_secret_comes_back(self, tenant: Tenant) -> None:
        before = tenant.metadata()["uid"]
        tenant.delete_secret()
        assert tenant.await_data(api_key())["metadata"]["uid"] != before
        tenant.await_reason("Synced")


def test_a_status_that_somebody_else_wrote_is_overwritten(tenant: Tenant) -> None:
    tenant.store(api_key())
    expected = tenant.synced()
    forged = {"status": {"conditions": None, "upstream": {"name": "forged"}}}
    path = f"/apis/tolstoy.dev/v1/namespaces/{tenant.namespace}/toolcredentials/github/status"
    assert tenant.admin.patch(path, forged).ok
    status = tenant.await_reason("Synced")
    assert status["upstream"] == expected["upstream"]


def test_force_sync_reads_upstream_at_once_and_says_so(tenant: Tenant) -> None:
    tenant.store(oauth("before"))
    tenant.synced()
    tenant.testbed.aws.set_list_lag(3600)  # the sweep sees nothing for an hour
    try:
        tenant.store(oauth("after"))
        tenant.force_sync()
        assert tenant.data() == oauth_data("after")
    finally:
        tenant.testbed.aws.set_list_lag(0)


def test_a_suspended_credential_leaves_its_secret_alone_until_it_is_resumed(tenant: Tenant) -> None:
    tenant.store(oauth("before"))
    tenant.synced()
    tenant.edit(suspend=True)
    tenant.await_reason("Suspended")
    assert [(tenant.condition(kind) or {})["status"] for kind in ("Ready", "Synced")] == ["True", "False"]
    tenant.store(oauth("after"))
    tenant.patch_secret({"stringData": {"accessToken": value("by-hand")}})
    tenant.force_sync()
    assert (tenant.data() or {})["accessToken"] == value("by-hand")
    tenant.edit(suspend=False)
    tenant.await_data(oauth_data("after"))
    tenant.await_reason("Synced")
