"""`status`, `expiring` and `why` on a real API server, through kubectl, with nothing but a tenant's rights."""

from __future__ import annotations

from typing import Any

import pytest

from dev.controlplane import ControlPlane
from dev.testbed import Testbed, eventually
from tests.integration.cli.conftest import Person, new_person
from tests.integration.operator.tenant import CANARY, Tenant, api_key, oauth

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("operator")]

APPS = "/apis/apps/v1/namespaces/{}/{}"


def variable(secret: str = "github") -> dict[str, Any]:
    return {"name": "GH_TOKEN", "valueFrom": {"secretKeyRef": {"name": secret, "key": "accessToken"}}}


def spec(**container: Any) -> dict[str, Any]:
    """A pod spec with the Secret `github` as a volume, which containers may mount."""
    volume = {"name": "github", "secret": {"secretName": "github"}}
    return {"containers": [{"name": "web", "image": "example.com/web", **container}], "volumes": [volume]}


def mount(**more: str) -> list[dict[str, str]]:
    return [{"name": "github", "mountPath": "/etc/github", **more}]


def create(tenant: Tenant, path: str, name: str, body: dict[str, Any], owner: dict[str, Any] | None = None) -> Any:
    reference = (
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "controller": True,
        }
        if owner
        else None
    )
    metadata = {"name": name, **({"ownerReferences": [reference]} if reference else {})}
    answer = tenant.admin.post(path, {"metadata": metadata, **body})
    assert answer.ok, answer
    return answer.body


def workload(tenant: Tenant, plural: str, name: str, pod: dict[str, Any], owner: dict[str, Any] | None = None) -> Any:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod}
    body = {"spec": {"selector": {"matchLabels": labels}, "template": template}}
    return create(tenant, APPS.format(tenant.namespace, plural), name, body, owner)


def pod(tenant: Tenant, name: str, pod_spec: dict[str, Any], owner: dict[str, Any] | None = None) -> None:
    create(tenant, f"/api/v1/namespaces/{tenant.namespace}/pods", name, {"spec": pod_spec}, owner)


def runs_since(tenant: Tenant, name: str, started: str) -> None:
    """What a kubelet would say."""
    state = {"running": {"startedAt": started}}
    container = {"name": "web", "ready": True, "restartCount": 0, "image": "x", "imageID": "x", "state": state}
    status = {"status": {"phase": "Running", "containerStatuses": [container]}}
    answer = tenant.admin.patch(f"/api/v1/namespaces/{tenant.namespace}/pods/{name}/status", status)
    assert answer.ok, answer


def test_status_shows_what_is_there(tenant: Tenant, developer: Person) -> None:
    tenant.store(oauth())
    tenant.synced()
    tenant.create("missing", "slack")
    tenant.await_reason("SecretNotFound", "missing")
    tree = developer.tolstoy("status").out.splitlines()
    assert tree[:2] == ["github", f"└─ {tenant.org}"]
    assert tree[2].split()[:5] == ["└─", "github", "Ready", "Synced", "Active"]
    assert "(2030-01-01T00:00:00Z)" in tree[2]
    assert tree[5].split() == ["└─", "missing", "NotReady", "SecretNotFound"]
    assert tree[6].strip().startswith("who acts: the consent application")
    rows = developer.tolstoy("status", "-o", "table", "-n", tenant.namespace).out.splitlines()
    assert [row.split()[:2] for row in rows[1:]] == [[tenant.namespace, "github"], [tenant.namespace, "missing"]]
    [item] = developer.tolstoy("status", "missing", "-o", "json").json["items"]
    assert (item["ready"], item["reason"], item["orgId"]) == ("False", "SecretNotFound", tenant.org)


def test_an_empty_namespace(tenant: Tenant, developer: Person) -> None:
    done = developer.tolstoy("status")
    assert (done.out, done.err) == ("", f"No ToolCredentials found in {tenant.namespace} namespace.\n")


def test_the_rights_are_the_persons_own(tenant: Tenant, developer: Person) -> None:
    for args in (["status", "-A"], ["status", "-n", "default"], ["why", "x", "-n", "default"]):
        done = developer.tolstoy(*args, code=1)
        assert done.err.startswith("error: you may not ")
        assert "next: ask for that right" in done.err
    nobody = new_person(tenant, "nobody", None)
    assert "you may not list toolcredentials.tolstoy.dev" in nobody.tolstoy("status", code=1).err


def test_a_platform_engineer_sees_all_namespaces(tenant: Tenant, testbed: Testbed) -> None:
    tenant.store(api_key())
    tenant.synced()
    admin = Person(testbed, testbed.plane.kubeconfig, "admin")
    assert f"{tenant.namespace}/github" in admin.tolstoy("status", "-A").out


def test_what_is_not_there(tenant: Tenant, developer: Person) -> None:
    done = developer.tolstoy("why", "nope", code=1)
    assert done.err.startswith(f"error: there is no ToolCredential nope in namespace {tenant.namespace}\n")
    assert "context 'nope' is not in" in developer.tolstoy("status", "--context", "nope", code=1).err


def test_expiring_finds_tokens_that_nobody_refreshes(tenant: Tenant, developer: Person) -> None:
    tenant.store(oauth())
    tenant.synced()
    tenant.store(oauth(refreshToken=None), "slack")
    tenant.create("lost", "slack")
    tenant.await_reason("ReauthorizationRequired", "lost")
    within = ["expiring", "--within", "99999d"]
    [item] = developer.tolstoy(*within, "-o", "json").json["items"]
    assert (item["name"], item["grant"]["refreshed"]) == ("lost", False)
    rows = developer.tolstoy(*within, "--exit-code", code=1).out.splitlines()
    assert rows[0].split() == ["NAMESPACE", "NAME", "TOOL", "ORG", "EXPIRES", "REFRESH", "WHY"]
    assert rows[1].endswith("ReauthorizationRequired: the organisation must give its consent again")
    everything = developer.tolstoy(*within, "--all", "-o", "json").json["items"]
    assert sorted(item["name"] for item in everything) == ["github", "lost"]
    assert developer.tolstoy("expiring", "--exit-code").out == ""


def test_why_names_who_reads_the_secret_and_how(tenant: Tenant, developer: Person) -> None:
    tenant.store(oauth())
    changed = tenant.synced()["target"]["lastSyncTime"]
    web = workload(tenant, "deployments", "web", spec(env=[variable()]))
    replicas = workload(tenant, "replicasets", "web-1", spec(env=[variable()]), web)
    pod(tenant, "web-1-old", spec(env=[variable()]), replicas)
    pod(tenant, "web-1-new", spec(env=[variable()]), replicas)
    runs_since(tenant, "web-1-old", "2020-01-01T00:00:00Z")
    runs_since(tenant, "web-1-new", "2099-01-01T00:00:00Z")
    pod(tenant, "alone", spec(volumeMounts=mount(subPath="accessToken")))
    workload(tenant, "statefulsets", "worker", spec(volumeMounts=mount()))
    pod(tenant, "other", {"containers": [{"name": "web", "image": "x", "env": [variable("another")]}]})

    readers = developer.tolstoy("why", "github", "-o", "json").json["readers"]
    told = [(item["kind"], item["name"], item["pods"], item["outdatedPods"]) for item in readers]
    assert told == [
        ("Deployment", "web", ["web-1-new", "web-1-old"], ["web-1-old"]),
        ("StatefulSet", "worker", [], []),
        ("Pod", "alone", ["alone"], []),
    ]
    ways = [[(use["mode"], use["where"], use["follows"]) for use in item["uses"]] for item in readers]
    unmounted = ("unmounted", "github", True)
    assert ways == [
        [unmounted, ("env", "GH_TOKEN", False)],
        [("volume", "/etc/github", True)],
        [("subPath", "/etc/github", False)],
    ]
    text = developer.tolstoy("why", "github").out
    assert f"({changed})" in text
    assert "started before the last change, so with an old value: web-1-old\n" in text
    assert f"kubectl rollout restart deployment/web -n {tenant.namespace}" in text


def test_why_shows_cause_actor_and_events(tenant: Tenant, developer: Person) -> None:
    tenant.create()
    tenant.await_reason("SecretNotFound")
    eventually(tenant.events, what="the Event is there")
    done = developer.tolstoy("why", "github").out
    assert f"cause      the store has no current value of tolstoy/github/{tenant.org}" in done
    assert "who acts   the consent application" in done
    assert "Events" in done
    assert "Warning   SecretNotFound" in done
    answer = developer.tolstoy("why", "github", "-o", "json").json
    assert [event["reason"] for event in answer["events"]] == ["SecretNotFound"]
    assert answer["unread"] == []


def test_an_unused_secret_is_said_to_be_unused(tenant: Tenant, developer: Person) -> None:
    tenant.store(api_key())
    tenant.synced()
    assert "nobody: no pod, Deployment" in developer.tolstoy("why", "github").out


def test_what_a_person_may_not_read_is_said(tenant: Tenant) -> None:
    tenant.store(api_key())
    tenant.synced()
    onlooker = new_person(tenant, "onlooker", "tolstoy-toolcredentials-view")
    answer = onlooker.tolstoy("why", "github", "-o", "json").json
    assert answer["unread"] == [
        f"you may not list {resource} in namespace {tenant.namespace}"
        for resource in ("cronjobs", "daemonsets", "deployments", "events", "pods", "statefulsets")
    ]
    assert "that you may read names this Secret" in onlooker.tolstoy("why", "github").out


def test_no_secret_is_read_and_none_is_shown(tenant: Tenant, developer: Person, testbed: Testbed) -> None:
    tenant.store(oauth())
    tenant.synced()
    pod(tenant, "web", spec(volumeMounts=mount()))
    for form in ("table", "json", "tree"):
        assert CANARY not in developer.tolstoy("status", "-o", form).out
    for args in (["expiring", "--within", "9999d", "--all"], ["why", "github"], ["refresh", "github"]):
        for more in ([], ["-o", "json"]):
            assert CANARY not in developer.tolstoy(*args, *more).out
    eventually(
        lambda: testbed.plane.requests(user=developer.user, agent="kubectl-tolstoy", resource="pods") >= 2,
        what="its requests are logged",
    )
    assert testbed.plane.requests(user=developer.user, resource="secrets") == 0


def test_a_cluster_without_the_operator() -> None:
    with ControlPlane() as plane:
        bed: Any = type("Bed", (), {"plane": plane})
        admin = Person(bed, plane.kubeconfig, "admin")
        for args in (["status", "-A"], ["why", "github"]):
            done = admin.tolstoy(*args, code=1)
            assert f"error: {plane.url.removeprefix('https://')} knows no ToolCredentials\n" in done.err
        plane.stop_apiserver()
        done = admin.tolstoy("status", code=1)
        assert "gives no usable answer" in done.err
