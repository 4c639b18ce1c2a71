"""A control plane with the chart installed, and people on it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from dev.controlplane import ControlPlane
from dev.helmcli import NAMESPACE, RELEASE, Helm
from tests.support.kubeapi import CREDENTIALS, KubeApi, credential

_numbers = itertools.count()


def wait_until(true: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Ask every 50 ms until it is so; fail with `what` when it takes too long."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            pytest.fail(f"not in {seconds:.0f} s: {what}")
        time.sleep(0.05)


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
        """Set the namespace's `tolstoy.dev/` annotations, as the administrator; None removes one."""
        body = {f"tolstoy.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}
        answer = self.admin.patch(f"/api/v1/namespaces/{self.namespace}", {"metadata": {"annotations": body}})
        assert answer.ok, answer


@pytest.fixture(scope="session")
def installed() -> Iterator[Installed]:
    with ControlPlane() as plane, ExitStack() as stack:
        helm = Helm(plane)
        helm.install()
        admin = stack.enter_context(KubeApi(plane, plane.token))
        operator = stack.enter_context(KubeApi.for_service_account(plane, RELEASE, NAMESPACE))
        wait_until(lambda: _policies_act(admin), "the admission policies refuse an unbound credential")
        yield Installed(plane, helm, admin, operator)


def _policies_act(admin: KubeApi) -> bool:
    """Policies come into force a moment after they are stored."""
    probe = credential("probe", tool="github", orgId="org-unbound")
    return "not bound" in admin.post(CREDENTIALS.format("default") + "?dryRun=All", probe).message


@pytest.fixture
def team(installed: Installed) -> Iterator[Team]:
    plane = installed.plane
    namespace = f"team-{next(_numbers)}"
    plane.kubectl("create", "namespace", namespace)
    plane.kubectl("create", "serviceaccount", "developer", "--namespace", namespace)
    plane.kubectl(
        *("create", "rolebinding", "developer", "--namespace", namespace),
        *("--clusterrole=edit", f"--serviceaccount={namespace}:developer"),
    )
    with KubeApi.for_service_account(plane, "developer", namespace) as developer:
        wait_until(lambda: developer.get(CREDENTIALS.format(namespace)).ok, "edit includes our role")
        yield Team(namespace, developer, installed.admin)
