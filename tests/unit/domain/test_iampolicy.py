"""The IAM policy: every operation that the store calls, on what it is called for, and nothing else."""

from __future__ import annotations

import fnmatch
import inspect
import itertools
import re
from dataclasses import replace
from typing import Any

import pytest

from tolstoy_operator.domain.iampolicy import Installation, iam_policy
from tolstoy_operator.stores import secretsmanager

PLAIN = Installation("eu-west-1", "123456789012", secrets=("conductor-db-secret",))
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1"
CALLS = set(re.findall(r'self\._(?:call|pages)\(\s*"(\w+)"', inspect.getsource(secretsmanager)))
"""The operations of boto3 that stand in the store's source; `_call` takes no other."""

FOR_REFRESHES = {"ListSecretVersionIds", "PutSecretValue", "UpdateSecretVersionStage"}


def items(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def actions(policy: dict[str, Any]) -> list[str]:
    return [action for statement in policy["Statement"] for action in statement["Action"]]


def allows(policy: dict[str, Any], operation: str, arn: str) -> bool:
    return any(
        f"secretsmanager:{operation}" in statement["Action"]
        and any(fnmatch.fnmatchcase(arn, pattern) for pattern in items(statement["Resource"]))
        for statement in policy["Statement"]
    )


def arn(name: str, *, region: str = "eu-west-1", account: str = "123456789012") -> str:
    """Of a secret that exists: with the suffix that AWS has chosen."""
    return f"arn:aws:secretsmanager:{region}:{account}:secret:{name}-a1B2c3"


def test_the_store_is_read_right() -> None:
    assert len(CALLS) == 8


@pytest.mark.parametrize(("refreshes", "creates"), [*itertools.product([True, False], repeat=2)])
def test_it_allows_what_is_called_in_that_mode_and_nothing_else(refreshes: bool, creates: bool) -> None:
    policy = iam_policy(replace(PLAIN, refreshes=refreshes, creates=creates))
    wanted = CALLS - (set() if refreshes else FOR_REFRESHES) - (set() if creates else {"CreateSecret"})
    assert sorted(actions(policy)) == sorted(f"secretsmanager:{operation}" for operation in wanted)


def test_the_buckets_of_the_store_name_the_same_operations() -> None:
    assert secretsmanager._buckets(secretsmanager.Limits()).keys() == CALLS


def test_an_organisation_is_meant_exactly() -> None:
    policy = iam_policy(replace(PLAIN, organisations=("org1",), tools=("github",), creates=True))
    assert allows(policy, "GetSecretValue", arn("tolstoy/github/org1"))
    assert allows(policy, "PutSecretValue", arn("tolstoy/github/org1"))
    for name in ("tolstoy/github/org1-evil", "tolstoy/github/org10", "tolstoy/slack/org1", "tolstoy/github/org2"):
        for operation in ("GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage", "CreateSecret"):
            assert not allows(policy, operation, arn(name)), name


def test_a_tool_alone_is_all_its_organisations() -> None:
    policy = iam_policy(replace(PLAIN, tools=("github", "slack")))
    assert allows(policy, "GetSecretValue", arn("tolstoy/github/org1"))
    assert not allows(policy, "GetSecretValue", arn("tolstoy/jira/org1"))


def test_platform_secrets_are_read_and_never_written() -> None:
    policy = iam_policy(replace(PLAIN, creates=True))
    assert allows(policy, "GetSecretValue", arn("conductor-db-secret"))
    assert not allows(policy, "GetSecretValue", arn("conductor-db-secret-of-others"))
    for operation in ("PutSecretValue", "UpdateSecretVersionStage", "CreateSecret"):
        assert not allows(policy, operation, arn("conductor-db-secret"))


def test_other_regions_and_accounts_are_out_of_reach() -> None:
    policy = iam_policy(replace(PLAIN, creates=True, keys=(KEY,)))
    for operation in CALLS - {"BatchGetSecretValue", "ListSecrets"}:
        assert not allows(policy, operation, arn("tolstoy/github/org1", region="eu-west-3"))
        assert not allows(policy, operation, arn("tolstoy/github/org1", account="210987654321"))
    unlimited = [statement for statement in policy["Statement"] if statement["Resource"] == "*"]
    assert [statement["Condition"] for statement in unlimited] == [
        {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}
    ]


@pytest.mark.parametrize(
    ("refreshes", "expected"), [(True, ["kms:Decrypt", "kms:GenerateDataKey"]), (False, ["kms:Decrypt"])]
)
def test_a_key_is_used_through_secrets_manager_for_these_secrets_only(refreshes: bool, expected: list[str]) -> None:
    *others, key = iam_policy(replace(PLAIN, keys=(KEY,), refreshes=refreshes))["Statement"]
    assert key["Action"] == expected
    assert key["Resource"] == KEY
    assert key["Condition"]["StringEquals"] == {"kms:ViaService": "secretsmanager.eu-west-1.amazonaws.com"}
    assert key["Condition"]["StringLike"]["kms:EncryptionContext:SecretARN"] == others[0]["Resource"]


@pytest.mark.parametrize(
    ("region", "partition"), [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
)
def test_every_partition_has_its_arns(region: str, partition: str) -> None:
    resources = iam_policy(replace(PLAIN, region=region))["Statement"][0]["Resource"]
    assert {resource.split(":")[1] for resource in resources} == {partition}
