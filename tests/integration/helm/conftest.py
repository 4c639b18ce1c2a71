"""A control plane with the chart installed, and people on it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus

import pytest

from dev.controlplane import ControlPlane
from dev.helmcli import NAMESPACE, RELEASE, Helm
from dev.testbed import eventually
from tests.integration.helm.objects import with_credential, with_pod
from tests.support.kubeapi import CREDENTIALS, KubeApi, credential

_numbers = itertools.count()


@dataclass(frozen=True)
class Installed:
    """The plane, Helm on it, the administrator, and the operator's own identity."""

    plane: ControlPlane
    helm: Helm
    admin: KubeApi
    operator: KubeApi


@dataclass(frozen=True)
class Team:
    """A tenant's namespace and its developer, who holds the built-in role `edit` there."""

    namespace: str
    developer: KubeApi
    admin: KubeApi

    @property
    def credentials(self) -> str:
        return CREDENTIALS.format(self.namespace)

    def annotate(self, **annotations: str | None) -> None:
        """Set the namespace's `tolstoy.dev/` annotations, as the administrator; None removes one.

        Admission looks at a copy of the Namespace that is a moment old. So that a test sees the answer to this change
        and not to the last, a mark is put into the annotation that the test leaves alone, and looked for.
        """
        mark = f"seen-{next(_numbers)}"
        if "allowed_secrets" in annotations:
            annotations["allowed_orgs"], probe = mark, credential("probe", tool="probe", orgId=mark)
        else:
            annotations["allowed_secrets"], probe = mark, credential("probe", secretName=mark)
        body = {f"tolstoy.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}
        answer = self.admin.patch(f"/api/v1/namespaces/{self.namespace}", {"metadata": {"annotations": body}})
        assert answer.ok, answer
        eventually(
            lambda: self.admin.post(f"{self.credentials}?dryRun=All", probe).ok, what="admission sees the change"
        )


@pytest.fixture(scope="session")
def installed() -> Iterator[Installed]:
    with ControlPlane() as plane, ExitStack() as stack:
        helm = Helm(plane)
        helm.install()
        admin = stack.enter_context(KubeApi(plane, plane.token))
        operator = stack.enter_context(admin.as_service_account(RELEASE, NAMESPACE))
        eventually(lambda: _policies_act(admin), what="the admission policies refuse an unbound credential")
        yield Installed(plane, helm, admin, operator)


@pytest.fixture(scope="module")
def helm(control_plane: ControlPlane) -> Helm:
    """Helm on the plane where nothing is installed."""
    return Helm(control_plane)


def _policies_act(admin: KubeApi) -> bool:
    """Policies come into force a moment after they are stored."""
    probe = credential("probe", tool="github", orgId="org-unbound")
    return "not bound" in admin.post(CREDENTIALS.format("default") + "?dryRun=All", probe).message


@pytest.fixture
def team(installed: Installed) -> Iterator[Team]:
    with new_team(installed.admin) as team:
        yield team


@pytest.fixture
def operator(installed: Installed) -> KubeApi:
    return installed.operator


@pytest.fixture
def bound(team: Team) -> str:
    """Path of a credential `github` in the team's namespace, which is bound to its organisation."""
    return with_credential(team)


@pytest.fixture
def web(team: Team) -> str:
    """Path of a pod in the team's namespace."""
    return with_pod(team)


@pytest.fixture
def editing(installed: Installed, team: Team) -> None:
    """The operator may edit everything in the team's namespace, by somebody's mistake: only admission refuses."""
    binding = {
        "metadata": {"name": "operator-edits"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "ServiceAccount", "name": RELEASE, "namespace": NAMESPACE}],
    }
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{team.namespace}/rolebindings"
    assert installed.admin.post(path, binding).ok
    pods = f"/api/v1/namespaces/{team.namespace}/pods/nothing"
    eventually(lambda: installed.operator.delete(pods).status == HTTPStatus.NOT_FOUND, what="its role is in force")


@contextmanager
def new_team(admin: KubeApi) -> Iterator[Team]:
    """A namespace of its own, with a developer who can work in it."""
    namespace = f"team-{next(_numbers)}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    assert admin.post("/api/v1/namespaces", body).ok
    with new_user(admin, "developer", "edit", namespace) as developer:
        yield Team(namespace, developer, admin)


@contextmanager
def new_user(admin: KubeApi, name: str, role: str, namespace: str) -> Iterator[KubeApi]:
    """A ServiceAccount with that ClusterRole in the namespace, once its rights on credentials are in force."""
    assert admin.post(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": name}}).ok
    binding = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings"
    assert admin.post(path, binding).ok
    with admin.as_service_account(name, namespace) as user:
        eventually(lambda: user.get(CREDENTIALS.format(namespace)).ok, what=f"{role} includes our role")
        yield user
