"""An operator for each file, and a tenant for each test.

Each file has an operator process of its own, so that files can choose its settings, and so that a failure's log is
short. When a file is done, its operator is stopped as Kubernetes stops it, and its log is looked through.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from dev.testbed import OperatorProcess, Testbed, eventually
from tests.integration.operator.tenant import CANARY, Tenant
from tests.support.kubeapi import CREDENTIALS, KubeApi, credential

NewTenant = Callable[..., Tenant]

ALONE = {"LEADER_ELECTION": "false"}
"""Without a Lease, an operator does not end itself when the machine is so busy that it cannot renew one in time."""


_POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
_BINDING = "namespace-binding.tolstoy.dev"


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    """Environment variables of the file's operator; a file may have its own."""
    return {}


@pytest.fixture(scope="module")
def operator(testbed: Testbed, settings: dict[str, str]) -> Iterator[OperatorProcess]:
    with testbed.operator(**ALONE, **settings) as process:
        yield process
        stop(process)


def stop(process: OperatorProcess) -> None:
    """Stop an operator as Kubernetes does, which frees its Lease, and look through its log."""
    assert process.returncode is None, process.tail()
    code, seconds = process.terminate()
    assert code == 0, process.tail()
    assert seconds < 10
    check_log(process)


def check_log(process: OperatorProcess) -> None:
    """No line of an operator's log holds a secret value, or an exception that nobody expected."""
    assert CANARY not in process.log.read_text()
    exceptions = [json.dumps(record) for record in process.records() if "exc" in record]
    # On a busy machine a watch of kopf's may be ended in the middle; asyncio says so, and nothing is lost by it.
    unexpected = [text for text in exceptions if "infinite_watch" not in text]
    assert not unexpected, "\n".join(unexpected)


@pytest.fixture
def new_tenant(testbed: Testbed, admin: KubeApi, operator: OperatorProcess) -> Iterator[NewTenant]:
    """Makes tenants that go with the test."""
    with ExitStack() as stack:

        def make(**options: str | bool) -> Tenant:
            tenant = Tenant(testbed, admin, **options)  # type: ignore[arg-type]
            stack.callback(tenant.close)
            return tenant

        yield make


@pytest.fixture
def tenant(new_tenant: NewTenant) -> Tenant:
    """A bound namespace, with nothing stored upstream."""
    return new_tenant()


@pytest.fixture(scope="class")
def no_policy(admin: KubeApi) -> Iterator[None]:
    """For a class: no policy binds credentials to organisations, so that it is up to the operator."""
    probe = f"{CREDENTIALS.format('default')}?dryRun=All"
    body = credential("probe", tool="probe", orgId="probe")
    binding = admin.get(f"{_POLICIES}/{_BINDING}").body
    assert admin.delete(f"{_POLICIES}/{_BINDING}").ok
    eventually(lambda: admin.post(probe, body).ok, what="admission lets everything through")
    yield
    binding["metadata"] = {"name": _BINDING, "labels": binding["metadata"]["labels"]}
    assert admin.post(_POLICIES, binding).ok
    eventually(lambda: not admin.post(probe, body).ok, what="admission refuses again")
