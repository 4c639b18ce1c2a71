"""What the status says, when it changes, and that it does not tick."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tolstoy_operator.api.reasons import GRANT_REASONS, MEANINGS, SOUND_REASONS, Progress, Reason
from tolstoy_operator.api.v1 import (
    ConditionStatus,
    ConditionType,
    CredentialType,
    TargetStatus,
    ToolCredentialStatus,
    UpstreamStatus,
)
from tolstoy_operator.domain.status import (
    Facts,
    Finding,
    condition,
    next_status,
    parse_status,
    reason_of,
    stalls_at,
    status_patch,
)

NOW = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
PATIENCE = timedelta(minutes=10)
SECRET = TargetStatus(name="github", keys=["accessToken"], last_sync_time="2026-05-01T11:00:00Z")
NOTHING = ToolCredentialStatus()


def step(
    previous: ToolCredentialStatus, reason: Reason, *, at: datetime = NOW, target: TargetStatus | None = SECRET
) -> ToolCredentialStatus:
    facts = Facts(generation=1, target=target)
    return next_status(previous, Finding(reason, "because"), facts, now=at, stall_after=PATIENCE)


def shown(status: ToolCredentialStatus) -> dict[str, str]:
    return {item.type.value: item.status.value for item in status.conditions}


def test_success() -> None:
    assert shown(step(NOTHING, Reason.SYNCED)) == {"Ready": "True", "Synced": "True"}


@pytest.mark.parametrize("reason", list(Reason))
def test_the_same_finding_later_changes_nothing(reason: Reason) -> None:
    first = step(step(NOTHING, Reason.SYNCED), reason)
    again = step(first, reason, at=NOW + timedelta(minutes=5))
    assert again == first


@pytest.mark.parametrize("reason", list(Reason))
def test_a_status_survives_the_way_through_the_api_server(reason: Reason) -> None:
    status = step(NOTHING, reason)
    assert parse_status(status_patch(status)) == status


@pytest.mark.parametrize("reason", list(Reason))
def test_reconciling_and_stalled_are_never_both_there_and_only_ever_true(reason: Reason) -> None:
    for at in (NOW, NOW + timedelta(hours=1)):
        status = step(step(NOTHING, reason), reason, at=at)
        progress = {kind: value for kind, value in shown(status).items() if kind in ("Reconciling", "Stalled")}
        assert len(progress) <= 1
        assert set(progress.values()) <= {"True"}


@pytest.mark.parametrize("reason", [reason for reason in Reason if MEANINGS[reason].keeps_ready])
def test_what_says_nothing_about_the_value_leaves_ready_as_it_was(reason: Reason) -> None:
    good = step(NOTHING, Reason.SYNCED)
    assert shown(step(good, reason))["Ready"] == "True"
    assert shown(step(good, reason, target=None))["Ready"] == "False", "no Secret, so nothing is ready"
    assert shown(step(NOTHING, reason))["Ready"] == "False", "it never was"


@pytest.mark.parametrize(
    "reason", [reason for reason in Reason if reason not in SOUND_REASONS and not MEANINGS[reason].keeps_ready]
)
def test_every_other_problem_takes_ready_away(reason: Reason) -> None:
    assert shown(step(step(NOTHING, Reason.SYNCED), reason))["Ready"] == "False"


@pytest.mark.parametrize("reason", sorted(SOUND_REASONS - {Reason.SYNCED}))
def test_what_comes_one_day_takes_nothing_away(reason: Reason) -> None:
    facts = Facts(generation=1, target=SECRET, credential_type=CredentialType.OAUTH2)
    status = next_status(NOTHING, Finding(reason, "because"), facts, now=NOW, stall_after=PATIENCE)
    stalls = {"Stalled": "True"} if MEANINGS[reason].progress is Progress.STALLED else {}
    assert shown(status) == {"Ready": "True", "Synced": "True", "TokenHealthy": "True", **stalls}
    assert reason_of(status) is reason


def test_what_a_revocation_left_is_not_mirrored() -> None:
    finding = Finding(Reason.REVOKED, "because", mirrored=False)
    status = next_status(NOTHING, finding, Facts(generation=1, target=SECRET), now=NOW, stall_after=PATIENCE)
    assert shown(status) == {"Ready": "False", "Synced": "False", "Stalled": "True"}


def test_a_dead_token_is_mirrored_all_the_same() -> None:
    assert shown(step(NOTHING, Reason.REVOKED)) == {"Ready": "False", "Synced": "True", "Stalled": "True"}


def test_an_outage_makes_synced_unknown() -> None:
    assert shown(step(step(NOTHING, Reason.SYNCED), Reason.UPSTREAM_UNAVAILABLE))["Synced"] == "Unknown"


def test_an_expired_token_is_mirrored_all_the_same() -> None:
    assert shown(step(NOTHING, Reason.TOKEN_EXPIRED)) == {"Ready": "False", "Synced": "True", "Reconciling": "True"}


@pytest.mark.parametrize("reason", [reason for reason in Reason if MEANINGS[reason].progress is Progress.PATIENT])
def test_patience_ends(reason: Reason) -> None:
    waiting = step(NOTHING, reason)
    assert "Reconciling" in shown(waiting)
    assert stalls_at(waiting, PATIENCE) == NOW + PATIENCE
    stalled = step(waiting, reason, at=NOW + PATIENCE)
    assert "Stalled" in shown(stalled)
    assert stalls_at(stalled, PATIENCE) is None
    assert step(stalled, reason, at=NOW + 2 * PATIENCE) == stalled, "and it stays over"


def test_patience_starts_anew_with_another_reason() -> None:
    waiting = step(NOTHING, Reason.SECRET_NOT_FOUND)
    other = step(waiting, Reason.NAMESPACE_NOT_BOUND, at=NOW + timedelta(minutes=9))
    assert stalls_at(other, PATIENCE) == NOW + timedelta(minutes=19)


def test_transition_time_moves_with_the_status_only() -> None:
    first = step(NOTHING, Reason.SECRET_NOT_FOUND)
    second = step(first, Reason.SECRET_MALFORMED, at=NOW + timedelta(minutes=1))
    for kind in (ConditionType.READY, ConditionType.SYNCED):
        before, after = condition(first, kind), condition(second, kind)
        assert before is not None
        assert after is not None
        assert after.last_transition_time == before.last_transition_time
    good = step(second, Reason.SYNCED, at=NOW + timedelta(minutes=2))
    ready = condition(good, ConditionType.READY)
    assert ready is not None
    assert ready.last_transition_time == "2026-05-01T12:02:00Z"


def test_messages_name_cause_actor_and_next_try() -> None:
    ready = condition(step(NOTHING, Reason.SECRET_NOT_FOUND), ConditionType.READY)
    assert ready is not None
    assert ready.message == (
        "because; the consent application or the platform team must store the secret; it is tried again with growing "
        "pauses, every 5 minutes at most"
    )


def test_a_hostile_cause_stays_one_bounded_line() -> None:
    facts = Facts(generation=1, target=None)
    finding = Finding(Reason.TEMPLATE_ERROR, "a\nb\r\n" + "x" * 5000)
    status = next_status(NOTHING, finding, facts, now=NOW, stall_after=PATIENCE)
    ready = condition(status, ConditionType.READY)
    assert ready is not None
    assert "\n" not in ready.message
    assert len(ready.message) <= 1024


def test_what_is_not_learned_anew_is_kept() -> None:
    upstream = UpstreamStatus(name="tolstoy/github/org", version_id="v1", region="eu-west-1")
    facts = Facts(generation=1, target=SECRET, upstream=upstream)
    good = next_status(NOTHING, Finding(Reason.SYNCED), facts, now=NOW, stall_after=PATIENCE)
    assert step(good, Reason.UPSTREAM_UNAVAILABLE).upstream == upstream


@pytest.mark.parametrize("raw", [None, {}, [], "x", {"conditions": "no"}, {"conditions": [{"type": "Ready"}]}])
def test_a_status_that_is_not_ours_reads_as_none(raw: object) -> None:
    assert parse_status(raw) == NOTHING


def test_a_reason_that_is_not_ours_reads_as_none() -> None:
    status = step(NOTHING, Reason.SYNCED)
    raw = status_patch(status)
    raw["conditions"][0]["reason"] = "Hacked"
    assert reason_of(parse_status(raw)) is None


@pytest.mark.parametrize("reason", sorted(GRANT_REASONS))
def test_trouble_with_a_token_that_still_works_leaves_it_ready(reason: Reason) -> None:
    facts = Facts(generation=1, target=SECRET, credential_type=CredentialType.OAUTH2)
    finding = Finding(reason, "because", token_valid=True)
    status = next_status(NOTHING, finding, facts, now=NOW, stall_after=PATIENCE)
    words = shown(status)
    assert (words["Ready"], words["Synced"], words["TokenHealthy"]) == ("True", "True", "False")
    assert reason_of(status) is reason


def test_what_says_nothing_about_the_token_leaves_its_health_as_it_was() -> None:
    facts = Facts(generation=1, target=SECRET, credential_type=CredentialType.OAUTH2)
    good = next_status(NOTHING, Finding(Reason.SYNCED), facts, now=NOW, stall_after=PATIENCE)
    assert shown(good)["TokenHealthy"] == "True"
    assert shown(step(good, Reason.TEMPLATE_ERROR))["TokenHealthy"] == "True"


def test_ready_status_is_a_known_word() -> None:
    assert {item.status for item in step(NOTHING, Reason.SYNCED).conditions} == {ConditionStatus.TRUE}
