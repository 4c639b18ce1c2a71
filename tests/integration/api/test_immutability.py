"""What a credential names, and what kind of Secret it writes, stays; by no way of writing can it be changed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.api.conftest import Credentials, causes
from tests.support.kubeapi import Answer

pytestmark = pytest.mark.integration

Spec = dict[str, Any]
NAMED: Spec = {"tool": "github", "orgId": "org-abc123"}
GIVEN: Spec = {"secretName": "conductor-db-secret"}

FIXED = "tool, orgId and secretName cannot be changed; delete this object and create it anew"
TYPE = "type cannot be changed, since a Secret's type cannot"
POLICY = "creationPolicy cannot be changed"

NAMES: dict[str, tuple[Spec, Spec]] = {
    "another tool": (NAMED, {"tool": "slack"}),
    "another orgId": (NAMED, {"orgId": "org-def456"}),
    "another secretName": (GIVEN, {"secretName": "x"}),
    "the other form": (NAMED, {"tool": None, "orgId": None, "secretName": "x"}),
    "the other form, with the same secret behind it": (
        NAMED,
        {"tool": None, "orgId": None, "secretName": "tolstoy/github/org-abc123"},
    ),
    "back from the other form": (GIVEN, {"secretName": None, **NAMED}),
}
TARGETS: dict[str, tuple[Spec, Spec, str]] = {
    "a type after the default": ({}, {"type": "kubernetes.io/tls"}, TYPE),
    "another type": ({"type": "example.com/a"}, {"type": "example.com/b"}, TYPE),
    "the type left out": ({"type": "example.com/a"}, {"type": None}, TYPE),
    "from owner to merge": ({}, {"creationPolicy": "Merge"}, POLICY),
    "from merge to owner": ({"creationPolicy": "Merge"}, {"creationPolicy": "Owner"}, POLICY),
    "the policy left out": ({"creationPolicy": "Merge"}, {"creationPolicy": None}, POLICY),
}


def patched(spec: Spec, change: Spec) -> Spec:
    """`spec` with a merge patch applied at its first level."""
    return {name: value for name, value in {**spec, **change}.items() if value is not None}


def put(credentials: Credentials, name: str, spec: Spec) -> Answer:
    body = credentials.get(name)
    body["spec"] = spec
    return credentials.api.request("PUT", f"{credentials.path}/{name}", body)


def operations(change: Spec, under: str = "/spec") -> list[dict[str, Any]]:
    return [
        {"op": "remove", "path": f"{under}/{field}"}
        if value is None
        else {"op": "add", "path": f"{under}/{field}", "value": value}
        for field, value in change.items()
    ]


@pytest.mark.parametrize("what", NAMES)
def test_the_upstream_secret_stays(credentials: Credentials, what: str) -> None:
    spec, change = NAMES[what]
    name = credentials.existing(**spec)
    before = credentials.get(name)["spec"]

    ways = {
        "merge patch": credentials.merge(name, {"spec": change}),
        "json patch": credentials.json_patch(name, *operations(change)),
        "replaced spec": credentials.json_patch(
            name, {"op": "replace", "path": "/spec", "value": patched(spec, change)}
        ),
        "put": put(credentials, name, patched(spec, change)),
    }

    for way, answer in ways.items():
        assert answer.status == 422, way
        assert FIXED in causes(answer)["spec"], way
    assert credentials.get(name)["spec"] == before


@pytest.mark.parametrize("what", NAMES)
def test_the_upstream_secret_stays_under_server_side_apply(credentials: Credentials, what: str) -> None:
    """Apply removes the manager's fields that it leaves out, so a switch of forms takes one request."""
    spec, change = NAMES[what]
    name = f"applied-{sorted(NAMES).index(what)}"
    assert credentials.apply(name, spec).ok

    answer = credentials.apply(name, patched(spec, change))

    assert answer.status == 422
    assert FIXED in causes(answer)["spec"]


def test_another_manager_cannot_add_the_other_form(credentials: Credentials) -> None:
    name = credentials.existing(**NAMED)

    answer = credentials.apply(name, GIVEN, manager="other")

    assert answer.status == 422
    assert FIXED in causes(answer)["spec"]


@pytest.mark.parametrize("what", TARGETS)
def test_the_kind_of_target_stays(credentials: Credentials, what: str) -> None:
    target, change, sentence = TARGETS[what]
    name = credentials.existing(**NAMED, target=target)
    before = credentials.get(name)["spec"]

    ways = {
        "merge patch": credentials.merge(name, {"spec": {"target": change}}),
        "json patch": credentials.json_patch(name, *operations(change, "/spec/target")),
        "put": put(credentials, name, {**NAMED, "target": patched(target, change)}),
    }

    for way, answer in ways.items():
        assert answer.status == 422, way
        (said,) = causes(answer).values()
        assert sentence in said, way
    assert credentials.get(name)["spec"] == before


@pytest.mark.parametrize("gone", [{"target": None}, {"target": {}}])
def test_dropping_the_target_does_not_get_around_it(credentials: Credentials, gone: Spec) -> None:
    name = credentials.existing(**NAMED, target={"type": "example.com/a"})

    answer = put(credentials, name, {**NAMED, **gone})

    assert answer.status == 422
    assert TYPE in causes(answer)["spec.target.type"]


def test_writing_the_default_out_is_no_change(credentials: Credentials) -> None:
    name = credentials.existing(**NAMED)
    before = credentials.get(name)["metadata"]

    answer = credentials.merge(name, {"spec": {"target": {"type": "Opaque", "creationPolicy": "Owner"}}})

    assert answer.ok, answer.message
    assert answer.body["metadata"]["resourceVersion"] == before["resourceVersion"]


@pytest.mark.parametrize(
    "change",
    [
        {"type": "OAuth2"},
        {"suspend": True},
        {"target": {"name": "renamed"}},
        {"target": {"labels": {"team": "web"}, "annotations": {"note": "x"}}},
        {"target": {"keys": ["accessToken"], "template": {"TOKEN": "${accessToken}"}}},
        {"target": {"deletionPolicy": "Retain"}},
    ],
    ids=str,
)
def test_everything_else_can_be_changed(credentials: Credentials, change: Spec) -> None:
    name = credentials.existing(**NAMED)

    answer = credentials.merge(name, {"spec": change})

    assert answer.ok, answer.message
    assert answer.body["metadata"]["generation"] == 2


def test_deleting_and_creating_is_the_way(credentials: Credentials) -> None:
    name = credentials.existing(**NAMED)
    old = credentials.get(name)["metadata"]["uid"]
    assert credentials.delete(name).ok

    answer = credentials.create({**GIVEN, "target": {"type": "example.com/a", "creationPolicy": "Owner"}}, name=name)

    assert answer.ok, answer.message
    assert answer.body["metadata"]["uid"] != old


def test_the_spec_cannot_be_taken_away(credentials: Credentials) -> None:
    name = credentials.existing(**NAMED)

    for answer in (credentials.merge(name, {"spec": None}), put(credentials, name, None)):  # type: ignore[arg-type]
        assert answer.status == 422
        assert list(causes(answer)) == ["spec"]


def test_a_dry_run_changes_nothing(credentials: Credentials) -> None:
    name = credentials.existing(**NAMED)
    path = f"{credentials.path}/{name}?dryRun=All"

    assert credentials.api.patch(path, {"spec": {"suspend": True}}).ok
    assert credentials.api.patch(path, {"spec": {"tool": "x"}}).status == 422
    assert credentials.get(name)["spec"]["suspend"] is False
