"""What a policy lets the operator change, where RBAC lets it change more, each tried with its own token."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from tests.integration.helm.conftest import Team
from tests.integration.helm.objects import INVITING, MANAGED, SECRETS, owned_by, pod_template, secret, with_workload
from tests.support.kubeapi import APPLY_PATCH, JSON_PATCH, Answer, KubeApi
from tolstoy_operator.api.names import RESTARTED_AT, SECRET_CHANGED

pytestmark = pytest.mark.integration

OWNED = {"metadata": owned_by({"metadata": {"name": "x", "uid": "11111111-1111-1111-1111-111111111111"}})}


class TestWhatItMayPatchOfACredential:
    """RBAC lets the operator patch any part; a policy keeps it to its own finalizer."""

    @pytest.mark.parametrize(
        "body",
        [
            {"spec": {"suspend": True}},
            {"spec": {"oauth": {"revocationPolicy": "Revoke"}}},
            {"metadata": {"finalizers": ["example.com/mine"]}},
            {"metadata": {"labels": {"a": "b"}}},
            {"metadata": {"annotations": {"tolstoy.dev/force-sync": "x"}}},
        ],
    )
    def test_nothing_else_does(self, operator: KubeApi, team: Team, bound: str, body: dict[str, Any]) -> None:
        assert team
        self.is_refused(operator.patch(bound, body))

    @pytest.mark.usefixtures("editing")
    def test_no_owner(self, operator: KubeApi, bound: str) -> None:
        self.is_refused(operator.patch(bound, OWNED))

    def is_refused(self, answer: Answer) -> None:
        assert answer.status == 403, answer
        assert "the operator changes nothing of a ToolCredential but its own finalizer" in answer.message

    def test_somebody_elses_finalizer_stays(self, operator: KubeApi, team: Team, bound: str) -> None:
        assert team.developer.patch(bound, {"metadata": {"finalizers": ["example.com/theirs"]}}).ok
        assert operator.patch(bound, {"metadata": {"finalizers": None}}).status == 403
        assert team.developer.patch(bound, {"metadata": {"finalizers": None}}).ok

    def test_others_are_not_held_to_it(self, team: Team, bound: str) -> None:
        assert team.developer.patch(bound, {"metadata": {"labels": {"a": "b"}}}).ok


class TestWhatItMayPatchOfAPod:
    """RBAC lets the operator patch any part; a policy keeps it to one annotation, and that to a number."""

    @pytest.mark.parametrize(
        "body",
        [
            {"spec": {"activeDeadlineSeconds": 1}},
            {"metadata": {"labels": {"app": "theirs"}}},
            {"metadata": {"labels": {"app": None}}},
            {"metadata": {"annotations": {"example.com/mine": "x"}}},
            {"metadata": {"annotations": {"example.com/theirs": "other"}}},
            {"metadata": {"annotations": {"example.com/theirs": None}}},
            {"metadata": {"annotations": {SECRET_CHANGED: "12", "example.com/theirs": "other"}}},
            {"metadata": {"annotations": {SECRET_CHANGED: "x"}}},
            {"metadata": {"annotations": {SECRET_CHANGED: "1" * 21}}},
            {"metadata": {"finalizers": ["example.com/mine"]}},
        ],
        ids=json.dumps,
    )
    def test_nothing_else(self, operator: KubeApi, web: str, body: dict[str, Any]) -> None:
        self.is_refused(operator.patch(web, body))

    @pytest.mark.usefixtures("editing")
    def test_no_owner(self, operator: KubeApi, web: str) -> None:
        self.is_refused(operator.patch(web, OWNED))

    def test_no_other_image(self, operator: KubeApi, web: str) -> None:
        image = [{"op": "replace", "path": "/spec/containers/0/image", "value": "registry.example.com/theirs"}]
        self.is_refused(operator.patch(web, image, JSON_PATCH))

    def is_refused(self, answer: Answer) -> None:
        assert answer.status == 403, answer
        assert "the operator changes nothing of a pod but its annotation" in answer.message

    def test_others_are_not_held_to_it(self, team: Team, web: str) -> None:
        assert team.developer.patch(web, {"metadata": {"labels": {"app": "other"}}}).ok


class TestWhatItMayPatchOfAWorkload:
    """RBAC lets the operator patch any part; a policy keeps it to one annotation of the pod template."""

    MINE: ClassVar = {"example.com/mine": "x"}

    @pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
    @pytest.mark.parametrize(
        "body",
        [
            pod_template(metadata={"annotations": MINE}),
            pod_template(metadata={"annotations": {"example.com/theirs": None}}),
            pod_template(metadata={"annotations": {RESTARTED_AT: "x"}}),
            pod_template(metadata={"annotations": {RESTARTED_AT: "2026-01-01T00:00:00Z", **MINE}}),
            pod_template(metadata={"labels": MINE}),
            pod_template(spec={"serviceAccountName": "admin"}),
            pod_template(spec={"hostNetwork": True}),
            pod_template(spec={"terminationGracePeriodSeconds": 1}),
            {"metadata": {"labels": MINE}},
            {"metadata": {"annotations": MINE}},
            {"metadata": {"annotations": {RESTARTED_AT: "2026-01-01T00:00:00Z"}}},
            {"metadata": {"finalizers": ["example.com/mine"]}},
            {"spec": {"revisionHistoryLimit": 1}},
            {"spec": {"minReadySeconds": 1}},
        ],
        ids=json.dumps,
    )
    def test_nothing_else(self, operator: KubeApi, team: Team, kind: str, body: dict[str, Any]) -> None:
        self.is_refused(operator.patch(with_workload(team, kind), body))

    @pytest.mark.usefixtures("editing")
    @pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
    def test_no_owner(self, operator: KubeApi, team: Team, kind: str) -> None:
        self.is_refused(operator.patch(with_workload(team, kind), OWNED))

    @pytest.mark.parametrize(
        "operation",
        [
            {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "registry.example.com/theirs"},
            {"op": "add", "path": "/spec/template/spec/containers/0/command", "value": ["sh"]},
            {"op": "replace", "path": "/spec/replicas", "value": 0},
            {"op": "add", "path": "/spec/paused", "value": True},
        ],
        ids=lambda operation: operation["path"],
    )
    def test_no_other_image_and_no_other_size(self, operator: KubeApi, team: Team, operation: object) -> None:
        self.is_refused(operator.patch(with_workload(team, "Deployment"), [operation], JSON_PATCH))

    def is_refused(self, answer: Answer) -> None:
        assert answer.status == 403, answer
        assert "the operator changes nothing of a workload but the annotation" in answer.message

    def test_others_are_not_held_to_it(self, team: Team) -> None:
        assert team.developer.patch(with_workload(team, "Deployment"), {"spec": {"replicas": 3}}).ok


class TestWhatAStolenTokenCannotDoToSecrets:
    """RBAC lets the operator write any Secret; a policy keeps it to its own."""

    @pytest.fixture
    def secrets(self, team: Team) -> str:
        return SECRETS.format(team.namespace)

    @pytest.mark.parametrize(
        "body",
        [
            secret("x", {}),
            secret("x", {"labels": {"tolstoy.dev/managed": "merged"}}),
            secret("x", INVITING),
            secret("x", MANAGED, type="bootstrap.kubernetes.io/token"),
            secret(
                "x",
                MANAGED | {"annotations": {"kubernetes.io/service-account.name": "default"}},
                type="kubernetes.io/service-account-token",
            ),
            secret("x", MANAGED, type="helm.sh/release.v1"),
        ],
        ids=["unmarked", "merged", "inviting", "bootstrap token", "service account token", "Helm release"],
    )
    def test_create(self, operator: KubeApi, secrets: str, body: dict[str, Any]) -> None:
        answer = operator.post(secrets, body)
        assert answer.status == 403, answer
        assert "the operator creates only Secrets with the label tolstoy.dev/managed=true" in answer.message

    def test_touch_those_of_others(self, operator: KubeApi, team: Team, secrets: str) -> None:
        assert team.developer.post(secrets, secret("theirs", {"labels": {"app": "web"}})).ok
        path = f"{secrets}/theirs"
        for answer in (
            operator.patch(path, {"data": {"accessToken": "eA=="}}),
            operator.patch(path, {"metadata": MANAGED}),
            operator.patch(path, {"metadata": INVITING}),
            operator.patch(f"{path}?fieldManager=tolstoy-1&force=true", secret("theirs"), APPLY_PATCH),
            operator.delete(path),
        ):
            assert answer.status == 403, answer
            assert "the operator writes only Secrets that are its own or that invite it" in answer.message

    def test_take_one_for_its_own_that_a_credential_merely_owns(
        self, operator: KubeApi, team: Team, secrets: str, bound: str
    ) -> None:
        body = team.developer.get(bound).body
        assert team.developer.post(secrets, secret("theirs", owned_by(body, controller=False))).ok
        assert operator.patch(f"{secrets}/theirs", {"data": {}}).status == 403

    @pytest.mark.parametrize(
        ("metadata", "deleted"),
        [(MANAGED, True), (INVITING, False), ({"labels": {"tolstoy.dev/managed": "merged"}}, False)],
        ids=["managed", "inviting", "merged"],
    )
    def test_but_it_can_write_what_is_meant_for_it(
        self, operator: KubeApi, team: Team, secrets: str, metadata: dict[str, Any], deleted: bool
    ) -> None:
        assert team.developer.post(secrets, secret("ours", metadata)).ok
        assert operator.patch(f"{secrets}/ours", {"data": {"accessToken": "eA=="}}).ok
        assert operator.delete(f"{secrets}/ours").ok is deleted

    def test_and_its_own_when_the_label_was_taken_off(
        self, operator: KubeApi, team: Team, secrets: str, bound: str
    ) -> None:
        assert team.developer.post(secrets, secret("ours", owned_by(team.developer.get(bound).body))).ok
        assert operator.patch(f"{secrets}/ours", {"metadata": MANAGED}).ok
        assert operator.delete(f"{secrets}/ours").ok

    def test_others_are_not_held_to_it(self, team: Team, secrets: str) -> None:
        assert team.developer.post(secrets, secret("theirs", {})).ok
        assert team.developer.patch(f"{secrets}/theirs", {"data": {}}).ok
        assert team.developer.delete(f"{secrets}/theirs").ok
