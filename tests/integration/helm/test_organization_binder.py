"""Who may write Namespaces may not, by that, bind them to organisations."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from dev.testbed import eventually
from tests.integration.helm.conftest import Installed
from tests.support.kubeapi import APPLY_PATCH, Answer, KubeApi

pytestmark = pytest.mark.integration

NAMESPACES = "/api/v1/namespaces"
BOUND = {"tolstoy.dev/allowed-orgs": "org-abc123"}
_numbers = itertools.count()


def namespace(name: str, annotations: dict[str, str] | None = None) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "annotations": annotations or {}}}


def refused(answer: Answer) -> str:
    assert answer.status == 403, answer
    return answer.message


@pytest.fixture(scope="module")
def self_service(installed: Installed) -> Iterator[KubeApi]:
    """Somebody who may do everything with Namespaces, as self-service portals may."""
    plane = installed.plane
    resources = "--resource=namespaces,namespaces/status,namespaces/finalize"
    plane.kubectl("create", "clusterrole", "self-service", "--verb=*", resources)
    plane.kubectl("create", "serviceaccount", "portal")
    plane.kubectl(
        *("create", "clusterrolebinding", "self-service"),
        *("--clusterrole=self-service", "--serviceaccount=default:portal"),
    )
    with installed.admin.as_service_account("portal", "default") as portal:
        eventually(lambda: portal.get(NAMESPACES).ok, what="the portal's role is in force")
        yield portal


@pytest.fixture
def name(installed: Installed) -> str:
    """A namespace that the administrator has bound."""
    name = f"bound-{next(_numbers)}"
    assert installed.admin.post(NAMESPACES, namespace(name, BOUND)).ok
    return name


@pytest.mark.parametrize(
    "annotations",
    [
        {"tolstoy.dev/allowed-orgs": "org-other"},
        {"tolstoy.dev/allowed-orgs": None},
        {"tolstoy.dev/allowed-secrets": "conductor-db-secret"},
        {"tolstoy.dev/allow-sensitive-keys": "true"},
        {"tolstoy.dev/allow-revoke": ""},
        {"tolstoy.dev/what-comes-next": "x"},
    ],
    ids=str,
)
@pytest.mark.parametrize("subresource", ["", "/status"])
def test_a_change_is_refused(
    self_service: KubeApi, name: str, annotations: dict[str, str | None], subresource: str
) -> None:
    path = f"{NAMESPACES}/{name}{subresource}"
    message = refused(self_service.patch(path, {"metadata": {"annotations": annotations}}))
    assert message.endswith(
        f"system:serviceaccount:default:portal may not change the tolstoy.dev/ annotations of namespace {name}: that "
        "takes the verb bind on organizations.tolstoy.dev, which the ClusterRole tolstoy-organization-binder gives; a "
        "cluster administrator binds it"
    )


def test_a_creation_with_a_binding_is_refused(self_service: KubeApi) -> None:
    refused(self_service.post(NAMESPACES, namespace(f"new-{next(_numbers)}", BOUND)))


def test_server_side_apply_is_no_way_round(self_service: KubeApi, name: str) -> None:
    path = f"{NAMESPACES}/{name}?fieldManager=portal&force=true"
    refused(self_service.patch(path, namespace(name, {"tolstoy.dev/allowed-orgs": "org-other"}), APPLY_PATCH))


def test_finalize_is_no_way_round(self_service: KubeApi, name: str) -> None:
    found = self_service.get(f"{NAMESPACES}/{name}").body
    found["metadata"]["annotations"] = {"tolstoy.dev/allowed-orgs": "org-other"}
    refused(self_service.request("PUT", f"{NAMESPACES}/{name}/finalize", found))


def test_everything_else_about_a_bound_namespace_can_be_changed(self_service: KubeApi, name: str) -> None:
    path = f"{NAMESPACES}/{name}"
    for metadata in ({"annotations": {"team": "a", "nottolstoy.dev/x": "y"}}, {"labels": {"team": "a"}}):
        answer = self_service.patch(path, {"metadata": metadata})
        assert answer.ok, answer
    assert self_service.get(path).body["metadata"]["annotations"].items() >= BOUND.items()


def test_namespaces_without_a_binding_come_and_go(self_service: KubeApi, name: str) -> None:
    new = f"new-{next(_numbers)}"
    assert self_service.post(NAMESPACES, namespace(new)).status == 201
    paths = [f"{NAMESPACES}/{new}", f"{NAMESPACES}/{name}"]
    assert all(self_service.delete(path).ok for path in paths)
    eventually(lambda: all(self_service.get(path).status == 404 for path in paths), what="both are gone")


def test_a_binder_may(installed: Installed, name: str) -> None:
    plane = installed.plane
    plane.kubectl("create", "serviceaccount", "platform")
    plane.kubectl("create", "clusterrole", "namespace-editor", "--verb=get,patch", "--resource=namespaces")
    for role in ("namespace-editor", "tolstoy-organization-binder"):
        plane.kubectl(
            *("create", "clusterrolebinding", f"platform-{role}"),
            *(f"--clusterrole={role}", "--serviceaccount=default:platform"),
        )
    change = {"metadata": {"annotations": {"tolstoy.dev/allowed-orgs": "org-abc123,org-def456"}}}
    with installed.admin.as_service_account("platform", "default") as platform:
        eventually(lambda: platform.patch(f"{NAMESPACES}/{name}", change).ok, what="the binder's change is accepted")
