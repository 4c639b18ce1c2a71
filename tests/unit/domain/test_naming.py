"""Upstream and target names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tolstoy_operator.api.v1 import ToolCredentialSpec
from tolstoy_operator.domain.naming import (
    InvalidName,
    check_upstream_name,
    target_name,
    tool_of,
    tool_secret_name,
    upstream_name,
)


def spec(**fields: object) -> ToolCredentialSpec:
    return ToolCredentialSpec.model_validate(fields)


@pytest.mark.parametrize("org", ["org-abc123", "a", "A_+=.@-z", "..", "x" * 128])
def test_an_organisations_secret_is_found_by_construction(org: str) -> None:
    assert upstream_name(spec(tool="github", orgId=org)) == f"tolstoy/github/{org}"


def test_a_secret_named_outright_is_that_secret() -> None:
    assert upstream_name(spec(secretName="conductor-db-secret")) == "conductor-db-secret"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tool": "github"},
        {"orgId": "org-1"},
        {"tool": "github", "orgId": "org-1", "secretName": "x"},
        {"tool": "github", "secretName": "x"},
        {"orgId": "org-1", "secretName": "x"},
    ],
)
def test_a_spec_of_both_forms_or_of_half_a_form_names_nothing(fields: dict[str, str]) -> None:
    with pytest.raises(InvalidName):
        upstream_name(spec(**fields))


@pytest.mark.parametrize("tool", ["", "GitHub", "-x", "x-", "a/b", "a" * 64, "gi\n", "github\n", "..", "é"])
def test_tools_that_are_no_tools_are_refused(tool: str) -> None:
    with pytest.raises(InvalidName) as caught:
        tool_secret_name(tool, "org-1")
    assert not tool or tool not in str(caught.value)


@pytest.mark.parametrize("org", ["", "a/b", "../x", "x" * 129, "org\n", "org 1", "org,2", "*", "ä", "org:1"])
def test_organisations_that_could_reach_elsewhere_are_refused(org: str) -> None:
    with pytest.raises(InvalidName):
        tool_secret_name("github", org)


@given(st.text(max_size=140), st.text(max_size=140))
def test_a_name_always_has_three_parts_that_are_what_was_given(tool: str, org: str) -> None:
    try:
        name = tool_secret_name(tool, org)
    except InvalidName:
        return
    assert name.split("/") == ["tolstoy", tool, org]


@pytest.mark.parametrize("name", ["tolstoy/github/org-abc123", "conductor-db-secret", "platform/db/main", "x" * 512])
def test_what_a_spec_can_ask_for_is_a_name(name: str) -> None:
    check_upstream_name(name)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("tolstoy", "an organisation's secret is tolstoy/<tool>/<orgId>"),
        ("tolstoy/github", "an organisation's secret is tolstoy/<tool>/<orgId>"),
        ("tolstoy/github/org-1/x", "an organisation's secret is tolstoy/<tool>/<orgId>"),
        ("tolstoy/GitHub/org-1", "a tool is 1 to 63 lower-case letters"),
        ("tolstoy/github/", "an organisation is 1 to 128 letters"),
        ("", "a secret is 1 to 512 letters"),
        ("/db", "a secret is 1 to 512 letters"),
        ("platform//db", "a secret is 1 to 512 letters"),
        ("db\n", "a secret is 1 to 512 letters"),
        ("x" * 513, "a secret is 1 to 512 letters"),
        ("arn:aws:secretsmanager:eu-west-1:1:secret:db", "and no ARN"),
        ('{"apiKey":"hunter2"}', "a secret is 1 to 512 letters"),
    ],
)
def test_what_no_spec_can_ask_for_is_no_name_and_is_not_repeated(name: str, says: str) -> None:
    with pytest.raises(InvalidName, match=says) as caught:
        check_upstream_name(name)
    assert "hunter2" not in str(caught.value)


def test_the_target_is_named_after_the_credential_unless_the_spec_says() -> None:
    assert target_name(spec(tool="github", orgId="o"), "cred") == "cred"
    assert target_name(spec(tool="github", orgId="o", target={"name": "mine"}), "cred") == "mine"


def test_the_tool_follows_from_the_name_of_an_organisations_secret_and_from_no_other() -> None:
    assert tool_of(tool_secret_name("github", "org-abc123")) == "github"
    for name in ("conductor-db-secret", "tolstoy/github", "tolstoy/github/o/x", "other/github/o", "tolstoy/GIT/o"):
        assert tool_of(name) is None
