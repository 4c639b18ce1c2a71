"""What the operator may do in the cluster, and what it may not, each tried with its own token."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dev.helmcli import NAMESPACE, RELEASE
from tests.integration.helm.conftest import Installed, Team, new_team
from tests.support import docs, rights
from tests.support.kubeapi import APPLY_PATCH, JSON_PATCH, Answer, KubeApi, credential
from tests.support.waiting import wait_until
from tolstoy_operator.api.names import RESTARTED_AT, SECRET_CHANGED

pytestmark = pytest.mark.integration

CORE = "/api/v1"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
SECRETS = f"{CORE}/namespaces/{{}}/secrets"


MANAGED = {"labels": {"tolstoy.dev/managed": "true"}}
INVITING = {"annotations": {"tolstoy.dev/allow-merge": "github"}}


def secret(name: str, metadata: dict[str, Any] | None = None, **members: object) -> dict[str, Any]:
    meta = {"name": name, **(MANAGED if metadata is None else metadata)}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": {"accessToken": "dGVzdA=="}, **members}


def owned_by(credential: dict[str, Any], *, controller: bool = True) -> dict[str, Any]:
    """Metadata that makes a ToolCredential the owner."""
    owner = {"name": credential["metadata"]["name"], "uid": credential["metadata"]["uid"], "controller": controller}
    return {"ownerReferences": [{"apiVersion": "tolstoy.dev/v1", "kind": "ToolCredential", **owner}]}


def lease(name: str) -> dict[str, Any]:
    spec = {"holderIdentity": "a", "leaseDurationSeconds": 10}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec}


@pytest.fixture
def operator(installed: Installed) -> KubeApi:
    return installed.operator


@pytest.fixture
def bound(team: Team) -> str:
    """Path of a credential `github` in the team's namespace, which is bound to its organisation."""
    return with_credential(team)


def with_credential(team: Team) -> str:
    team.annotate(allowed_orgs="org-abc123")
    assert team.developer.post(team.credentials, credential("github", tool="github", orgId="org-abc123")).ok
    return f"{team.credentials}/github"


@pytest.fixture
def web(team: Team) -> str:
    """Path of a pod in the team's namespace."""
    return with_pod(team)


def with_pod(team: Team) -> str:
    account = f"{CORE}/namespaces/{team.namespace}/serviceaccounts/default"
    wait_until(lambda: team.admin.get(account).ok, "the namespace has its ServiceAccount")
    metadata = {"name": "web", "labels": {"app": "web"}, "annotations": {"example.com/theirs": "kept"}}
    spec = {"containers": [{"name": "web", "image": "registry.example.com/web"}]}
    pods = f"{CORE}/namespaces/{team.namespace}/pods"
    assert team.developer.post(pods, {"metadata": metadata, "spec": spec}).ok
    return f"{pods}/web"


def pod_template(**members: object) -> dict[str, Any]:
    return {"spec": {"template": members}}


def with_workload(team: Team, kind: str) -> str:
    """Path of a workload `web` in the team's namespace."""
    template = {
        "metadata": {"labels": {"app": "web"}, "annotations": {"example.com/theirs": "kept"}},
        "spec": {"containers": [{"name": "web", "image": "registry.example.com/web"}]},
    }
    spec: dict[str, Any] = {"selector": {"matchLabels": {"app": "web"}}, "template": template}
    if kind == "StatefulSet":
        spec["serviceName"] = "web"
    path = f"/apis/apps/v1/namespaces/{team.namespace}/{kind.lower()}s"
    answer = team.developer.post(path, {"metadata": {"name": "web", "labels": {"app": "web"}}, "spec": spec})
    assert answer.ok, answer
    return f"{path}/web"


@pytest.fixture(scope="module")
def prey(installed: Installed) -> Iterator[Team]:
    """A team with a credential, whose namespace no test changes."""
    with new_team(installed.admin) as team:
        with_credential(team)
        yield team


def inside(team: Team, path: str) -> str:
    """`path` with the team's namespace in the places that ask for it."""
    return path.format(
        team=f"/apis/tolstoy.dev/v1/namespaces/{team.namespace}",
        core=f"{CORE}/namespaces/{team.namespace}",
        apps=f"/apis/apps/v1/namespaces/{team.namespace}",
    )


class TestWhatItDoes:
    """One test for each verb in the chart's roles."""

    @pytest.mark.parametrize(
        "path",
        [
            "/apis/tolstoy.dev/v1/toolcredentials",
            f"{CORE}/secrets?labelSelector=tolstoy.dev/managed=true",
            f"{CORE}/namespaces",
        ],
    )
    def test_it_lists_and_watches(self, operator: KubeApi, path: str) -> None:
        assert operator.get(path).ok
        watch = f"{path}{'&' if '?' in path else '?'}watch=true&timeoutSeconds=1"
        assert operator.get(watch).status == 200

    def test_it_reads_a_credential_and_says_how_it_is(self, operator: KubeApi, bound: str) -> None:
        assert operator.get(bound).ok
        answer = operator.patch(f"{bound}/status", {"status": {"observedGeneration": 1}})
        assert answer.body["status"] == {"observedGeneration": 1}

    def test_it_reads_a_namespace(self, operator: KubeApi, team: Team) -> None:
        assert operator.get(f"{CORE}/namespaces/{team.namespace}").ok

    def test_it_writes_secrets_in_all_its_ways(self, operator: KubeApi, team: Team) -> None:
        secrets = SECRETS.format(team.namespace)
        assert operator.post(secrets, secret("github")).status == 201
        assert operator.get(f"{secrets}/github").ok
        uid = operator.get(f"{secrets}/github").body["metadata"]["uid"]
        replace = [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "replace", "path": "/data", "value": {}},
        ]
        assert operator.patch(f"{secrets}/github", replace, JSON_PATCH).ok
        merged = operator.patch(f"{secrets}/github?fieldManager=tolstoy-1", secret("github"), APPLY_PATCH)
        assert merged.ok, merged
        assert operator.delete(f"{secrets}/github").ok

    def test_it_owns_secrets_without_blocking_anybody(self, operator: KubeApi, team: Team, bound: str) -> None:
        owned = secret("github", MANAGED | owned_by(operator.get(bound).body))
        assert operator.post(SECRETS.format(team.namespace), owned).status == 201

    def test_it_keeps_a_journal_in_its_own_namespace(self, operator: KubeApi, team: Team) -> None:
        entry = secret("tolstoy-journal-1", {}, type="tolstoy.dev/journal", immutable=True)
        journal = SECRETS.format(NAMESPACE)
        assert operator.post(journal, entry).status == 201
        assert operator.patch(f"{journal}/tolstoy-journal-1", {"metadata": MANAGED}).status == 403
        assert operator.delete(f"{journal}/tolstoy-journal-1").ok
        assert operator.post(SECRETS.format(team.namespace), entry).status == 403

    def test_it_finds_pods_and_has_their_kubelet_look(self, operator: KubeApi, web: str) -> None:
        (found,) = operator.get(web.rpartition("/")[0]).body["items"]
        body = {"metadata": {"uid": found["metadata"]["uid"], "annotations": {SECRET_CHANGED: "12"}}}
        assert operator.patch(web, body).ok
        body["metadata"]["uid"] = "11111111-1111-1111-1111-111111111111"
        assert operator.patch(web, body).status == 422

    @pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
    def test_it_restarts_workloads(self, operator: KubeApi, team: Team, kind: str) -> None:
        path = with_workload(team, kind)
        for at in ("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"):
            answer = operator.patch(path, pod_template(metadata={"annotations": {RESTARTED_AT: at}}))
            assert answer.ok, answer
            assert answer.body["spec"]["template"]["metadata"]["annotations"][RESTARTED_AT] == at

    def test_it_tells_what_happened(self, operator: KubeApi, team: Team) -> None:
        event = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": "github.1"},
            "eventTime": "2030-01-01T00:00:00.000000Z",
            "reportingController": "tolstoy.dev/operator",
            "reportingInstance": "a",
            "action": "Sync",
            "reason": "Synced",
            "type": "Normal",
            "regarding": {"apiVersion": "tolstoy.dev/v1", "kind": "ToolCredential", "name": "github"},
        }
        event["regarding"]["namespace"] = team.namespace  # type: ignore[index]
        path = f"/apis/events.k8s.io/v1/namespaces/{team.namespace}/events"
        assert operator.post(path, event).status == 201

    def test_it_holds_its_lease(self, operator: KubeApi, installed: Installed) -> None:
        path = f"{LEASES}/tolstoy-operator"
        assert operator.post(LEASES, lease("tolstoy-operator")).status == 201
        held = operator.get(path).body
        held["spec"]["holderIdentity"] = "b"
        assert operator.request("PUT", path, held).ok
        assert installed.admin.delete(path).ok

    def test_it_asks_who_somebody_is_and_what_they_may(self, operator: KubeApi) -> None:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": "x"}}
        assert operator.post("/apis/authentication.k8s.io/v1/tokenreviews", review).status == 201
        attributes = {"group": "tolstoy.dev", "resource": "toolcredentials", "verb": "get"}
        access = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": "u", "resourceAttributes": attributes},
        }
        assert operator.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", access).status == 201


FORBIDDEN: list[tuple[str, str, object]] = [
    # credentials are the tenants'
    ("POST", "{team}/toolcredentials", credential("mine", tool="github", orgId="org-abc123")),
    ("DELETE", "{team}/toolcredentials/github", None),
    ("DELETE", "{team}/toolcredentials", None),
    # Secrets: no replacing without a test of what is replaced, no sweeping
    ("PUT", "{core}/secrets/github", secret("github")),
    ("DELETE", "{core}/secrets", None),
    # bindings are the platform's
    ("POST", f"{CORE}/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mine"}}),
    ("PATCH", "{core}", {"metadata": {"annotations": {"tolstoy.dev/allowed-orgs": "org-x"}}}),
    ("PATCH", "{core}/status", {"metadata": {"annotations": {"tolstoy.dev/allowed-orgs": "org-x"}}}),
    ("DELETE", "{core}", None),
    # no code
    ("GET", "{core}/pods/web", None),
    ("GET", "{core}/pods?watch=true", None),
    ("PUT", "{core}/pods/web", {}),
    ("DELETE", "{core}/pods/web", None),
    ("PATCH", "{core}/pods/web/status", {}),
    ("PATCH", "{core}/pods/web/ephemeralcontainers", {}),
    ("PATCH", "{core}/pods/web/resize", {}),
    ("POST", "{core}/pods", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}),
    ("POST", "{core}/pods/web/exec?command=sh", None),
    ("POST", "{core}/pods/web/ephemeralcontainers", None),
    ("GET", "{core}/pods/web/log", None),
    ("GET", "/apis/apps/v1/deployments", None),
    ("GET", "{apps}/deployments/web", None),
    ("POST", "{apps}/deployments", {}),
    ("PUT", "{apps}/statefulsets/web", {}),
    ("DELETE", "{apps}/daemonsets/web", None),
    ("PATCH", "{apps}/deployments/web/scale", {"spec": {"replicas": 0}}),
    ("PATCH", "{apps}/deployments/web/status", {}),
    ("PATCH", "{apps}/replicasets/web", {}),
    ("POST", "/apis/batch/v1/namespaces/default/jobs", {}),
    ("GET", f"{CORE}/nodes", None),
    ("GET", f"{CORE}/nodes/n/proxy/pods", None),
    ("POST", "{core}/pods/web/eviction", {}),
    ("POST", "{core}/pods/web/binding", {}),
    ("GET", "{core}/services/web/proxy/", None),
    ("POST", "{core}/services", {}),
    ("GET", f"/apis/apps/v1/namespaces/{NAMESPACE}/statefulsets", None),
    # no other rights, and nobody else's identity
    ("GET", f"{CORE}/serviceaccounts", None),
    ("POST", f"{CORE}/namespaces/{NAMESPACE}/serviceaccounts/{RELEASE}/token", {}),
    ("POST", "{core}/serviceaccounts/default/token", {}),
    ("GET", f"{RBAC}/clusterroles", None),
    ("PATCH", f"{RBAC}/clusterroles/{RELEASE}", {"rules": []}),
    ("POST", f"{RBAC}/clusterrolebindings", {}),
    ("POST", f"{RBAC}/namespaces/{NAMESPACE}/rolebindings", {}),
    ("POST", "/apis/certificates.k8s.io/v1/certificatesigningrequests", {}),
    # nothing that guards it
    ("GET", f"{ADMISSION}/validatingadmissionpolicies", None),
    ("DELETE", f"{ADMISSION}/validatingadmissionpolicybindings/namespace-binding.tolstoy.dev", None),
    ("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", None),
    ("DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/toolcredentials.tolstoy.dev", None),
    # its Lease and no other
    ("GET", f"{LEASES}/other", None),
    ("PUT", f"{LEASES}/other", lease("other")),
    ("GET", LEASES, None),
    ("DELETE", f"{LEASES}/tolstoy-operator", None),
    ("POST", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases", lease("tolstoy-operator")),
    # what it doesn't need
    ("GET", f"{CORE}/configmaps", None),
    ("GET", "/apis/events.k8s.io/v1/events", None),
    ("POST", "{core}/events", {}),
    ("GET", "/metrics", None),
]


@pytest.mark.parametrize(("method", "path", "body"), FORBIDDEN, ids=lambda part: part if isinstance(part, str) else "")
def test_it_is_denied(operator: KubeApi, prey: Team, method: str, path: str, body: object) -> None:
    answer = operator.request(method, inside(prey, path), body)
    assert answer.status == 403, answer
    assert f'User "system:serviceaccount:{NAMESPACE}:{RELEASE}" cannot' in answer.message


@pytest.mark.parametrize(
    ("verb", "group", "resource"),
    [
        ("impersonate", "", "users"),
        ("impersonate", "", "serviceaccounts"),
        ("escalate", "rbac.authorization.k8s.io", "clusterroles"),
        ("bind", "rbac.authorization.k8s.io", "clusterroles"),
        ("bind", "tolstoy.dev", "organizations"),
        ("approve", "certificates.k8s.io", "signers"),
        ("*", "*", "*"),
    ],
)
def test_it_has_no_right_that_makes_more_of_them(operator: KubeApi, verb: str, group: str, resource: str) -> None:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": verb, "group": group, "resource": resource}},
    }
    answer = operator.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    assert answer.body["status"]["allowed"] is False


class TestWhatItMayPatchOfACredential:
    """RBAC lets the operator patch any part; a policy keeps it to its own finalizer."""

    OURS = "tolstoy.dev/revoke"

    @pytest.mark.parametrize("others", [[], ["example.com/theirs"]])
    def test_its_finalizer_comes_and_goes(self, operator: KubeApi, team: Team, bound: str, others: list[str]) -> None:
        assert team.developer.patch(bound, {"metadata": {"finalizers": others}}).ok
        for finalizers in ([*others, self.OURS], others):
            answer = operator.patch(bound, {"metadata": {"finalizers": finalizers or None}})
            assert answer.ok, answer
        assert team.developer.patch(bound, {"metadata": {"finalizers": None}}).ok

    @pytest.mark.parametrize(
        "body",
        [
            {"spec": {"suspend": True}},
            {"spec": {"oauth": {"revocationPolicy": "Revoke"}}},
            {"metadata": {"finalizers": ["example.com/mine"]}},
            {"metadata": {"labels": {"a": "b"}}},
            {"metadata": {"annotations": {"tolstoy.dev/force-sync": "x"}}},
            {"metadata": owned_by({"metadata": {"name": "x", "uid": "11111111-1111-1111-1111-111111111111"}})},
        ],
    )
    def test_nothing_else_does(self, operator: KubeApi, team: Team, bound: str, body: dict[str, Any]) -> None:
        assert team
        answer = operator.patch(bound, body)
        assert answer.status == 403, answer
        assert "the operator changes nothing of a ToolCredential but its own finalizer" in answer.message

    def test_somebody_elses_finalizer_stays(self, operator: KubeApi, team: Team, bound: str) -> None:
        assert team.developer.patch(bound, {"metadata": {"finalizers": ["example.com/theirs"]}}).ok
        assert operator.patch(bound, {"metadata": {"finalizers": None}}).status == 403
        assert team.developer.patch(bound, {"metadata": {"finalizers": None}}).ok

    def test_others_are_not_held_to_it(self, team: Team, bound: str) -> None:
        assert team.developer.patch(bound, {"metadata": {"labels": {"a": "b"}}}).ok


class TestWhatItMayPatchOfAPod:
    """RBAC lets the operator patch any part; a policy keeps it to one annotation, and that to a number."""

    @pytest.mark.parametrize(
        "body",
        [
            {"spec": {"activeDeadlineSeconds": 1}},
            {"metadata": {"labels": {"app": "theirs"}}},
            {"metadata": {"labels": {"app": None}}},
            {"metadata": {"annotations": {"example.com/mine": "x"}}},
            {"metadata": {"annotations": {"example.com/theirs": "other"}}},
            {"metadata": {"annotations": {"example.com/theirs": None}}},
            {"metadata": {"annotations": {SECRET_CHANGED: "12", "example.com/theirs": "other"}}},
            {"metadata": {"annotations": {SECRET_CHANGED: "x"}}},
            {"metadata": {"annotations": {SECRET_CHANGED: "1" * 21}}},
            {"metadata": {"finalizers": ["example.com/mine"]}},
            {"metadata": owned_by({"metadata": {"name": "x", "uid": "11111111-1111-1111-1111-111111111111"}})},
        ],
        ids=json.dumps,
    )
    def test_nothing_else(self, operator: KubeApi, web: str, body: dict[str, Any]) -> None:
        answer = operator.patch(web, body)
        assert answer.status == 403, answer
        assert "the operator changes nothing of a pod but its annotation" in answer.message

    def test_no_other_image(self, operator: KubeApi, web: str) -> None:
        image = [{"op": "replace", "path": "/spec/containers/0/image", "value": "registry.example.com/theirs"}]
        answer = operator.patch(web, image, JSON_PATCH)
        assert answer.status == 403, answer
        assert "the operator changes nothing of a pod but its annotation" in answer.message

    def test_others_are_not_held_to_it(self, team: Team, web: str) -> None:
        assert team.developer.patch(web, {"metadata": {"labels": {"app": "other"}}}).ok


class TestWhatItMayPatchOfAWorkload:
    """RBAC lets the operator patch any part; a policy keeps it to one annotation of the pod template."""

    MINE: ClassVar = {"example.com/mine": "x"}

    @pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
    @pytest.mark.parametrize(
        "body",
        [
            pod_template(metadata={"annotations": MINE}),
            pod_template(metadata={"annotations": {"example.com/theirs": None}}),
            pod_template(metadata={"annotations": {RESTARTED_AT: "x"}}),
            pod_template(metadata={"annotations": {RESTARTED_AT: "2026-01-01T00:00:00Z", **MINE}}),
            pod_template(metadata={"labels": MINE}),
            pod_template(spec={"serviceAccountName": "admin"}),
            pod_template(spec={"hostNetwork": True}),
            pod_template(spec={"terminationGracePeriodSeconds": 1}),
            {"metadata": {"labels": MINE}},
            {"metadata": {"annotations": MINE}},
            {"metadata": {"annotations": {RESTARTED_AT: "2026-01-01T00:00:00Z"}}},
            {"metadata": {"finalizers": ["example.com/mine"]}},
            {"metadata": owned_by({"metadata": {"name": "x", "uid": "11111111-1111-1111-1111-111111111111"}})},
            {"spec": {"revisionHistoryLimit": 1}},
            {"spec": {"minReadySeconds": 1}},
        ],
        ids=json.dumps,
    )
    def test_nothing_else(self, operator: KubeApi, team: Team, kind: str, body: dict[str, Any]) -> None:
        self.is_refused(operator.patch(with_workload(team, kind), body))

    @pytest.mark.parametrize(
        "operation",
        [
            {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "registry.example.com/theirs"},
            {"op": "add", "path": "/spec/template/spec/containers/0/command", "value": ["sh"]},
            {"op": "replace", "path": "/spec/replicas", "value": 0},
            {"op": "add", "path": "/spec/paused", "value": True},
        ],
        ids=lambda operation: operation["path"],
    )
    def test_no_other_image_and_no_other_size(self, operator: KubeApi, team: Team, operation: object) -> None:
        self.is_refused(operator.patch(with_workload(team, "Deployment"), [operation], JSON_PATCH))

    def is_refused(self, answer: Answer) -> None:
        assert answer.status == 403, answer
        assert "the operator changes nothing of a workload but the annotation" in answer.message

    def test_others_are_not_held_to_it(self, team: Team) -> None:
        assert team.developer.patch(with_workload(team, "Deployment"), {"spec": {"replicas": 3}}).ok


class TestWhatAStolenTokenCannotDoToSecrets:
    """RBAC lets the operator write any Secret; a policy keeps it to its own."""

    @pytest.fixture
    def secrets(self, team: Team) -> str:
        return SECRETS.format(team.namespace)

    @pytest.mark.parametrize(
        "body",
        [
            secret("x", {}),
            secret("x", {"labels": {"tolstoy.dev/managed": "merged"}}),
            secret("x", INVITING),
            secret("x", MANAGED, type="bootstrap.kubernetes.io/token"),
            secret(
                "x",
                MANAGED | {"annotations": {"kubernetes.io/service-account.name": "default"}},
                type="kubernetes.io/service-account-token",
            ),
        ],
        ids=["unmarked", "merged", "inviting", "bootstrap token", "service account token"],
    )
    def test_create(self, operator: KubeApi, secrets: str, body: dict[str, Any]) -> None:
        answer = operator.post(secrets, body)
        assert answer.status == 403, answer
        assert "the operator creates only Secrets with the label tolstoy.dev/managed=true" in answer.message

    def test_touch_those_of_others(self, operator: KubeApi, team: Team, secrets: str) -> None:
        assert team.developer.post(secrets, secret("theirs", {"labels": {"app": "web"}})).ok
        path = f"{secrets}/theirs"
        for answer in (
            operator.patch(path, {"data": {"accessToken": "eA=="}}),
            operator.patch(path, {"metadata": MANAGED}),
            operator.patch(path, {"metadata": INVITING}),
            operator.patch(f"{path}?fieldManager=tolstoy-1&force=true", secret("theirs"), APPLY_PATCH),
            operator.delete(path),
        ):
            assert answer.status == 403, answer
            assert "the operator writes only Secrets that are its own or that invite it" in answer.message

    def test_take_one_for_its_own_that_a_credential_merely_owns(
        self, operator: KubeApi, team: Team, secrets: str, bound: str
    ) -> None:
        body = team.developer.get(bound).body
        assert team.developer.post(secrets, secret("theirs", owned_by(body, controller=False))).ok
        assert operator.patch(f"{secrets}/theirs", {"data": {}}).status == 403

    @pytest.mark.parametrize(
        ("metadata", "deleted"),
        [(MANAGED, True), (INVITING, False), ({"labels": {"tolstoy.dev/managed": "merged"}}, False)],
        ids=["managed", "inviting", "merged"],
    )
    def test_but_it_can_write_what_is_meant_for_it(
        self, operator: KubeApi, team: Team, secrets: str, metadata: dict[str, Any], deleted: bool
    ) -> None:
        assert team.developer.post(secrets, secret("ours", metadata)).ok
        assert operator.patch(f"{secrets}/ours", {"data": {"accessToken": "eA=="}}).ok
        assert operator.delete(f"{secrets}/ours").ok is deleted

    def test_and_its_own_when_the_label_was_taken_off(
        self, operator: KubeApi, team: Team, secrets: str, bound: str
    ) -> None:
        assert team.developer.post(secrets, secret("ours", owned_by(team.developer.get(bound).body))).ok
        assert operator.patch(f"{secrets}/ours", {"metadata": MANAGED}).ok
        assert operator.delete(f"{secrets}/ours").ok

    def test_others_are_not_held_to_it(self, team: Team, secrets: str) -> None:
        assert team.developer.post(secrets, secret("theirs", {})).ok
        assert team.developer.patch(f"{secrets}/theirs", {"data": {}}).ok
        assert team.developer.delete(f"{secrets}/theirs").ok


HOOK = f"{RELEASE}-release-finalizers"


@pytest.fixture(scope="module")
def hook(installed: Installed) -> Iterator[KubeApi]:
    """The identity that the uninstall hook brings along."""
    manifests = installed.helm.run("get", "hooks", RELEASE, "--namespace", NAMESPACE).stdout
    installed.plane.kubectl("apply", "--namespace", NAMESPACE, "-f", "-", stdin=manifests)
    with installed.admin.as_service_account(HOOK, NAMESPACE) as hook:
        wait_until(lambda: hook.get("/apis/tolstoy.dev/v1/toolcredentials").ok, "the hook's role is in force")
        yield hook
    installed.plane.kubectl("delete", "--namespace", NAMESPACE, "-f", "-", stdin=manifests)


class TestTheUninstallHook:
    """The hook's identity takes finalizers off, and that is all."""

    def test_the_command_takes_our_finalizer_off_and_leaves_others(
        self, hook: KubeApi, installed: Installed, team: Team, bound: str
    ) -> None:
        assert hook
        finalizers = ["example.com/theirs", "tolstoy.dev/revoke"]
        assert team.developer.patch(bound, {"metadata": {"finalizers": finalizers}}).ok
        kubeconfig = installed.plane.kubeconfig_for(HOOK, NAMESPACE)
        subprocess.run(
            [sys.executable, "-m", "tolstoy_operator", "release-finalizers"],
            env={"KUBECONFIG": str(kubeconfig), "AWS_REGION": "eu-west-1", "USER": "tolstoy", "HOME": "/nonexistent"},
            check=True,
            timeout=60,
        )
        assert team.developer.get(bound).body["metadata"]["finalizers"] == ["example.com/theirs"]
        assert team.developer.patch(bound, {"metadata": {"finalizers": None}}).ok

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", f"{CORE}/secrets"),
            ("GET", f"{CORE}/namespaces"),
            ("DELETE", "{team}/toolcredentials/github"),
            ("PATCH", "{team}/toolcredentials/github/status"),
            ("GET", LEASES),
        ],
    )
    def test_it_is_denied_the_rest(self, hook: KubeApi, prey: Team, method: str, path: str) -> None:
        assert hook.request(method, inside(prey, path), {}).status == 403


def test_every_right_of_the_chart_is_in_the_table_and_no_other(installed: Installed) -> None:
    paths = (f"{RBAC}/clusterroles/{RELEASE}", f"{RBAC}/namespaces/{NAMESPACE}/roles/{RELEASE}")
    granted = rights.granted(rule for path in paths for rule in installed.admin.get(path).body["rules"])
    always, on_demand = rights.told()
    assert always <= granted
    assert granted <= always | on_demand


@pytest.mark.parametrize("cells", docs.table("install.md", "resource"), ids=lambda cells: cells[0])
def test_every_right_has_a_reason_and_is_used_by_a_test(cells: list[str]) -> None:
    _, verbs, why, shown = cells
    named = re.findall(r"`(\w+)`", shown)
    tests = re.findall(r"def (test_\w+)", Path(__file__).read_text())
    assert verbs
    assert why
    assert named
    assert set(named) <= set(tests)
