"""Objects that claim to be what they are not: Secrets, owners, labels, types and statuses that somebody forged."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from dev.helmcli import NAMESPACE
from dev.testbed import eventually
from tests.integration.attacks.conftest import PREY, Scene
from tests.integration.operator.conftest import NewTenant
from tests.integration.operator.tenant import Tenant, api_key, oauth, value
from tests.support.kubeapi import CREDENTIALS, credential

pytestmark = pytest.mark.integration

THEIRS = {"theirs": "kept"}


@pytest.fixture
def own(tenant: Tenant) -> Tenant:
    """The attacker's namespace, anew for each attack, with something of its own upstream."""
    tenant.store(api_key())
    return tenant


def marks_of(tenant: Tenant, name: str = "github") -> dict[str, Any]:
    """Metadata that makes a Secret look like the one of a tenant's credential, wherever it is."""
    credential_uid = (tenant.get(name) or {})["metadata"]["uid"]
    owner = {"apiVersion": "tolstoy.dev/v1", "kind": "ToolCredential", "name": name, "uid": credential_uid}
    return {
        "labels": {"tolstoy.dev/managed": "true"},
        "annotations": {"tolstoy.dev/credential": name, "tolstoy.dev/credential-uid": credential_uid},
        "ownerReferences": [{**owner, "controller": True}],
    }


class TestForgedMarksOfAVictimsCredential:
    """In the attacker's namespace, so that the operator takes the Secret for the victim's and fills it."""

    @pytest.mark.parametrize("marks", ["labels", "annotations", "ownerReferences", "all"])
    def test_nothing_of_the_victims_is_written_there(self, scene: Scene, own: Tenant, marks: str) -> None:
        forged = marks_of(scene.victim)
        metadata = forged if marks == "all" else {"labels": forged["labels"], marks: forged[marks]}
        own.add_secret("github", metadata=metadata)
        scene.victim.force_sync()
        own.create("other")
        own.await_reason("Synced", "other")
        assert PREY not in str(own.data())
        scene.nothing_was_taken()

    def test_the_victims_secret_is_not_taken_for_stray(self, scene: Scene, own: Tenant) -> None:
        """A second Secret of the same credential could make the operator clean up the wrong one."""
        before = scene.victim.metadata()["uid"]
        own.add_secret("elsewhere", metadata=marks_of(scene.victim))
        scene.victim.force_sync()
        assert scene.victim.metadata()["uid"] == before


class TestSomebodyElsesSecretAsTarget:
    def test_it_is_neither_written_nor_deleted(self, own: Tenant) -> None:
        own.add_secret("web")
        own.create(target={"name": "web"})
        own.await_reason("TargetConflict")
        own.delete()
        eventually(lambda: own.get() is None, what="the credential is gone")
        assert own.data("web") == THEIRS

    def test_not_after_a_status_that_says_it_is_ours(self, own: Tenant) -> None:
        own.add_secret("web")
        own.create(target={"name": "web"})
        own.await_reason("TargetConflict")
        lie(own, {"target": CLAIM})
        own.force_sync()
        own.await_reason("TargetConflict")
        own.annotate(allowed_orgs=None)
        own.await_reason("NamespaceNotBound")
        own.annotate(allowed_orgs=own.org)
        own.edit(target={"name": "other"})
        own.await_reason("Synced")
        assert own.data("web") == THEIRS

    def test_a_merge_without_an_invitation(self, own: Tenant) -> None:
        own.add_secret("web", metadata={"annotations": {"tolstoy.dev/allow-merge": "somebody-else"}})
        own.create(target={"name": "web", "creationPolicy": "Merge"})
        own.await_reason("TargetConflict")
        assert own.data("web") == THEIRS

    def test_a_merge_over_a_key_that_a_status_says_is_ours(self, own: Tenant) -> None:
        own.add_secret("web", data={"apiKey": "kept"}, metadata={"annotations": {"tolstoy.dev/allow-merge": "github"}})
        own.create(target={"name": "web", "creationPolicy": "Merge"})
        own.await_reason("TargetConflict")
        lie(own, {"target": {**CLAIM, "keys": ["apiKey"]}})
        own.force_sync()
        assert own.data("web") == {"apiKey": "kept"}

    def test_a_merge_whose_labels_make_it_ours(self, own: Tenant) -> None:
        own.add_secret("web", metadata={"labels": {"tolstoy.dev/managed": "merged"}})
        own.create(target={"name": "web", "creationPolicy": "Merge"})
        own.await_reason("TargetConflict")
        own.delete()
        assert own.data("web") == THEIRS


CLAIM = {"name": "web", "keys": ["theirs"], "lastSyncTime": "2030-01-01T00:00:00Z"}


def lie(tenant: Tenant, status: dict[str, Any]) -> None:
    """Write a status, as somebody who has got the right to; tenants have it not."""
    path = f"{CREDENTIALS.format(tenant.namespace)}/github/status"
    assert tenant.admin.patch(path, {"status": status}).ok


class TestFalseStatuses:
    """Status is what the operator says, never what it goes by."""

    def test_the_role_of_a_developer_does_not_write_it(self, scene: Scene) -> None:
        for verb, body in (("PATCH", {"status": {"observedGeneration": 9}}), ("PUT", {})):
            answer = scene.developer.request(verb, f"{scene.credentials}/own/status", body)
            assert answer.status == 403, answer

    def test_one_given_at_creation_is_dropped(self, scene: Scene) -> None:
        body = credential("claims", tool="github", orgId=scene.attacker.org)
        body["status"] = {"conditions": [], "upstream": {"name": scene.victim.upstream()}}
        answer = scene.developer.post(scene.credentials, body)
        assert answer.status == 201
        assert "status" not in answer.body
        scene.attacker.await_reason("Synced", "claims")
        scene.nothing_was_taken()

    def test_one_that_names_the_victims_secret_reads_nothing_of_it(self, scene: Scene, own: Tenant) -> None:
        own.synced()
        lie(own, {"upstream": {"name": scene.victim.upstream(), "versionId": "v1"}})
        status = own.force_sync()
        assert status["upstream"]["name"] == own.upstream()
        assert own.data() == api_key()

    def test_one_that_says_all_is_well_is_put_right(self, own: Tenant) -> None:
        own.store("not json")
        own.create()
        told = own.await_reason("SecretMalformed")
        ready = next(item for item in told["conditions"] if item["type"] == "Ready")
        lie(own, {"conditions": [{**ready, "status": "True", "reason": "Synced", "message": "believe me"}]})
        own.await_reason("SecretMalformed")

    def test_one_that_names_a_secret_of_others_deletes_nothing(self, own: Tenant) -> None:
        own.synced()
        own.add_secret("web")
        lie(own, {"target": CLAIM})
        own.force_sync()
        own.delete()
        own.await_no_secret()
        assert own.data("web") == THEIRS


PRIVILEGED = {
    "a token of a ServiceAccount": "kubernetes.io/service-account-token",
    "a bootstrap token": "bootstrap.kubernetes.io/token",
    "a release of Helm": "helm.sh/release.v1",
}


@pytest.mark.parametrize("kind", PRIVILEGED)
def test_a_secret_that_is_itself_a_right(scene: Scene, kind: str) -> None:
    target = {"type": PRIVILEGED[kind], "annotations": {"example.com/a": "b"}}
    answer = scene.apply(tool="github", orgId=scene.attacker.org, target=target)
    assert answer.status == 422, answer


def test_a_pull_secret_that_is_no_pull_secret(own: Tenant) -> None:
    own.create(target={"type": "kubernetes.io/dockerconfigjson", "template": {".dockerconfigjson": "${apiKey}"}})
    own.await_reason("TemplateError")
    assert own.secret() is None


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": {"tolstoy.dev/managed": "import"}},
        {"labels": {"app.kubernetes.io/managed-by": "Helm"}},
        {"annotations": {"tolstoy.dev/credential-uid": "11111111-1111-1111-1111-111111111111"}},
        {"annotations": {"tolstoy.dev/allow-merge": "loot"}},
        {"annotations": {"kubernetes.io/service-account.name": "default"}},
        {"annotations": {"meta.helm.sh/release-name": "x"}},
    ],
    ids=str,
)
def test_marks_of_others_by_way_of_the_target(scene: Scene, own: Tenant, metadata: dict[str, Any]) -> None:
    """A target's labels and annotations end up on the Secret: none of them may change what it is."""
    answer = scene.apply(tool="github", orgId=scene.attacker.org, target=metadata)
    if answer.ok:
        scene.attacker.await_reason("Synced", "loot")
        found = scene.attacker.metadata("loot")
        assert found["labels"]["tolstoy.dev/managed"] == "true"
        assert found["annotations"]["tolstoy.dev/credential"] == "loot"
        scene.attacker.delete("loot")
    else:
        assert answer.status == 422, answer


class TestTheJournal:
    """Secrets in the operator's namespace that hold tokens on their way to the store."""

    NAME = "tolstoy-journal-x1"

    @pytest.fixture
    def entry(self, scene: Scene) -> str:
        """An entry of the journal. Its path."""
        secrets = f"/api/v1/namespaces/{NAMESPACE}/secrets"
        body = {
            "metadata": {"name": self.NAME, "labels": {"tolstoy.dev/journal": "true"}},
            "type": "tolstoy.dev/journal",
            "immutable": True,
            "data": {"payload": base64.b64encode(PREY.encode()).decode()},
        }
        scene.victim.admin.post(secrets, body)
        return f"{secrets}/{self.NAME}"

    def test_a_target_of_its_name_in_the_same_namespace(self, scene: Scene, entry: str) -> None:
        """Even a binding of the operator's own namespace does not let a credential write over it."""
        admin, path = scene.victim.admin, f"/api/v1/namespaces/{NAMESPACE}"
        bind = {"metadata": {"annotations": {"tolstoy.dev/allowed-orgs": scene.attacker.org}}}
        assert admin.patch(path, bind).ok
        body = credential("over", tool="github", orgId=scene.attacker.org, target={"name": self.NAME})
        where = CREDENTIALS.format(NAMESPACE)
        eventually(lambda: admin.post(where, body).status in (201, 409), what="admission has seen the binding")

        def told() -> bool:
            conditions = admin.get(f"{where}/over").body.get("status", {}).get("conditions", [])
            return any(item["reason"] == "TargetConflict" for item in conditions)

        eventually(told, what="it says that the Secret is somebody else's")
        assert admin.delete(f"{where}/over").ok
        assert admin.patch(path, {"metadata": {"annotations": {"tolstoy.dev/allowed-orgs": None}}}).ok
        assert admin.get(entry).body["data"]["payload"] == base64.b64encode(PREY.encode()).decode()

    def test_a_secret_of_its_type_and_name_elsewhere(self, own: Tenant) -> None:
        own.add_secret(self.NAME, type="tolstoy.dev/journal", metadata={"labels": {"tolstoy.dev/journal": "true"}})
        own.synced()
        assert own.data(self.NAME) == THEIRS

    def test_a_target_of_its_type_is_an_ordinary_secret(self, own: Tenant) -> None:
        own.synced(target={"name": self.NAME, "type": "tolstoy.dev/journal"})
        assert own.metadata(self.NAME)["labels"]["tolstoy.dev/managed"] == "true"


FROM: dict[str, Any] = {"initialTokensFrom": {"secretRef": {"name": "web"}}}
IMPORT: dict[str, Any] = {"labels": {"tolstoy.dev/managed": "import"}}


class TestFirstTokensOfSomebodyElse:
    """A Secret that is to be imported is read and then deleted: both must be meant."""

    def test_a_secret_without_the_label(self, new_tenant: NewTenant) -> None:
        tenant = new_tenant(allow_import="true")
        tenant.add_secret("web", data={"accessToken": "theirs"})
        tenant.create(**FROM)
        tenant.await_reason("SecretNotFound")
        assert tenant.data("web") == {"accessToken": "theirs"}

    def test_without_the_right_to_replace_what_others_use(self, own: Tenant) -> None:
        own.add_secret("web", data={"accessToken": "mine"}, metadata=IMPORT)
        own.create(**FROM)
        own.await_reason("ImportNotGranted")
        version = own.version()
        own.force_sync()
        assert own.version() == version
        assert own.data("web") == {"accessToken": "mine"}

    @pytest.mark.parametrize("name", ["../victim/github", "victim/github", "web%2F..", ""])
    def test_a_secret_of_another_namespace(self, scene: Scene, name: str) -> None:
        spec: dict[str, Any] = {"initialTokensFrom": {"secretRef": {"name": name}}}
        answer = scene.apply(tool="github", orgId=scene.attacker.org, **spec)
        assert answer.status == 422, answer


SMUGGLED = {
    "a template": {"template": {"x": "${refreshToken}"}},
    "a filter": {"template": {"x": "${refreshToken|base64}"}},
    "a text around it": {"template": {"config": '{"a":"${accessToken}","b":"${refreshToken|json}"}'}},
    "a key": {"keys": ["accessToken", "refreshToken"]},
    "another spelling": {"template": {"x": "${refresh_token}"}},
    "the client's secret": {"template": {"x": "${clientSecret|urlencode}"}},
    "a member around it": {"template": {"x": "${nested|json}"}},
}


@pytest.mark.parametrize("way", SMUGGLED)
def test_a_refresh_token_is_smuggled_out_by(own: Tenant, way: str) -> None:
    hidden: dict[str, Any] = {
        "refresh_token": value("refresh-other"),
        "nested": {"deep": {"refresh-token": value("refresh-deep")}},
    }
    own.store({**oauth(), **hidden})
    own.create(target=SMUGGLED[way])
    own.await_reason("SensitiveKeyNotGranted")
    assert own.secret() is None


def test_a_refresh_token_is_smuggled_out_by_another_type(own: Tenant) -> None:
    own.store(oauth())
    own.synced(type="Opaque")
    assert not {"refreshToken", "clientSecret"} & (own.data() or {}).keys()
