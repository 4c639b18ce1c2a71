"""Objects of tenants that the operator deals with, as tests put them into a team's namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dev.testbed import eventually
from tests.support.kubeapi import credential

if TYPE_CHECKING:
    from tests.integration.helm.conftest import Team

CORE = "/api/v1"
SECRETS = f"{CORE}/namespaces/{{}}/secrets"
MANAGED = {"labels": {"tolstoy.dev/managed": "true"}}
INVITING = {"annotations": {"tolstoy.dev/allow-merge": "github"}}


def secret(name: str, metadata: dict[str, Any] | None = None, **members: object) -> dict[str, Any]:
    meta = {"name": name, **(MANAGED if metadata is None else metadata)}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": {"accessToken": "dGVzdA=="}, **members}


def owned_by(credential: dict[str, Any], **more: bool) -> dict[str, Any]:
    """Metadata that makes a ToolCredential the owner, and the controller unless `more` says otherwise."""
    owner = {"name": credential["metadata"]["name"], "uid": credential["metadata"]["uid"], "controller": True, **more}
    return {"ownerReferences": [{"apiVersion": "tolstoy.dev/v1", "kind": "ToolCredential", **owner}]}


def with_credential(team: Team) -> str:
    team.annotate(allowed_orgs="org-abc123")
    assert team.developer.post(team.credentials, credential("github", tool="github", orgId="org-abc123")).ok
    return f"{team.credentials}/github"


def with_pod(team: Team) -> str:
    account = f"{CORE}/namespaces/{team.namespace}/serviceaccounts/default"
    eventually(lambda: team.admin.get(account).ok, what="the namespace has its ServiceAccount")
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
