"""Bindings of namespaces: deny by default, exact names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tolstoy_operator.api import names
from tolstoy_operator.api.v1 import ToolCredentialSpec
from tolstoy_operator.domain.tenancy import Binding, binding_of, unbinding_is_suspicious


def org(org_id: str) -> ToolCredentialSpec:
    return ToolCredentialSpec.model_validate({"tool": "github", "orgId": org_id})


def secret(name: str) -> ToolCredentialSpec:
    return ToolCredentialSpec.model_validate({"secretName": name})


@pytest.mark.parametrize(
    "annotations", [None, {}, {"other": "x"}, {names.ALLOWED_ORGS: ""}, {names.ALLOWED_ORGS: ",, ,"}]
)
def test_nothing_is_granted_by_default(annotations: dict[str, str] | None) -> None:
    binding = binding_of(annotations)
    assert binding == Binding()
    assert not binding.allows(org("org-1"))
    assert not binding.allows(secret("conductor-db-secret"))


def test_lists_are_exact_and_spaces_around_entries_do_not_count() -> None:
    binding = binding_of({names.ALLOWED_ORGS: " org-1 ,org-2,, org-1", names.ALLOWED_SECRETS: "conductor-db-secret"})
    assert binding.orgs == {"org-1", "org-2"}
    assert binding.allows(org("org-1"))
    assert binding.allows(org("org-2"))
    assert not binding.allows(org("org-11"))
    assert not binding.allows(org("ORG-1"))
    assert binding.allows(secret("conductor-db-secret"))
    assert not binding.allows(secret("conductor-db-secret2"))


@pytest.mark.parametrize("entry", ["*", "org-*", ".*", "tolstoy/github/*", "%"])
def test_there_are_no_wildcards(entry: str) -> None:
    binding = binding_of({names.ALLOWED_ORGS: entry, names.ALLOWED_SECRETS: entry})
    assert not binding.allows(org("org-1"))
    assert not binding.allows(secret("tolstoy/github/org-1"))


def test_a_secret_name_is_no_way_round_an_organisations_binding() -> None:
    assert not binding_of({names.ALLOWED_ORGS: "org-x"}).allows(secret("tolstoy/github/org-x"))
    granted = binding_of({names.ALLOWED_SECRETS: "tolstoy/github/org-x"})
    assert granted.allows(secret("tolstoy/github/org-x"))
    assert not granted.allows(secret("tolstoy/slack/org-x"))
    assert not granted.allows(org("org-x"))


def test_a_spec_of_both_forms_or_neither_is_never_granted() -> None:
    everything = Binding(orgs=frozenset({"org-1"}), secrets=frozenset({"s"}))
    for fields in (
        {},
        {"tool": "github"},
        {"orgId": "org-1"},
        {"tool": "github", "orgId": "org-1", "secretName": "s"},
        {"orgId": "org-1", "secretName": "s"},
    ):
        assert not everything.allows(ToolCredentialSpec.model_validate(fields))


@pytest.mark.parametrize(("text", "on"), [("true", True), (" true ", True), ("True", False), ("1", False), ("", False)])
def test_only_the_word_true_turns_a_switch_on(text: str, on: bool) -> None:
    annotations = {names.ALLOW_SENSITIVE_KEYS: text, names.ALLOW_REVOKE: text, names.ALLOW_IMPORT: text}
    binding = binding_of(annotations)
    assert (binding.sensitive_keys, binding.revoke, binding.import_) == (on, on, on)


def test_each_switch_is_its_own_right() -> None:
    assert binding_of({names.ALLOW_REVOKE: "true"}) == Binding(revoke=True)
    assert binding_of({names.ALLOW_IMPORT: "true"}) == Binding(import_=True)
    assert binding_of({names.ALLOW_SENSITIVE_KEYS: "true"}) == Binding(sensitive_keys=True)


def test_a_list_counts_whole() -> None:
    binding = binding_of({names.ALLOWED_ORGS: ",".join(f"o{i}" for i in range(37_000))})
    assert binding.allows(org("o36999"))


@given(
    st.lists(st.from_regex(r"\A[A-Za-z0-9_+=.@-]{1,12}\Z"), max_size=8), st.from_regex(r"\A[A-Za-z0-9_+=.@-]{1,12}\Z")
)
def test_an_organisation_is_granted_exactly_when_it_is_listed(listed: list[str], asked: str) -> None:
    assert binding_of({names.ALLOWED_ORGS: ",".join(listed)}).allows(org(asked)) == (asked in listed)


@pytest.mark.parametrize(
    ("lost", "total", "suspicious"),
    [
        (0, 0, False),
        (2, 2, False),
        (3, 3, True),
        (3, 29, True),
        (3, 30, False),
        (4, 30, True),
        (10, 100, False),
        (11, 100, True),
    ],
)
def test_many_bindings_gone_at_once_are_held(lost: int, total: int, suspicious: bool) -> None:
    assert unbinding_is_suspicious(lost, total) is suspicious
