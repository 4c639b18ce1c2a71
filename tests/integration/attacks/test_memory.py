"""Secrets as large as they can be, with the label that has the operator read them: none of its replicas would live."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench.machine import peak_megabytes
from dev.testbed import Testbed, eventually
from tests.integration.operator.budget import requests
from tests.integration.operator.conftest import ALONE, stop
from tests.integration.operator.tenant import Tenant, api_key
from tests.support.chartfiles import default_values
from tests.support.kubeapi import KubeApi
from tolstoy_operator.api import names

pytestmark = pytest.mark.integration

LARGE = "QUFB" * (2**20 // 3)
"""The most that a Secret holds, in base64."""
OTHERS = 185
"""Megabytes of a process with ten thousand credentials (docs/performance.md)."""


@pytest.fixture
def tenant(testbed: Testbed, admin: KubeApi) -> Iterator[Tenant]:
    tenant = Tenant(testbed, admin)
    yield tenant
    tenant.close()


def test_fifty_of_them_fit_beside_ten_thousand_credentials(testbed: Testbed, admin: KubeApi, tenant: Tenant) -> None:
    def make(number: int) -> bool:
        metadata = {"name": f"large-{number}", "labels": {names.MANAGED_LABEL: "import"}}
        path = f"/api/v1/namespaces/{tenant.namespace}/secrets"
        return admin.post(path, {"metadata": metadata, "data": {"x": LARGE}}).ok

    with ThreadPoolExecutor(2) as threads:
        assert all(threads.map(make, range(50)))
    tenant.store(api_key())
    began = time.time()
    with testbed.operator(**ALONE) as operator:
        tenant.synced()
        eventually(
            lambda: any(
                (request.verb, request.resource) == ("watch", "secrets") and request.at > began
                for request in requests(testbed, admin)
            ),
            what="all Secrets are listed, and watched",
        )
        limit = int(default_values()["resources"]["limits"]["memory"].removesuffix("Mi"))
        assert peak_megabytes(operator.pid) < limit - OTHERS
        stop(operator)
