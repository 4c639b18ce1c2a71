"""Durations that an installation chooses otherwise: how long is waited, and how long a value is believed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

import pytest

from dev.secretsmanager import SecretsManagerServer
from dev.testbed import OperatorProcess, Testbed, eventually
from tests.integration.operator.tenant import Tenant, api_key
from tests.support.kubeapi import CREDENTIALS
from tolstoy_operator.domain.status import parse_time

pytestmark = pytest.mark.integration

PATIENCE_S: Final = 2
STALE_S: Final = 15
"""A read that fails takes three seconds by itself, at most, and has to fail before an old value stands in."""


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    return {
        "STALL_AFTER_S": str(PATIENCE_S),
        "SECRETS_CACHE_DURATION_MS": "0",
        "SECRETS_STALE_MAX_AGE_S": str(STALE_S),
    }


@pytest.fixture
def aws(testbed: Testbed) -> Iterator[SecretsManagerServer]:
    yield testbed.aws
    testbed.aws.clear_faults()


def told_since(tenant: Tenant, version: str) -> list[dict[str, dict[str, Any]]]:
    """The conditions, by type, of every version of the credential after that one, as a watch tells them."""
    query = f"watch=1&fieldSelector=metadata.name=github&resourceVersion={version}&timeoutSeconds=1"
    answer = tenant.admin.get(f"{CREDENTIALS.format(tenant.namespace)}?{query}")
    bodies = [json.loads(line)["object"] for line in answer.message.splitlines()]
    return [{item["type"]: item for item in body["status"]["conditions"]} for body in bodies]


def test_a_missing_secret_is_awaited_for_as_long_as_was_chosen(tenant: Tenant) -> None:
    """Then it is a person's turn. No version of the status says that both is so."""
    created = tenant.create()
    tenant.await_reason("SecretNotFound")
    eventually(lambda: tenant.condition("Stalled"), what="a person must act")
    tenant.store(api_key())
    tenant.await_reason("Synced")

    told = told_since(tenant, created["metadata"]["resourceVersion"])
    progress = [sorted(conditions.keys() & {"Reconciling", "Stalled"}) for conditions in told]
    assert [kinds for kinds, _ in groupby(progress)] == [["Reconciling"], ["Stalled"], []]
    waited, stalled = (next(one[kind] for one in told if kind in one) for kind in ("Reconciling", "Stalled"))
    assert waited["reason"] == stalled["reason"] == "SecretNotFound"
    since, until = (parse_time(item["lastTransitionTime"]) for item in (waited, stalled))
    assert (until - since).total_seconds() >= PATIENCE_S


def test_without_a_cache_every_look_is_a_read(tenant: Tenant, operator: OperatorProcess) -> None:
    def reads() -> int:
        audited = (record for record in operator.records() if record.get("audit"))
        return sum(line["operation"] == "read" and line["secret"] == tenant.upstream() for line in audited)

    tenant.store(api_key())
    tenant.synced()
    before = reads()
    tenant.annotate(allowed_orgs=f"{tenant.org},another")
    eventually(lambda: reads() > before, what="the namespace's event made a read")


def test_an_old_value_stands_in_for_as_long_as_was_chosen_and_no_longer(
    tenant: Tenant, aws: SecretsManagerServer
) -> None:
    tenant.store(api_key())
    tenant.synced()
    aws.fault("500")
    begun = time.monotonic()
    assert comes_back(tenant)
    eventually(lambda: "keeps the value read at" in _unavailable(tenant), what="it says that the value is old")
    while comes_back(tenant):
        assert time.monotonic() - begun < 5 * STALE_S, "still"
    assert f"the store does not answer for {tenant.upstream()}; nobody needs to act" in _unavailable(tenant)
    assert tenant.secret() is None

    aws.clear_faults()
    tenant.await_data(api_key())
    tenant.await_reason("Synced")


def comes_back(tenant: Tenant) -> bool:
    """Whether a Secret that is deleted now is written again; if not, the status says that nothing is there."""
    before = tenant.metadata()["uid"]
    tenant.delete_secret()

    def ask() -> str | None:
        body, ready = tenant.secret(), tenant.condition("Ready") or {}
        if body is not None and body["metadata"]["uid"] != before:
            return "back"
        return "gone" if ready["status"] == "False" else None

    return eventually(ask, what="it is back, or said to be gone") == "back"


def _unavailable(tenant: Tenant) -> str:
    ready = tenant.condition("Ready") or {}
    return str(ready["message"]) if ready["reason"] == "UpstreamUnavailable" else ""
