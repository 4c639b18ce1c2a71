"""What the spec says about the Secret, and what happens when the spec says something else."""

from __future__ import annotations

from typing import Any

import pytest

from dev.testbed import eventually
from tests.integration.operator.tenant import Tenant, api_key, oauth, oauth_data, value

pytestmark = pytest.mark.integration


class TestContent:
    def test_keys_choose_members(self, tenant: Tenant) -> None:
        tenant.store(oauth())
        tenant.synced(target={"keys": ["accessToken", "scope"]})
        assert tenant.data() == {"accessToken": value("t1"), "scope": "repo"}

    def test_keys_that_are_no_longer_asked_for_go(self, tenant: Tenant) -> None:
        tenant.store(oauth())
        tenant.synced(target={"keys": ["accessToken", "scope"]})
        tenant.edit(target={"keys": ["scope", "tokenType"]})
        tenant.await_data({"scope": "repo", "tokenType": "bearer"})
        assert tenant.await_reason("Synced")["target"]["keys"] == ["scope", "tokenType"]

    def test_without_keys_the_default_is_back(self, tenant: Tenant) -> None:
        tenant.store(oauth())
        tenant.synced(target={"keys": ["scope"]})
        tenant.edit(target={"keys": None})
        tenant.await_data(oauth_data())

    def test_a_template_makes_keys(self, tenant: Tenant) -> None:
        tenant.store({"apiKey": 'a"b c'})
        template = {
            "PLAIN": "key=${apiKey}",
            "JSON": '{"key":${apiKey|json}}',
            "BASE64": "${apiKey|base64}",
            "URL": "https://example.com/?k=${apiKey|urlencode}&x=$${literal}",
        }
        tenant.synced(target={"template": template})
        assert tenant.data() == {
            "PLAIN": 'key=a"b c',
            "JSON": '{"key":"a\\"b c"}',
            "BASE64": "YSJiIGM=",
            "URL": "https://example.com/?k=a%22b%20c&x=${literal}",
        }

    def test_a_template_follows_the_spec_and_upstream(self, tenant: Tenant) -> None:
        tenant.store(api_key())
        tenant.synced(target={"template": {"OLD": "${apiKey}"}})
        tenant.edit(target={"template": {"OLD": None, "NEW": "v=${apiKey}"}})
        tenant.await_data({"NEW": f"v={value('k1')}"})
        tenant.store(api_key("k2"))
        tenant.await_data({"NEW": f"v={value('k2')}"})

    def test_a_template_at_the_limits_of_the_spec(self, tenant: Tenant) -> None:
        tenant.store(api_key())
        template = {f"key-{number:02d}": "${apiKey}" + "x" * 2000 for number in range(64)}
        tenant.synced(target={"template": template})
        assert tenant.data() == {key: value("k1") + "x" * 2000 for key in template}

    def test_two_hundred_keys(self, tenant: Tenant) -> None:
        members = {f"member{number}": f"v{number}" for number in range(200)}
        tenant.store({**members, "other": "x"})
        tenant.synced(target={"keys": sorted(members)})
        assert tenant.data() == members


class TestMetadata:
    def test_labels_and_annotations_are_set_changed_and_removed(self, tenant: Tenant) -> None:
        tenant.store(api_key())
        tenant.synced(
            target={
                "labels": {"keep": "1", "change": "old", "drop": "x"},
                "annotations": {"example.com/keep": "1", "example.com/change": "old", "example.com/drop": "x"},
            }
        )
        tenant.edit(
            target={
                "labels": {"change": "new", "drop": None},
                "annotations": {"example.com/change": "new", "example.com/drop": None},
            }
        )
        labels = {"tolstoy.dev/managed": "true", "keep": "1", "change": "new"}
        eventually(lambda: tenant.metadata()["labels"] == labels, what="the labels are as the spec says")
        annotations = tenant.metadata()["annotations"]
        theirs = {key: text for key, text in annotations.items() if key.startswith("example.com/")}
        assert theirs == {"example.com/keep": "1", "example.com/change": "new"}

    def test_the_secret_names_its_credential_and_the_version(self, tenant: Tenant) -> None:
        tenant.store(api_key())
        tenant.synced()
        body = tenant.get()
        assert body is not None
        assert tenant.metadata()["annotations"] == {
            "tolstoy.dev/credential": "github",
            "tolstoy.dev/credential-uid": body["metadata"]["uid"],
            "tolstoy.dev/upstream-version": tenant.version(),
        }
        owner = {"apiVersion": "tolstoy.dev/v1", "kind": "ToolCredential", "name": "github", "controller": True}
        assert tenant.metadata()["ownerReferences"] == [{**owner, "uid": body["metadata"]["uid"]}]

    def test_the_type_of_the_secret(self, tenant: Tenant) -> None:
        tenant.store(api_key())
        config = '{"auths":{"registry.example.com":{"auth":"${apiKey|base64}"}}}'
        target = {"type": "kubernetes.io/dockerconfigjson", "template": {".dockerconfigjson": config}}
        tenant.synced(target=target)
        body = tenant.secret()
        assert body is not None
        assert body["type"] == "kubernetes.io/dockerconfigjson"

    def test_a_credential_whose_type_must_change_is_made_anew(self, tenant: Tenant) -> None:
        tenant.store(api_key())
        tenant.synced()
        answer = tenant.try_edit(target={"type": "example.com/other"})
        assert answer.status == 422
        assert "type cannot be changed" in answer.message
        tenant.delete()
        tenant.synced(target={"type": "example.com/other"})
        eventually(lambda: (tenant.secret() or {}).get("type") == "example.com/other", what="it has the new type")


class TestRename:
    def test_the_new_secret_is_written_and_the_old_one_goes(self, tenant: Tenant) -> None:
        tenant.store(api_key())
        tenant.synced(target={"name": "before"})
        tenant.edit(target={"name": "after"})
        tenant.await_data(api_key(), "after")
        tenant.await_no_secret("before")
        assert tenant.await_reason("Synced")["target"]["name"] == "after"

    def test_a_rename_to_a_taken_name_keeps_the_old_secret(self, tenant: Tenant) -> None:
        tenant.add_secret("taken")
        tenant.store(api_key())
        tenant.synced(target={"name": "before"})
        tenant.edit(target={"name": "taken"})
        tenant.await_reason("TargetConflict")
        assert tenant.data("before") == api_key()
        assert tenant.data("taken") == {"theirs": "kept"}

    def test_two_credentials_swap_their_names(self, tenant: Tenant) -> None:
        tenant.store(api_key("a"), "one")
        tenant.store(api_key("b"), "two")
        tenant.synced("first", "one", target={"name": "left"})
        tenant.synced("second", "two", target={"name": "right"})
        tenant.edit("first", target={"name": "right"})
        tenant.await_reason("TargetConflict", "first")
        tenant.edit("second", target={"name": "left"})
        tenant.await_reason("TargetConflict", "second")
        tenant.edit("first", target={"name": "middle"})
        tenant.await_data(api_key("a"), "middle")
        tenant.await_data(api_key("b"), "left")
        tenant.await_no_secret("right")


class TestDeletion:
    def test_by_default_the_secret_goes_with_the_credential(self, tenant: Tenant) -> None:
        tenant.store(api_key())
        tenant.synced()
        tenant.delete()
        tenant.await_no_secret()

    def test_a_retained_secret_stays_as_it_is(self, tenant: Tenant) -> None:
        before = _retained(tenant)
        tenant.delete()
        tenant.store(api_key("k2"))
        tenant.store(api_key("neighbour"), "other")
        tenant.synced("neighbour", "other")
        assert tenant.secret() == before

    def test_a_new_credential_of_the_same_name_takes_a_retained_secret_over(self, tenant: Tenant) -> None:
        before = _retained(tenant)
        tenant.delete()
        tenant.store(api_key("k2"))
        tenant.synced()
        after = tenant.await_data(api_key("k2"))["metadata"]
        assert after["uid"] == before["metadata"]["uid"]
        assert [owner["name"] for owner in after["ownerReferences"]] == ["github"]

    def test_a_credential_of_another_name_does_not(self, tenant: Tenant) -> None:
        before = _retained(tenant)
        tenant.delete()
        tenant.create("other", target={"name": "github"})
        tenant.await_reason("TargetConflict", "other")
        assert tenant.secret() == before

    def test_the_policy_can_change(self, tenant: Tenant) -> None:
        _retained(tenant)
        tenant.edit(target={"deletionPolicy": "Delete"})
        eventually(lambda: "ownerReferences" in tenant.metadata(), what="it has an owner")
        tenant.edit(target={"deletionPolicy": "Retain"})
        eventually(lambda: "ownerReferences" not in tenant.metadata(), what="it has no owner")
        tenant.edit(target={"deletionPolicy": "Delete"})
        eventually(lambda: "ownerReferences" in tenant.metadata(), what="it has an owner again")
        tenant.delete()
        tenant.await_no_secret()


class TestOtherForms:
    @pytest.mark.parametrize(
        ("document", "kind", "data"),
        [
            (api_key(), "ApiKey", api_key()),
            ({"webhookSecret": value("w")}, "Webhook", {"webhookSecret": value("w")}),
            ({"clientId": "c", "clientSecret": value("s")}, "ClientCredentials", {"clientId": "c"}),
            ({"DATABASE_URL": "postgres://u@h/d"}, "Database", {"DATABASE_URL": "postgres://u@h/d"}),
            ({"a": "x", "n": 5, "yes": True}, "Opaque", {"a": "x", "n": "5", "yes": "true"}),
            (oauth(unknown={"kept": "upstream"}), "OAuth2", oauth_data()),
        ],
        ids=lambda part: part if isinstance(part, str) else "",
    )
    def test_each_type_is_found_out(
        self, tenant: Tenant, document: dict[str, object], kind: str, data: dict[str, str]
    ) -> None:
        tenant.store(document)
        assert tenant.synced()["credentialType"] == kind
        tenant.await_data(data)

    def test_a_platform_secret_where_it_is_granted(self, tenant: Tenant) -> None:
        name = f"conductor-db-secret-{tenant.namespace}"
        tenant.annotate(allowed_secrets=name)
        tenant.testbed.aws.seed({name: '{"DATABASE_URL":"postgres://app@db/app","DIRECT_URL":"postgres://d@db/app"}'})
        status = tenant.synced("database", None, secretName=name)
        assert status["upstream"]["name"] == name
        tenant.await_data({"DATABASE_URL": "postgres://app@db/app", "DIRECT_URL": "postgres://d@db/app"}, "database")

    def test_a_name_with_every_character_that_is_allowed(self, tenant: Tenant) -> None:
        name = f"A-Za.z0_9+=@x/{tenant.namespace}/B_c-abc123"
        tenant.annotate(allowed_secrets=name, allowed_orgs=f"{tenant.org}, A+b=c.d@e_f-abc123")
        tenant.testbed.aws.seed({name: '{"apiKey":"one"}', "tolstoy/a-1/A+b=c.d@e_f-abc123": '{"apiKey":"two"}'})
        tenant.synced("by-name", None, secretName=name)
        tenant.synced("by-org", "a-1", orgId="A+b=c.d@e_f-abc123")
        tenant.await_data({"apiKey": "one"}, "by-name")
        tenant.await_data({"apiKey": "two"}, "by-org")


def _retained(tenant: Tenant) -> dict[str, Any]:
    """A credential with deletionPolicy Retain and its Secret, which is returned."""
    tenant.store(api_key())
    tenant.synced(target={"deletionPolicy": "Retain"})
    body = tenant.await_data(api_key())
    assert "ownerReferences" not in body["metadata"]
    return body
