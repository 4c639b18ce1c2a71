"""What the operator may do in the cluster, and what it may not, each tried with its own token."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dev.helmcli import NAMESPACE, RELEASE
from dev.testbed import eventually
from tests.integration.helm.conftest import Installed, Team, new_team
from tests.integration.helm.objects import (
    CORE,
    MANAGED,
    SECRETS,
    owned_by,
    pod_template,
    secret,
    with_credential,
    with_workload,
)
from tests.support import docs, rights
from tests.support.kubeapi import APPLY_PATCH, JSON_PATCH, KubeApi, credential
from tolstoy_operator.api.names import FINALIZER, RESTARTED_AT, SECRET_CHANGED

pytestmark = pytest.mark.integration

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"


def lease(name: str) -> dict[str, Any]:
    spec = {"holderIdentity": "a", "leaseDurationSeconds": 10}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec}


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

    @pytest.mark.parametrize("others", [[], ["example.com/theirs"]])
    def test_its_finalizer_comes_and_goes(self, operator: KubeApi, team: Team, bound: str, others: list[str]) -> None:
        assert team.developer.patch(bound, {"metadata": {"finalizers": others}}).ok
        for finalizers in ([*others, FINALIZER], others):
            answer = operator.patch(bound, {"metadata": {"finalizers": finalizers or None}})
            assert answer.ok, answer
        assert team.developer.patch(bound, {"metadata": {"finalizers": None}}).ok

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

    def test_it_gives_secrets_owners_and_takes_them_back(self, operator: KubeApi, team: Team, bound: str) -> None:
        owner = owned_by(operator.get(bound).body)
        assert operator.post(SECRETS.format(team.namespace), secret("github", MANAGED | owner)).status == 201
        for owners in (None, owner["ownerReferences"]):
            path = f"{SECRETS.format(team.namespace)}/github"
            assert operator.patch(path, {"metadata": {"ownerReferences": owners}}).ok

    def test_an_owner_may_be_one_that_waits(self, operator: KubeApi, team: Team, bound: str) -> None:
        owner = owned_by(operator.get(bound).body, blockOwnerDeletion=True)
        assert operator.post(SECRETS.format(team.namespace), secret("github", MANAGED | owner)).status == 201

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


HOOK = f"{RELEASE}-release-finalizers"


@pytest.fixture(scope="module")
def hook(installed: Installed) -> Iterator[KubeApi]:
    """The identity that the uninstall hook brings along."""
    manifests = installed.helm.run("get", "hooks", RELEASE, "--namespace", NAMESPACE).stdout
    installed.plane.kubectl("apply", "--namespace", NAMESPACE, "-f", "-", stdin=manifests)
    with installed.admin.as_service_account(HOOK, NAMESPACE) as hook:
        eventually(lambda: hook.get("/apis/tolstoy.dev/v1/toolcredentials").ok, what="the hook's role is in force")
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
