"""What is packed comes back as it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.api.v1 import CredentialType, GrantState, GrantStatus, TargetStatus, ToolCredentialStatus
from tolstoy_operator.domain.packedstatus import PackedStatus
from tolstoy_operator.domain.status import Facts, Finding, next_status, status_patch

NOW = datetime(2026, 5, 1, tzinfo=UTC)
FACTS = Facts(
    generation=3,
    target=TargetStatus(name="github", keys=["accessToken"], last_sync_time="2026-05-01T00:00:00Z"),
    credential_type=CredentialType.OAUTH2,
    grant=GrantStatus(state=GrantState.ACTIVE, expires_at="2026-05-02T00:00:00Z"),
    force_sync="now",
)


def written(reason: Reason) -> ToolCredentialStatus:
    before = ToolCredentialStatus()
    return next_status(before, Finding(reason, "why"), FACTS, now=NOW, stall_after=timedelta(minutes=10))


@pytest.mark.parametrize("reason", list(Reason))
def test_every_status_comes_back_with_its_reason(reason: Reason) -> None:
    status = written(reason)
    packed = PackedStatus.of(status_patch(status))
    assert packed.unpack() == status
    assert packed.reason is reason
    assert packed == PackedStatus.of(status_patch(packed.unpack()))


def test_what_is_not_ours_is_no_status() -> None:
    for raw in (None, {}, {"conditions": "nonsense"}):
        assert PackedStatus.of(raw).unpack() == ToolCredentialStatus()
        assert PackedStatus.of(raw).reason is None


def test_another_status_is_not_equal() -> None:
    synced, suspended = (PackedStatus.of(status_patch(written(item))) for item in (Reason.SYNCED, Reason.SUSPENDED))
    assert synced != suspended
