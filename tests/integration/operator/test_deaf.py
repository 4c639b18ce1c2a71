"""When no watch tells anything: lists alone keep everything right, and the process says that it needs a restart."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from dev.testbed import OperatorProcess, Testbed, eventually
from tests.integration.operator.conftest import ALONE, stop
from tests.integration.operator.tenant import Tenant, api_key

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def operator(testbed: Testbed) -> Iterator[OperatorProcess]:
    settings = testbed.environment(**ALONE, RESYNC_INTERVAL_S="2")
    with OperatorProcess(testbed.kubeconfig, settings, name="deaf", module="tests.support.deaf") as process:
        yield process
        stop(process)


def dead(operator: OperatorProcess) -> list[str]:
    """The checks that do not hold, by the answer to the liveness probe."""
    status, text = operator.get("/healthz")
    body = json.loads(text)
    failed = [check["name"] for check in body["checks"] if not check["ok"]]
    assert (status, body["status"]) == ((500, "failed") if failed else (200, "ok"))
    return failed


def test_lists_repair_what_no_watch_tells_and_the_probe_names_the_watches(
    tenant: Tenant, operator: OperatorProcess
) -> None:
    assert dead(operator) == []
    tenant.store(api_key())
    tenant.synced()
    tenant.delete_secret()
    tenant.await_data(api_key())

    def edited_again() -> bool:
        tenant.patch_secret({"stringData": {"apiKey": "typo"}})
        tenant.await_data(api_key())
        return dead(operator) == ["watches"]

    eventually(edited_again, what="two lists in a row had news, and the probe fails")
    assert operator.metric("tolstoy_leader") == 1, "it does its work all the same"
