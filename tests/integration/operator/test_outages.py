"""Secrets Manager in trouble: Secrets stay, the status says so, and everything is as before when it is over.

Each test has an operator of its own, because each leaves it in another state.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from dev.secretsmanager import SecretsManagerServer
from dev.testbed import OperatorProcess, Testbed, eventually
from tests.integration.operator.conftest import ALONE, NewTenant, stop
from tests.integration.operator.tenant import Tenant, api_key

pytestmark = pytest.mark.integration

READS = "*GetSecretValue"
DOWN = "UpstreamUnavailable"


@pytest.fixture
def operator(testbed: Testbed) -> Iterator[OperatorProcess]:
    with testbed.operator(**ALONE) as process:
        yield process
        testbed.aws.clear_faults()
        stop(process)


@pytest.fixture
def aws(testbed: Testbed) -> SecretsManagerServer:
    return testbed.aws


@pytest.fixture
def mirrored(tenant: Tenant) -> Tenant:
    """A tenant whose credential is in order."""
    tenant.store(api_key())
    tenant.synced()
    return tenant


def conditions(tenant: Tenant, name: str = "github") -> dict[str, str]:
    return {item["type"]: item["status"] for item in tenant.status(name)["conditions"]}


@pytest.mark.parametrize("kind", ["500", "throttle", "refused", "expired_token"])
def test_an_outage(mirrored: Tenant, operator: OperatorProcess, aws: SecretsManagerServer, kind: str) -> None:
    _begin(aws, kind)
    mirrored.await_reason(DOWN)
    assert conditions(mirrored) == {"Ready": "True", "Synced": "Unknown", "Reconciling": "True"}
    assert mirrored.data() == api_key()
    assert json.loads(operator.get("/health")[1])["secrets"]["connected"] is False
    assert operator.get("/healthz")[0] == 200, "a restart would not help"

    mirrored.force_sync()  # what it remembers is not fresh any more, and stands in all the same
    assert "keeps the value read at" in (mirrored.condition("Ready") or {})["message"]
    mirrored.patch_secret({"stringData": {"apiKey": "typo"}})
    mirrored.await_data(api_key())
    mirrored.delete_secret()
    mirrored.await_data(api_key())

    mirrored.create("new", "new")
    mirrored.await_reason(DOWN, "new")
    assert conditions(mirrored, "new")["Ready"] == "False"

    _end(aws, kind)
    mirrored.store(api_key("late"), "new")
    mirrored.await_data(api_key("late"), "new")
    mirrored.await_reason("Synced")
    mirrored.store(api_key("k2"))
    mirrored.await_data(api_key("k2"))
    told = [record["msg"] for record in operator.records() if "store of secrets" in record["msg"]]
    assert len(told) == 2, "once that it is down and once that it is back"


def _begin(aws: SecretsManagerServer, kind: str) -> None:
    if kind == "refused":
        aws.stop()
    else:
        aws.fault(kind)


def _end(aws: SecretsManagerServer, kind: str) -> None:
    if kind == "refused":
        aws.start()
    else:
        aws.clear_faults()


def test_a_short_disturbance_is_not_worth_a_word(mirrored: Tenant, aws: SecretsManagerServer) -> None:
    before = mirrored.status()
    aws.fault("500", count=2)
    mirrored.store(api_key("k2"))
    mirrored.await_data(api_key("k2"))
    assert mirrored.events() == []
    after = mirrored.await_reason("Synced")
    assert [item["lastTransitionTime"] for item in after["conditions"]] == [
        item["lastTransitionTime"] for item in before["conditions"]
    ]


def test_access_denied_for_all(new_tenant: NewTenant, aws: SecretsManagerServer) -> None:
    tenants = [new_tenant() for _ in range(3)]
    for tenant in tenants:
        tenant.store(api_key())
        tenant.synced()
    aws.fault("access_denied", operation=READS)
    for tenant in tenants:
        tenant.store(api_key("unreadable"))
    for tenant in tenants:
        tenant.await_reason("AccessDenied")
        assert conditions(tenant) == {"Ready": "True", "Synced": "False", "Stalled": "True"}
        assert tenant.data() == api_key()
    aws.clear_faults()
    for tenant in tenants:
        tenant.force_sync()
        tenant.await_data(api_key("unreadable"))
        tenant.await_reason("Synced")


@pytest.mark.parametrize("kind", ["access_denied", "validation"])
def test_batches_refused_as_a_whole_are_read_one_by_one(tenant: Tenant, aws: SecretsManagerServer, kind: str) -> None:
    """An endpoint policy, or a role without the right to read in batches."""
    aws.fault(kind, operation="BatchGetSecretValue")
    tools = [f"tool{number}" for number in range(25)]
    for tool in tools:
        tenant.store(api_key(tool), tool)
    for tool in tools:
        tenant.create(tool, tool)
    expected = {tool: api_key(tool) for tool in tools}
    eventually(lambda: tenant.all_data() == expected, what="all Secrets are there")


def test_one_denied_secret_in_a_batch_harms_no_other(tenant: Tenant, aws: SecretsManagerServer) -> None:
    tools = [f"tool{number}" for number in range(25)]
    for tool in tools:
        tenant.store(api_key(tool), tool)
        tenant.create(tool, tool)
    eventually(lambda: len(tenant.all_data()) == len(tools), what="all Secrets are there")
    aws.fault("access_denied", operation="*GetSecretValue", secret=tenant.upstream("tool7"))
    for tool in tools:
        tenant.store(api_key(f"{tool}-2"), tool)
    expected = {tool: api_key(tool if tool == "tool7" else f"{tool}-2") for tool in tools}
    eventually(lambda: tenant.all_data() == expected, what="all but one have changed")
    tenant.await_reason("AccessDenied", "tool7")


def test_without_the_right_to_list_everything_is_looked_at_every_few_minutes(
    tenant: Tenant, operator: OperatorProcess, aws: SecretsManagerServer
) -> None:
    aws.fault("access_denied", operation="ListSecrets")
    eventually(lambda: "may not list secrets" in operator.log.read_text(), what="it says so")
    tenant.store(api_key())
    tenant.synced()
    tenant.store(api_key("k2"))
    tenant.force_sync()
    assert tenant.data() == api_key("k2")


def test_a_secret_that_is_never_answered_for_holds_up_nobody(tenant: Tenant, aws: SecretsManagerServer) -> None:
    tenant.store(api_key(), "stuck")
    aws.fault("blackhole", operation=READS, secret=tenant.upstream("stuck"))
    aws.reset_calls()
    tenant.create("stuck", "stuck")
    eventually(lambda: aws.calls()["GetSecretValue"] > 0, what="it is being asked for")
    for number in range(3):
        tenant.store(api_key(f"k{number}"), f"tool{number}")
        tenant.create(f"c{number}", f"tool{number}")
        tenant.await_data(api_key(f"k{number}"), f"c{number}", timeout=10)
    assert tenant.status("stuck") == {}


def test_a_black_hole(mirrored: Tenant, operator: OperatorProcess, aws: SecretsManagerServer, testbed: Testbed) -> None:
    """No answer at all: calls end by their timeouts, and so does the process when it is told to."""
    aws.fault("blackhole")
    mirrored.create("new", "new")
    mirrored.patch_secret({"stringData": {"apiKey": "typo"}})
    mirrored.await_data(api_key(), timeout=10)
    assert operator.get("/healthz")[0] == operator.get("/readyz")[0] == 200
    mirrored.await_reason(DOWN, "new", timeout=45)
    stop(operator)
    aws.clear_faults()
    operator.start()
    mirrored.await_reason("SecretNotFound", "new")


def test_another_region_has_other_secrets(testbed: Testbed, new_tenant: NewTenant, operator: OperatorProcess) -> None:
    """What is wrong can be seen from the status: it names the region that was asked."""
    tenant = new_tenant()
    tenant.store(api_key())
    tenant.synced()
    stop(operator)
    with testbed.operator("elsewhere", AWS_REGION="eu-west-1", **ALONE) as elsewhere:
        tenant.force_sync()
        status = tenant.await_reason("SecretNotFound")
        assert status["target"]["name"] == "github"
        assert tenant.data() == api_key()
        stop(elsewhere)
    operator.start()
    tenant.await_reason("Synced")
