"""Which pods are told that a Secret has changed."""

from __future__ import annotations

from typing import Any

import pytest

from tolstoy_operator.api import names
from tolstoy_operator.api.v1 import CredentialType, ToolCredentialSpec
from tolstoy_operator.domain.propagation import Touch, is_immediate, touched, touches
from tolstoy_operator.domain.refresh import OldAccessToken

SECRET = {"secret": {"secretName": "github"}}
PROJECTED = {"projected": {"sources": [{"secret": {"name": "github"}}]}}


def pod(volume: dict[str, Any] = SECRET, *, told: str | None = None, phase: str = "Running", **mount: str) -> Any:
    container = {"name": "web", "volumeMounts": [{"name": "v", "mountPath": "/x", **mount}]}
    meta: dict[str, Any] = {"name": "web-1", "uid": "uid-1"}
    if told is not None:
        meta["annotations"] = {names.SECRET_CHANGED: told}
    spec = {"containers": [container], "volumes": [{"name": "v", **volume}]}
    return {"metadata": meta, "spec": spec, "status": {"phase": phase}}


def leaving() -> Any:
    found = pod()
    found["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return found


def by_environment() -> Any:
    container = {"name": "web", "envFrom": [{"secretRef": {"name": "github"}}]}
    return {**pod(), "spec": {"containers": [container]}}


@pytest.mark.parametrize("volume", [SECRET, PROJECTED], ids=["secret", "projected"])
def test_running_pods_that_mount_it_are_told(volume: dict[str, Any]) -> None:
    assert touches([pod(volume)], {"github": 7}) == [Touch("web-1", "uid-1", 7)]


@pytest.mark.parametrize(
    "other",
    [
        pod({"secret": {"secretName": "other"}}),
        pod({"configMap": {"name": "github"}}),
        pod(subPath="accessToken"),
        pod(phase="Pending"),
        pod(phase="Succeeded"),
        leaving(),
        by_environment(),
        {**pod(), "spec": {"containers": [{"name": "web"}], "volumes": [{"name": "v", **SECRET}]}},
    ],
    ids=["another Secret", "a ConfigMap", "subPath", "starts", "has ended", "ends", "environment", "no mount"],
)
def test_others_are_not(other: Any) -> None:
    assert touches([other], {"github": 7}) == []


@pytest.mark.parametrize(
    ("told", "again"), [("6", True), ("7", False), ("8", False), ("", True), ("seven", True), ("9" * 30, True)]
)
def test_nobody_is_told_twice(told: str, again: bool) -> None:
    assert bool(touches([pod(told=told)], {"github": 7})) is again


def test_two_secrets_are_one_touch() -> None:
    both = pod()
    both["spec"]["volumes"].append({"name": "w", "secret": {"secretName": "gitlab"}})
    both["spec"]["containers"][0]["volumeMounts"].append({"name": "w", "mountPath": "/y"})
    assert touches([both], {"github": 7, "gitlab": 9, "jira": 11}) == [Touch("web-1", "uid-1", 9)]


def test_the_patch_is_for_this_very_pod() -> None:
    assert touched(Touch("web-1", "uid-1", 7)) == {
        "metadata": {"uid": "uid-1", "annotations": {"tolstoy.dev/secret-changed": "7"}}
    }


@pytest.mark.parametrize(
    ("asked", "found", "old", "immediate"),
    [
        (None, CredentialType.OAUTH2, OldAccessToken.DIES, True),
        (None, CredentialType.OAUTH2, OldAccessToken.SURVIVES, False),
        (None, CredentialType.OAUTH2, OldAccessToken.UNKNOWN, False),
        (None, CredentialType.API_KEY, OldAccessToken.DIES, False),
        ("Kubelet", CredentialType.OAUTH2, OldAccessToken.DIES, False),
        ("Immediate", CredentialType.API_KEY, OldAccessToken.UNKNOWN, True),
    ],
)
def test_the_spec_decides_and_else_the_tool(
    asked: str | None, found: CredentialType, old: OldAccessToken, immediate: bool
) -> None:
    target = {} if asked is None else {"propagation": asked}
    spec = ToolCredentialSpec.model_validate({"tool": "gitlab", "orgId": "org-1", "target": target})
    assert is_immediate(spec, found, old) is immediate
