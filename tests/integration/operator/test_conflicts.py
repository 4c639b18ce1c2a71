"""Whose a Secret is, when several credentials or other people claim it. What is not ours is never written."""

from __future__ import annotations

import time
from typing import Any

import pytest

from dev.testbed import eventually
from tests.integration.operator.tenant import Tenant, api_key

pytestmark = pytest.mark.integration

OURS = {"tolstoy.dev/managed": "true"}


class TestTwoCredentialsOnOneSecret:
    @pytest.fixture(autouse=True)
    def stored(self, tenant: Tenant) -> None:
        tenant.store(api_key("first"), "one")
        tenant.store(api_key("second"), "two")

    def test_the_one_that_has_it_keeps_it_and_the_other_is_told_who(self, tenant: Tenant) -> None:
        tenant.synced("first", "one", target={"name": "shared"})
        tenant.create("second", "two", target={"name": "shared"})
        tenant.await_reason("TargetConflict", "second")
        assert "ToolCredential first" in _message(tenant, "second")
        assert (tenant.condition("Stalled", "second") or {})["status"] == "True"
        assert tenant.force_sync("first")["conditions"][0]["reason"] == "Synced"
        assert tenant.data("shared") == api_key("first")

    def test_renaming_an_older_credential_steals_nothing(self, tenant: Tenant) -> None:
        tenant.synced("older", "one")
        _let_a_second_pass(tenant, "older")
        tenant.synced("younger", "two", target={"name": "shared"})
        tenant.edit("older", target={"name": "shared"})
        tenant.await_reason("TargetConflict", "older")
        assert tenant.data("shared") == api_key("second")
        assert tenant.data("older") == api_key("first"), "the last good Secret stays"

    def test_nobody_has_it_yet_and_the_older_one_wins(self, tenant: Tenant) -> None:
        tenant.create("zulu", "one", target={"name": "shared"})
        _let_a_second_pass(tenant, "zulu")
        tenant.create("alpha", "two", target={"name": "shared"})
        tenant.await_reason("Synced", "zulu")
        tenant.await_reason("TargetConflict", "alpha")
        assert tenant.data("shared") == api_key("first")

    def test_the_loser_takes_over_when_the_winner_goes(self, tenant: Tenant) -> None:
        tenant.synced("first", "one", target={"name": "shared"})
        tenant.create("second", "two", target={"name": "shared"})
        tenant.await_reason("TargetConflict", "second")
        tenant.delete("first")
        tenant.await_data(api_key("second"), "shared")
        tenant.await_reason("Synced", "second")

    def test_the_loser_takes_over_when_the_winner_is_renamed(self, tenant: Tenant) -> None:
        tenant.synced("first", "one", target={"name": "shared"})
        tenant.create("second", "two", target={"name": "shared"})
        tenant.await_reason("TargetConflict", "second")
        tenant.edit("first", target={"name": "elsewhere"})
        tenant.await_data(api_key("second"), "shared")
        tenant.await_data(api_key("first"), "elsewhere")


class TestASecretOfSomebodyElse:
    @pytest.fixture(autouse=True)
    def stored(self, tenant: Tenant) -> None:
        tenant.store(api_key())

    def test_it_is_never_written(self, tenant: Tenant) -> None:
        theirs = tenant.add_secret()
        tenant.create()
        tenant.await_reason("TargetConflict")
        assert "not managed by this operator" in _message(tenant)
        tenant.force_sync()
        assert tenant.secret() == theirs

    def test_the_name_is_taken_over_once_it_is_free(self, tenant: Tenant) -> None:
        tenant.add_secret()
        tenant.create()
        tenant.await_reason("TargetConflict")
        tenant.delete_secret()
        tenant.await_data(api_key())

    def test_it_is_not_deleted_with_the_credential(self, tenant: Tenant) -> None:
        theirs = tenant.add_secret()
        tenant.create()
        tenant.await_reason("TargetConflict")
        tenant.delete()
        tenant.synced("neighbour")
        assert tenant.secret() == theirs

    def test_it_is_not_withdrawn_when_the_namespace_is_unbound(self, tenant: Tenant) -> None:
        theirs = tenant.add_secret()
        tenant.create()
        tenant.await_reason("TargetConflict")
        tenant.synced("neighbour")
        tenant.annotate(allowed_orgs=None)
        tenant.await_no_secret("neighbour")
        assert tenant.secret() == theirs

    def test_not_even_an_equal_one_is_adopted(self, tenant: Tenant) -> None:
        theirs = tenant.add_secret(data=api_key())
        tenant.create()
        tenant.await_reason("TargetConflict")
        assert tenant.secret() == theirs

    def test_an_immutable_one(self, tenant: Tenant) -> None:
        theirs = tenant.add_secret(immutable=True)
        tenant.create()
        tenant.await_reason("TargetConflict")
        assert tenant.secret() == theirs


class TestForgedMarks:
    """Marks of ours on a Secret that is not ours do not make it ours."""

    @pytest.fixture(autouse=True)
    def stored(self, tenant: Tenant) -> None:
        tenant.store(api_key())

    def test_our_label_alone(self, tenant: Tenant) -> None:
        _is_left_alone(tenant, tenant.add_secret(metadata={"labels": OURS}))

    def test_our_annotations_without_the_label(self, tenant: Tenant) -> None:
        uid = tenant.create()["metadata"]["uid"]
        tenant.await_data(api_key())
        tenant.delete()
        tenant.await_no_secret()
        marks = {"tolstoy.dev/credential": "github", "tolstoy.dev/credential-uid": uid}
        _is_left_alone(tenant, tenant.add_secret(metadata={"annotations": marks}))

    def test_the_label_and_annotations_of_another_live_credential(self, tenant: Tenant) -> None:
        other = tenant.create("other")
        marks = {"tolstoy.dev/credential": "github", "tolstoy.dev/credential-uid": other["metadata"]["uid"]}
        _is_left_alone(tenant, tenant.add_secret(metadata={"labels": OURS, "annotations": marks}))

    def test_all_our_marks_under_a_controller_of_somebody_else(self, tenant: Tenant) -> None:
        marks = {"tolstoy.dev/credential": "github", "tolstoy.dev/credential-uid": "8e6a"}
        owner = _config_map(tenant)
        metadata = {"labels": OURS, "annotations": marks, "ownerReferences": [{**owner, "controller": True}]}
        _is_left_alone(tenant, tenant.add_secret(metadata=metadata))
        assert "ConfigMap theirs" in _message(tenant)

    def test_an_owner_that_is_not_the_controller(self, tenant: Tenant) -> None:
        uid = tenant.create(suspend=True)["metadata"]["uid"]
        owner = {"apiVersion": "tolstoy.dev/v1", "kind": "ToolCredential", "name": "github", "uid": uid}
        theirs = tenant.add_secret(metadata={"labels": OURS, "ownerReferences": [owner]})
        tenant.edit(suspend=False)
        tenant.await_reason("TargetConflict")
        assert tenant.secret() == theirs

    def test_our_secret_that_somebody_else_took_over(self, tenant: Tenant) -> None:
        tenant.synced()
        owner = {**_config_map(tenant), "controller": True}
        taken = tenant.patch_secret({"metadata": {"ownerReferences": [owner]}, "stringData": {"apiKey": "theirs"}})
        tenant.await_reason("TargetConflict")
        assert tenant.secret() == taken


class TestAnImmutableSecretOfOurs:
    @pytest.fixture(autouse=True)
    def frozen(self, tenant: Tenant) -> None:
        tenant.store(api_key())
        tenant.synced()
        tenant.patch_secret({"immutable": True})

    def test_it_is_fine_while_nothing_changes(self, tenant: Tenant) -> None:
        assert tenant.force_sync()["conditions"][0]["reason"] == "Synced"

    def test_a_change_that_cannot_be_made_is_told_and_made_once_it_is_deleted(self, tenant: Tenant) -> None:
        tenant.store(api_key("k2"))
        tenant.await_reason("TargetConflict")
        assert "immutable" in _message(tenant)
        assert tenant.data() == api_key()
        tenant.delete_secret()
        tenant.await_data(api_key("k2"))
        tenant.await_reason("Synced")


def test_a_secret_whose_deletion_somebody_holds_up_comes_back_afterwards(tenant: Tenant) -> None:
    tenant.store(api_key())
    tenant.synced()
    tenant.patch_secret({"metadata": {"finalizers": ["example.com/wait"]}})
    before = tenant.metadata()["uid"]
    tenant.delete_secret()
    tenant.force_sync()
    assert tenant.metadata()["uid"] == before
    tenant.patch_secret({"metadata": {"finalizers": None}})
    assert tenant.await_data(api_key())["metadata"]["uid"] != before


def test_a_copy_of_our_secret_is_left_alone(tenant: Tenant) -> None:
    """With its labels and annotations copied it says that it is ours, but we have not written it."""
    tenant.store(api_key())
    tenant.synced(target={"deletionPolicy": "Retain"})
    copied = {part: tenant.metadata()[part] for part in ("labels", "annotations")}
    theirs = tenant.add_secret("copy", metadata=copied)
    tenant.store(api_key("k2"))
    tenant.await_data(api_key("k2"))
    tenant.force_sync()
    assert tenant.secret("copy") == theirs


def _is_left_alone(tenant: Tenant, theirs: dict[str, Any]) -> None:
    tenant.create()
    tenant.await_reason("TargetConflict")
    tenant.force_sync()
    assert tenant.secret() == theirs


def _message(tenant: Tenant, name: str = "github") -> str:
    ready = tenant.condition("Ready", name)
    assert ready is not None
    return str(ready["message"])


def _let_a_second_pass(tenant: Tenant, name: str) -> None:
    """Creation times have whole seconds; after this, another credential is younger."""
    body = tenant.get(name)
    assert body is not None
    created = body["metadata"]["creationTimestamp"]
    eventually(lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()) > created, what="a second has passed")


def _config_map(tenant: Tenant) -> dict[str, Any]:
    """A reference to an owner that exists: the garbage collector takes away what belongs to nobody."""
    path = f"/api/v1/namespaces/{tenant.namespace}/configmaps"
    answer = tenant.admin.post(path, {"metadata": {"name": "theirs"}})
    assert answer.ok, answer
    uid = answer.body["metadata"]["uid"]
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": "theirs", "uid": uid}
