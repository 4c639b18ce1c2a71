"""Keys of ours in a Secret of somebody else: only where it invites us, only our keys, and never longer than wanted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.operator.tenant import Tenant, api_key, value

pytestmark = pytest.mark.integration

THEIRS = {"theirs": "kept"}


def merging(template: dict[str, str] | None = None, name: str = "web") -> dict[str, Any]:
    """A target that merges the API key as `TOKEN`, unless told otherwise."""
    return {"name": name, "creationPolicy": "Merge", "template": template or {"TOKEN": "${apiKey}"}}


def inviting(*credentials: str) -> dict[str, Any]:
    return {"annotations": {"tolstoy.dev/allow-merge": ",".join(credentials)}}


@pytest.fixture(autouse=True)
def stored(tenant: Tenant) -> None:
    tenant.store(api_key())


def test_keys_are_merged_where_the_secret_invites_the_credential(tenant: Tenant) -> None:
    tenant.add_secret("web", metadata=inviting("github"))
    status = tenant.synced(target=merging())
    body = tenant.await_data({**THEIRS, "TOKEN": value("k1")}, "web")
    assert "ownerReferences" not in body["metadata"]
    assert status["target"]["name"] == "web"
    assert status["target"]["keys"] == ["TOKEN"]


@pytest.mark.parametrize("metadata", [{}, inviting("other")], ids=["no invitation", "an invitation of another"])
def test_an_uninvited_credential_writes_nothing(tenant: Tenant, metadata: dict[str, Any]) -> None:
    theirs = tenant.add_secret("web", metadata=metadata)
    tenant.create(target=merging())
    tenant.await_reason("TargetConflict")
    assert "tolstoy.dev/allow-merge" in (tenant.condition("Ready") or {})["message"]
    tenant.force_sync()
    assert tenant.secret("web") == theirs


def test_an_invitation_that_comes_later_is_taken(tenant: Tenant) -> None:
    tenant.add_secret("web")
    tenant.create(target=merging())
    tenant.await_reason("TargetConflict")
    tenant.patch_secret({"metadata": inviting("github")}, "web")
    tenant.await_data({**THEIRS, "TOKEN": value("k1")}, "web")


def test_a_secret_that_does_not_exist_is_not_created(tenant: Tenant) -> None:
    tenant.create(target=merging())
    tenant.await_reason("TargetConflict")
    tenant.force_sync()
    assert tenant.secret("web") is None


def test_merged_keys_follow_upstream_and_are_repaired(tenant: Tenant) -> None:
    tenant.add_secret("web", metadata=inviting("github"))
    tenant.synced(target=merging())
    tenant.store(api_key("k2"))
    tenant.await_data({**THEIRS, "TOKEN": value("k2")}, "web")
    tenant.patch_secret({"stringData": {"TOKEN": "typo", "more": "also kept"}}, "web")
    tenant.await_data({**THEIRS, "more": "also kept", "TOKEN": value("k2")}, "web")


def test_a_key_that_is_no_longer_asked_for_goes(tenant: Tenant) -> None:
    tenant.add_secret("web", metadata=inviting("github"))
    tenant.synced(target=merging({"OLD": "${apiKey}", "SAME": "${apiKey}"}))
    tenant.edit(target={"template": {"OLD": None, "NEW": "${apiKey}"}})
    tenant.await_data({**THEIRS, "NEW": value("k1"), "SAME": value("k1")}, "web")


def test_the_keys_go_with_the_credential_and_the_secret_stays(tenant: Tenant) -> None:
    tenant.add_secret("web", metadata=inviting("github"))
    tenant.synced(target=merging())
    tenant.delete()
    tenant.await_data(THEIRS, "web")


def test_renaming_the_target_moves_the_keys(tenant: Tenant) -> None:
    tenant.add_secret("web", metadata=inviting("github"))
    tenant.add_secret("api", metadata=inviting("github"))
    tenant.synced(target=merging())
    tenant.edit(target={"name": "api"})
    tenant.await_data({**THEIRS, "TOKEN": value("k1")}, "api")
    tenant.await_data(THEIRS, "web")


def test_a_target_that_is_made_anew_gets_the_keys_again(tenant: Tenant) -> None:
    tenant.add_secret("web", metadata=inviting("github"))
    tenant.synced(target=merging())
    tenant.delete_secret("web")
    tenant.await_reason("TargetConflict")
    tenant.add_secret("web", metadata=inviting("github"))
    tenant.await_data({**THEIRS, "TOKEN": value("k1")}, "web")


def test_an_immutable_target_is_left_alone(tenant: Tenant) -> None:
    theirs = tenant.add_secret("web", metadata=inviting("github"), immutable=True)
    tenant.create(target=merging())
    tenant.await_reason("TargetConflict")
    assert tenant.secret("web") == theirs


def test_a_secret_that_a_credential_owns_invites_nobody(tenant: Tenant) -> None:
    tenant.synced("owner", target={"name": "web"})
    tenant.patch_secret({"metadata": inviting("github")}, "web")
    tenant.create(target=merging())
    tenant.await_reason("TargetConflict")
    assert tenant.data("web") == api_key()


def test_unbinding_takes_the_keys_out(tenant: Tenant) -> None:
    tenant.add_secret("web", metadata=inviting("github"))
    tenant.synced(target=merging())
    tenant.annotate(allowed_orgs=None)
    tenant.await_data(THEIRS, "web")


class TestTwoCredentials:
    @pytest.fixture(autouse=True)
    def both_stored(self, tenant: Tenant) -> None:
        tenant.store(api_key("one"), "one")
        tenant.store(api_key("two"), "two")
        tenant.add_secret("web", metadata=inviting("first"))

    def test_each_has_its_keys_and_loses_only_those(self, tenant: Tenant) -> None:
        tenant.synced("first", "one", target=merging({"ONE": "${apiKey}"}))
        tenant.patch_secret({"metadata": inviting("second")}, "web")
        tenant.synced("second", "two", target=merging({"TWO": "${apiKey}"}))
        tenant.await_data({**THEIRS, "ONE": value("one"), "TWO": value("two")}, "web")
        tenant.delete("second")
        tenant.await_data({**THEIRS, "ONE": value("one")}, "web")

    def test_a_key_of_the_other_is_not_taken(self, tenant: Tenant) -> None:
        tenant.synced("first", "one", target=merging({"SAME": "${apiKey}"}))
        tenant.patch_secret({"metadata": inviting("second")}, "web")
        tenant.create("second", "two", target=merging({"SAME": "${apiKey}"}))
        tenant.await_reason("TargetConflict", "second")
        assert '"SAME"' in (tenant.condition("Ready", "second") or {})["message"]
        tenant.force_sync("second")
        assert tenant.data("web") == {**THEIRS, "SAME": value("one")}

    def test_a_key_is_free_once_the_other_is_gone(self, tenant: Tenant) -> None:
        tenant.synced("first", "one", target=merging({"SAME": "${apiKey}"}))
        tenant.patch_secret({"metadata": inviting("second")}, "web")
        tenant.create("second", "two", target=merging({"SAME": "${apiKey}"}))
        tenant.await_reason("TargetConflict", "second")
        tenant.delete("first")
        tenant.await_data({**THEIRS, "SAME": value("two")}, "web")


def test_a_key_that_the_owner_has_is_not_taken(tenant: Tenant) -> None:
    theirs = tenant.add_secret("web", metadata=inviting("github"), data={"TOKEN": "theirs"})
    tenant.create(target=merging())
    tenant.await_reason("TargetConflict")
    assert '"TOKEN"' in (tenant.condition("Ready") or {})["message"]
    tenant.force_sync()
    assert tenant.secret("web") == theirs
