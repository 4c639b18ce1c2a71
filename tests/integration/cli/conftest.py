"""`kubectl tolstoy` as a tenant's developer runs it: by kubectl, with a ServiceAccount that holds `edit`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dev.testbed import OperatorProcess, Testbed, eventually
from tests.integration.operator.conftest import stop
from tests.integration.operator.tenant import CANARY, Tenant
from tests.support.kubeapi import CREDENTIALS, KubeApi

PLUGIN = Path(sys.executable).parent / "kubectl-tolstoy"
_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings"


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Person:
    """Somebody at a terminal, with a kubeconfig that stands for a namespace."""

    testbed: Testbed
    kubeconfig: Path
    user: str

    def tolstoy(self, *args: str, code: int = 0, given: str | None = None) -> Done:
        """Run `kubectl tolstoy …`; it must end with this exit code, and never with a traceback or a value.

        `given`: on standard input.
        """
        with self.start(*args, stdin=subprocess.DEVNULL if given is None else subprocess.PIPE) as process:
            out, err = process.communicate(given, timeout=60)
        assert "Traceback" not in err
        assert CANARY not in out + err
        assert "\x1b[" not in out + err, "colours are for terminals"
        assert process.returncode == code, (out, err)
        return Done(process.returncode, out, err)

    @contextmanager
    def start(self, *args: str, stdin: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[str]]:
        """Start it as kubectl does, which finds plugins on the PATH. It does not outlive the block."""
        environment = {
            "PATH": f"{PLUGIN.parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.testbed.plane.dir),
            "KUBECONFIG": str(self.kubeconfig),
        }
        with subprocess.Popen(
            [str(self.testbed.plane.binaries.kubectl), "tolstoy", *args],
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()


@pytest.fixture(scope="module")
def operator(testbed: Testbed) -> Iterator[OperatorProcess]:
    with testbed.operator() as process:
        yield process
        stop(process)


@pytest.fixture
def tenant(testbed: Testbed, admin: KubeApi) -> Iterator[Tenant]:
    """A bound namespace. Whether an operator runs is up to the test."""
    tenant = Tenant(testbed, admin)
    yield tenant
    tenant.close()


@pytest.fixture
def developer(tenant: Tenant) -> Person:
    """The built-in role `edit` in the tenant's namespace."""
    return new_person(tenant, "developer", "edit")


def new_person(tenant: Tenant, name: str, role: str | None) -> Person:
    """A ServiceAccount of the namespace with that ClusterRole there, once its rights are in force."""
    admin, namespace = tenant.admin, tenant.namespace
    assert admin.post(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": name}}).ok
    kubeconfig = tenant.testbed.plane.kubeconfig_for(name, namespace)
    if role is not None:
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        }
        assert admin.post(_BINDINGS.format(namespace), binding).ok
        with admin.as_service_account(name, namespace) as user:
            eventually(lambda: user.get(CREDENTIALS.format(namespace)).ok, what=f"{role} includes our role")
    return Person(tenant.testbed, kubeconfig, f"system:serviceaccount:{namespace}:{name}")


def marked(tenant: Tenant) -> object:
    """The question that a refresh has put to the operator."""
    body = tenant.get() or {}
    return (body.get("metadata", {}).get("annotations") or {}).get("tolstoy.dev/force-sync")
