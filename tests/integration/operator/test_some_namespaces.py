"""An operator that has some namespaces: it works there with Roles alone, and is denied everything elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dev.helmcli import NAMESPACE, RELEASE, Helm
from dev.testbed import OperatorProcess, Testbed, eventually
from tests.integration.operator.conftest import ALONE, stop
from tests.integration.operator.tenant import Tenant, api_key
from tests.support.kubeapi import CREDENTIALS, KubeApi

pytestmark = pytest.mark.integration

CORE = "/api/v1"


@pytest.fixture(scope="module")
def testbed() -> Iterator[Testbed]:
    """One of its own: the chart's roles are those of the whole cluster otherwise."""
    with Testbed() as bed:
        yield bed


@pytest.fixture(scope="module")
def admin(testbed: Testbed) -> Iterator[KubeApi]:
    with KubeApi(testbed.plane, testbed.plane.token) as api:
        yield api


@pytest.fixture(scope="module")
def inside(testbed: Testbed, admin: KubeApi) -> Iterator[Tenant]:
    """A tenant whose namespace the operator has."""
    tenant = Tenant(testbed, admin)
    values = {"store": {"region": testbed.aws.region}, "crds": {"install": False}}
    some = {"watchNamespaces": [tenant.namespace], "refresh": {"clusterId": "some"}}
    Helm(testbed.plane).install({**values, **some})
    yield tenant
    tenant.close()


@pytest.fixture(scope="module")
def outside(testbed: Testbed, admin: KubeApi) -> Iterator[Tenant]:
    """A tenant whose namespace it does not have."""
    tenant = Tenant(testbed, admin)
    yield tenant
    tenant.close()


@pytest.fixture(scope="module")
def token(admin: KubeApi, inside: Tenant, outside: Tenant) -> Iterator[KubeApi]:
    """The operator's own, once the cluster-wide rights are gone."""
    with admin.as_service_account(RELEASE, NAMESPACE) as api:
        eventually(lambda: api.get(f"{CORE}/secrets").status == 403, what="the rights of the whole cluster are gone")
        eventually(lambda: api.get(CREDENTIALS.format(inside.namespace)).ok, what="those of the namespace are there")
        yield api


@pytest.fixture(scope="module")
def operator(testbed: Testbed, inside: Tenant, token: KubeApi) -> Iterator[OperatorProcess]:
    with testbed.operator(**ALONE, WATCH_NAMESPACES=inside.namespace, CLUSTER_ID="some") as process:
        yield process
        stop(process)


@pytest.mark.usefixtures("operator")
def test_it_works_where_it_is_for_and_nowhere_else(inside: Tenant, outside: Tenant) -> None:
    for tenant in (outside, inside):
        tenant.store(api_key())
        tenant.create()
    inside.await_reason("Synced")
    inside.await_data(api_key())
    inside.delete_secret()
    inside.await_data(api_key())
    assert (outside.status(), outside.secret()) == ({}, None)
    inside.annotate(allowed_orgs=None)
    inside.await_reason("NamespaceNotBound", timeout=40)
    inside.annotate(allowed_orgs=inside.org)
    inside.await_reason("Synced", timeout=40)


def test_it_is_denied_the_rest(token: KubeApi, inside: Tenant, outside: Tenant) -> None:
    assert token.get(f"{CORE}/namespaces/{inside.namespace}").ok
    theirs = f"{CORE}/namespaces/{outside.namespace}"
    for path in (
        f"{CORE}/namespaces",
        f"{CORE}/namespaces/kube-system",
        theirs,
        f"{CORE}/secrets",
        f"{theirs}/secrets",
        f"{theirs}/secrets/github",
        f"{theirs}/pods",
        CREDENTIALS.format(outside.namespace),
        "/apis/tolstoy.dev/v1/toolcredentials",
        f"{CORE}/namespaces/kube-system/secrets",
        f"{CORE}/namespaces/{NAMESPACE}/pods",
    ):
        assert token.get(path).status == 403, path
    body = {"metadata": {"name": "x", "labels": {"tolstoy.dev/managed": "true"}}}
    assert token.post(f"{theirs}/secrets", body).status == 403
    assert token.patch(f"{CORE}/namespaces/{NAMESPACE}/secrets/x", body).status == 403
