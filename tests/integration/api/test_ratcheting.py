"""A rule that comes later does not lock out objects that were legal before: what is not touched stays as it is.

A copy of the CRD in a group of its own starts without a rule, takes in an object, and then gets the rule.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from dev.controlplane import ControlPlane
from dev.testbed import eventually
from tests.integration.api.conftest import causes
from tests.support import crd
from tests.support.kubeapi import KubeApi

pytestmark = pytest.mark.integration

GROUP, KIND, PLURAL = "earlier.tolstoy.test", "EarlierCredential", "earliercredentials"
OLD_SPEC = {"tool": "GitHub_Enterprise", "orgId": "org-abc123", "target": {"labels": {"kubernetes.io/x": "y"}}}


def earlier(*, ruled: bool) -> dict[str, Any]:
    """The CRD under another group, with today's rules or with none."""
    body = copy.deepcopy(crd.crd())
    body["metadata"]["name"] = f"{PLURAL}.{GROUP}"
    body["spec"]["group"] = GROUP
    body["spec"]["names"] = {"kind": KIND, "plural": PLURAL}
    if not ruled:
        for _, node in crd.walk(body["spec"]["versions"][0]["schema"]["openAPIV3Schema"]):
            node.pop("x-kubernetes-validations", None)
    return body


@pytest.fixture(scope="module")
def old(served: ControlPlane, admin: KubeApi, namespace: str) -> str:
    """The path of an object that broke no rule when it was stored, and breaks some now."""

    def install(*, ruled: bool) -> None:
        served.kubectl("apply", "--server-side", "--filename=-", stdin=yaml.safe_dump(earlier(ruled=ruled)))

    path = f"/apis/{GROUP}/v1/namespaces/{namespace}/{PLURAL}"
    body = {"apiVersion": f"{GROUP}/v1", "kind": KIND, "metadata": {"name": "old"}, "spec": OLD_SPEC}
    install(ruled=False)
    eventually(lambda: admin.post(path, body).ok, what="the object is stored while there is no rule")
    install(ruled=True)
    body["metadata"] = {"name": "new"}
    eventually(lambda: admin.post(f"{path}?dryRun=All", body).status == 422, what="the rules are in force")
    return f"{path}/old"


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"labels": {"team": "web"}}},
        {"metadata": {"annotations": {"tolstoy.dev/force-sync": "1"}}},
        {"metadata": {"finalizers": ["tolstoy.dev/revoke"]}},
        {"metadata": {"finalizers": None}},
        {"spec": {"suspend": True}},
        {"spec": {"target": {"name": "github"}}},
        {"spec": {"target": {"annotations": {"note": "x"}}}},
    ],
    ids=str,
)
def test_what_breaks_no_rule_anew_is_accepted(admin: KubeApi, old: str, change: object) -> None:
    answer = admin.patch(old, change)

    assert answer.ok, answer.message


def test_its_status_can_be_written(admin: KubeApi, old: str) -> None:
    assert admin.patch(f"{old}/status", {"status": {"observedGeneration": 1}}).ok


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"spec": {"target": {"labels": {"k8s.io/x": "y"}}}}, "spec.target.labels"),
        ({"spec": {"target": {"keys": ["a/b"]}}}, "spec.target.keys[0]"),
        ({"spec": {"tool": "Git_Lab"}}, "spec.tool"),
        ({"spec": {"tool": "github"}}, "spec"),
    ],
    ids=str,
)
def test_what_is_touched_must_follow_the_rules(admin: KubeApi, old: str, change: object, field: str) -> None:
    answer = admin.patch(old, change)

    assert answer.status == 422
    assert field in causes(answer)
