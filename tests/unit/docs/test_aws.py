"""The page about AWS: its policies are JSON that grants what the store calls, and its limits are the store's."""

from __future__ import annotations

import inspect
import json
import re
import sys
from dataclasses import replace
from typing import Any

import pytest

from tests.support import docs
from tolstoy_operator.__main__ import main
from tolstoy_operator.domain.iampolicy import Installation, iam_policy
from tolstoy_operator.stores import secretsmanager
from tolstoy_operator.stores.secretsmanager import Limits

PAGE = "aws.md"
EXAMPLE = Installation("eu-west-1", "123456789012", secrets=("conductor-db-secret",))
KEY = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555"
POLICIES: list[dict[str, Any]] = [
    json.loads(block) for block in re.findall(r"^```json\n(.*?)^```$", docs.text(PAGE), re.DOTALL | re.MULTILINE)
]
ROLE = POLICIES[0]["Statement"]
CALLS = set(re.findall(r'self\._(?:call|pages)\(\s*"(\w+)"', inspect.getsource(secretsmanager)))


def granted(statement: dict[str, Any]) -> list[str]:
    return [action.removeprefix("secretsmanager:") for action in statement["Action"]]


def test_the_policies_are_what_the_command_prints() -> None:
    with_key = iam_policy(replace(EXAMPLE, keys=(KEY,)))

    assert POLICIES[0] == iam_policy(EXAMPLE)
    assert POLICIES[1] == with_key["Statement"][-1]


def test_the_table_explains_each_call() -> None:
    explained = {word for cells in docs.table(PAGE, "action") for word in re.findall(r"`(\w+)`", cells[0])}

    assert explained == CALLS


def test_every_option_is_told_and_exists(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    told = set(re.findall(r"--[a-z-]+", " ".join(cells[0] for cells in docs.table(PAGE, "option"))))
    monkeypatch.setattr(sys, "argv", ["tolstoy_operator", "iam-policy", "--help"])
    assert main() == 0
    usage = capsys.readouterr().out

    assert told | {"--account", "--help"} == set(re.findall(r"--[a-z-]+", usage))


def test_only_what_knows_no_resources_is_unlimited() -> None:
    unlimited = [action for statement in ROLE if statement["Resource"] == "*" for action in granted(statement)]

    assert unlimited == ["BatchGetSecretValue", "ListSecrets"]


def test_writes_are_limited_to_organisations() -> None:
    (writes,) = [statement for statement in ROLE if "PutSecretValue" in granted(statement)]

    assert writes["Resource"].endswith(":secret:tolstoy/*")


def test_a_single_secret_is_named_to_its_end() -> None:
    arns = re.findall(r'"(arn:aws:secretsmanager:[^"]+)"', docs.text(PAGE))

    assert all(arn.endswith((":secret:tolstoy/*", "-??????")) for arn in arns)


def test_whoever_trusts_says_whom_exactly() -> None:
    trusts = [policy for policy in POLICIES if "Statement" in policy and "Principal" in policy["Statement"][0]]

    assert len(trusts) == 2
    assert all("StringEquals" in trust["Statement"][0]["Condition"] for trust in trusts)


def test_the_limits_are_the_stores() -> None:
    limits = Limits()
    told = {cells[0]: float(cells[1]) for cells in docs.table(PAGE, "calls")}

    assert told == {
        "`GetSecretValue`": limits.get,
        "`DescribeSecret`": limits.describe,
        "`BatchGetSecretValue`": limits.batch,
        "`ListSecrets`": limits.list,
        "`ListSecretVersionIds`": limits.versions,
        "`CreateSecret`, `PutSecretValue`, `UpdateSecretVersionStage` together": limits.write,
    }
