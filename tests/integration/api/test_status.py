"""The status is the operator's: only `/status` writes it, nothing else goes that way, and the CRD checks it too."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.api.conftest import Credentials, causes
from tests.support.kubeapi import APPLY_PATCH, Answer, credential
from tolstoy_operator.api.reasons import MESSAGE_LIMIT, Reason
from tolstoy_operator.api.v1 import (
    Condition,
    ConditionStatus,
    ConditionType,
    CredentialType,
    GrantState,
    GrantStatus,
    TargetStatus,
    ToolCredentialStatus,
    UpstreamStatus,
)
from tolstoy_operator.domain.forcesync import LONGEST_MARK

pytestmark = pytest.mark.integration

NAMED = {"tool": "github", "orgId": "org-abc123"}
MOMENT = "2024-05-06T07:08:09Z"


def condition(kind: ConditionType, reason: str, text: str) -> Condition:
    return Condition(
        type=kind,
        status=ConditionStatus.TRUE,
        reason=reason,
        message=text,
        last_transition_time=MOMENT,
        observed_generation=1,
    )


def largest() -> ToolCredentialStatus:
    """Everything as long as the operator can make it: a secret of 64 KiB has some 9,000 members at most."""
    return ToolCredentialStatus(
        observed_generation=2**40,
        conditions=[condition(kind, max(Reason, key=len), "m" * MESSAGE_LIMIT) for kind in ConditionType],
        credential_type=CredentialType.CLIENT_CREDENTIALS,
        grant=GrantStatus(state=GrantState.NOT_APPLICABLE, expires_at=MOMENT),
        upstream=UpstreamStatus(name="n" * 512, arn="a" * 2048, version_id="v" * 64, region="ap-southeast-1"),
        target=TargetStatus(name="n" * 253, keys=[f"k{number}" for number in range(9000)], last_sync_time=MOMENT),
        last_handled_force_sync="f" * LONGEST_MARK,
    )


def write(credentials: Credentials, name: str, status: object) -> Answer:
    return credentials.api.patch(f"{credentials.path}/{name}/status?fieldValidation=Strict", {"status": status})


def dumped(status: ToolCredentialStatus) -> dict[str, Any]:
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


@pytest.mark.parametrize("status", [ToolCredentialStatus(), largest()], ids=["empty", "largest"])
def test_the_status_that_the_models_write_is_accepted_and_read_back(
    credentials: Credentials, status: ToolCredentialStatus
) -> None:
    name = credentials.existing(**NAMED)

    answer = write(credentials, name, status.model_dump(mode="json", by_alias=True))

    assert answer.ok, answer.message
    assert ToolCredentialStatus.model_validate(credentials.get(name)["status"]) == status


def test_a_tenant_cannot_say_that_all_is_well(credentials: Credentials) -> None:
    """Neither at creation, nor by an update, nor by an apply of the object itself."""
    forged = dumped(ToolCredentialStatus(conditions=[condition(ConditionType.READY, "Synced", "trust me")]))
    body = {**credential("forged", **NAMED), "status": forged}

    created = credentials.api.post(credentials.path, body)
    changed = credentials.merge("forged", {"status": forged, "spec": {"suspend": True}})
    applied = credentials.api.patch(f"{credentials.path}/forged?fieldManager=t&force=true", body, APPLY_PATCH)

    assert created.ok
    assert changed.ok
    assert applied.ok
    assert "status" not in credentials.get("forged")


def test_the_status_does_not_change_the_spec(credentials: Credentials) -> None:
    name = credentials.existing(**NAMED)

    answer = credentials.api.patch(
        f"{credentials.path}/{name}/status",
        {"spec": {"suspend": True, "tool": "x"}, "status": {"observedGeneration": 1}},
    )

    assert answer.ok, answer.message
    after = credentials.get(name)
    assert (after["spec"]["suspend"], after["spec"]["tool"]) == (False, "github")
    assert after["metadata"]["generation"] == 1
    assert after["status"] == {"observedGeneration": 1}


def test_conditions_are_merged_by_type_under_apply(credentials: Credentials) -> None:
    name = credentials.existing(**NAMED)
    for manager, kind in (("one", ConditionType.READY), ("two", ConditionType.SYNCED)):
        body = {
            "apiVersion": "tolstoy.dev/v1",
            "kind": "ToolCredential",
            "status": dumped(ToolCredentialStatus(conditions=[condition(kind, "Synced", "fine")])),
        }
        path = f"{credentials.path}/{name}/status?fieldManager={manager}"
        answer = credentials.api.patch(path, body, APPLY_PATCH)
        assert answer.ok, answer.message

    assert [item["type"] for item in credentials.get(name)["status"]["conditions"]] == ["Ready", "Synced"]


@pytest.mark.parametrize(
    ("status", "field"),
    [
        ({"grant": {"state": "Fine"}}, "status.grant.state"),
        ({"grant": {}}, "status.grant.state"),
        ({"grant": {"state": "Active", "expiresAt": "tomorrow"}}, "status.grant.expiresAt"),
        ({"credentialType": "Password"}, "status.credentialType"),
        ({"observedGeneration": -1}, "status.observedGeneration"),
        ({"upstream": {}}, "status.upstream.name"),
        ({"target": {"name": "x"}}, "status.target.keys"),
        ({"conditions": [{"type": "Ready"}]}, "status.conditions[0].status"),
        ({"conditions": [{"type": "Broken"}]}, "status.conditions[0].type"),
    ],
    ids=str,
)
def test_a_status_that_lies_about_its_form_is_refused(credentials: Credentials, status: object, field: str) -> None:
    answer = write(credentials, credentials.existing(**NAMED), status)

    assert answer.status == 422
    assert field in causes(answer)


def test_a_condition_comes_once(credentials: Credentials) -> None:
    ready = dumped(ToolCredentialStatus(conditions=[condition(ConditionType.READY, "Synced", "fine")]))["conditions"]

    answer = write(credentials, credentials.existing(**NAMED), {"conditions": ready * 2})

    assert answer.status == 422
    assert "Duplicate value" in causes(answer)["status.conditions[1]"]
