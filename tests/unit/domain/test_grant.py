"""What a grant's document and its last refreshes mean for a status."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.api.v1 import (
    CredentialType,
    GrantState,
    GrantStatus,
    Rotation,
    ToolCredentialStatus,
    UpstreamStatus,
)
from tolstoy_operator.domain.grant import (
    Told,
    Trouble,
    consent_finding,
    grant_changes,
    grant_finding,
    grant_status,
    told,
)
from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.status import Facts, Finding, next_status

NOW = 1_780_000_000.0
NAME = "tolstoy/github/org"


def document(ends_in: float | None = 3600, **members: object) -> OAuthDocument:
    ends = {} if ends_in is None else {"expiresAt": int((NOW + ends_in) * 1000)}
    return OAuthDocument.of({"accessToken": "a", "refreshToken": "r", **ends, **members})


def aged(grant: GrantStatus, at: float = NOW) -> GrantStatus:
    """The grant as a status says it at a time."""
    facts = Facts(1, None, CredentialType.OAUTH2, grant)
    now = datetime.fromtimestamp(at, UTC)
    said = next_status(
        ToolCredentialStatus(), Finding(Reason.SYNCED), facts, now=now, stall_after=timedelta(minutes=10)
    )
    assert said.grant is not None
    return said.grant


def trouble(reason: Reason) -> Trouble:
    return Trouble(reason, "refused (invalid_grant)", NOW - 60)


@pytest.mark.parametrize(
    ("seconds", "state"),
    [
        (3600, GrantState.ACTIVE),
        (301, GrantState.ACTIVE),
        (300, GrantState.EXPIRING),
        (-5, GrantState.EXPIRING),
        (None, GrantState.UNKNOWN),
    ],
)
def test_state_without_trouble(seconds: float | None, state: GrantState) -> None:
    assert aged(grant_status(document(seconds), now=NOW)).state is state


@pytest.mark.parametrize(
    ("lifetime", "left", "state"),
    [
        (600, 151, GrantState.ACTIVE),
        (600, 150, GrantState.EXPIRING),
        (20, 6, GrantState.ACTIVE),
        (3600, 301, GrantState.ACTIVE),
        (3600, 300, GrantState.EXPIRING),
    ],
)
def test_a_short_life_is_expiring_in_its_last_quarter(lifetime: float, left: float, state: GrantState) -> None:
    issued = document(left, lastUpdated=datetime.fromtimestamp(NOW + left - lifetime, UTC).isoformat())
    grant = aged(grant_status(issued, now=NOW))
    assert grant.state is state
    if state is GrantState.ACTIVE:
        (at,) = (moment.timestamp() for moment in grant_changes(grant, None))
        assert aged(grant, at=at).state is GrantState.EXPIRING
        assert aged(grant, at=at - 2).state is GrantState.ACTIVE


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (Reason.REAUTHORIZATION_REQUIRED, GrantState.REAUTHORIZATION_REQUIRED),
        (Reason.ROTATION_RESPONSE_LOST, GrantState.REAUTHORIZATION_REQUIRED),
        (Reason.REVOKED, GrantState.REVOKED),
        (Reason.REFRESH_FAILING, GrantState.REFRESH_FAILING),
        (Reason.CLIENT_MISCONFIGURED, GrantState.REFRESH_FAILING),
    ],
)
def test_state_in_trouble(reason: Reason, state: GrantState) -> None:
    status = grant_status(document(), now=NOW, due_at=NOW + 1, trouble=trouble(reason))
    assert status.state is state
    assert status.next_refresh_time is None, "retries are not announced, they would tick"
    assert status.last_error is not None
    assert (status.last_error.code, status.last_error.time) == (reason, "2026-05-28T20:25:40Z")


def test_facts_of_the_document() -> None:
    books = {"base": "b", "of": "o", "n": 0, "under": "claim", "scheme": "claim", "token": "t1", "spent": "t0"}
    books["owner"] = ""
    status = grant_status(
        document(
            scope="repo",
            lastUpdated="2026-05-28T20:00:00Z",
            tolstoy=books,
        ),
        now=NOW,
        due_at=NOW + 3000,
        consent_ends=NOW + 100 * 86_400,
    )
    assert status.scopes == "repo"
    assert status.last_refresh_time == "2026-05-28T20:00:00Z"
    assert status.next_refresh_time == "2026-05-28T21:16:40Z"
    assert status.refresh_token_expires_at == "2026-09-05T20:26:40Z"
    assert status.rotation is Rotation.ROTATING
    assert grant_status(document(), now=NOW, due_at=0.0).next_refresh_time is None, "at once is no time to announce"


DAY = 86_400.0


@pytest.mark.parametrize(
    ("days", "within"), [(None, None), (15, None), (13.9, "14 days"), (3, "3 days"), (0.5, "a day"), (-1, "a day")]
)
def test_a_consent_that_ends_is_said_in_time(days: float | None, within: str | None) -> None:
    ends = None if days is None else NOW + days * DAY
    finding = consent_finding(NAME, ends, now=NOW)
    if within is None:
        assert finding is None
        assert grant_status(document(), now=NOW, consent_ends=ends).state is GrantState.ACTIVE
        return
    assert finding is not None
    assert finding.reason is Reason.CONSENT_EXPIRING
    assert finding.cause.endswith(f"in less than {within}")
    assert grant_status(document(), now=NOW, consent_ends=ends).state is GrantState.EXPIRING


def test_trouble_is_said_before_what_comes_one_day() -> None:
    status = grant_status(document(), now=NOW, trouble=trouble(Reason.REFRESH_FAILING), consent_ends=NOW + DAY)
    assert status.state is GrantState.REFRESH_FAILING


def test_what_is_said_of_a_consent_changes_three_times() -> None:
    ends = NOW + 20 * DAY
    moments = [moment.timestamp() for moment in grant_changes(grant_status(document(None), now=NOW), ends)]
    assert sorted(moments) == [ends - 14 * DAY, ends - 3 * DAY, ends - DAY]
    said = {str(consent_finding(NAME, ends, now=NOW + hour * 3600)) for hour in range(20 * 24)}
    assert len(said) == 4, "nothing, and three warnings"


def test_a_dead_token_is_not_valid_whatever_its_expiry_says() -> None:
    dead = Trouble(Reason.REVOKED, "not accepted", NOW, dead=True)
    for seconds in (3600, None):
        assert not grant_finding(document(seconds), NAME, now=NOW, trouble=dead).token_valid


def test_a_token_without_an_end_is_active_when_its_provider_said_so() -> None:
    assert grant_status(document(None), now=NOW, alive=True).state is GrantState.ACTIVE
    assert grant_status(document(None), now=NOW).state is GrantState.UNKNOWN


def test_a_status_tells_the_next_process_what_was_found_out() -> None:
    grant = grant_status(document(None), now=NOW, alive=True)
    upstream = UpstreamStatus(name=NAME, version_id="v1")
    assert told(ToolCredentialStatus(grant=grant, upstream=upstream), "v1") == Told(seen=True, alive=True)
    assert told(ToolCredentialStatus(grant=grant, upstream=upstream), "v2") == Told()
    dead = Trouble(Reason.REVOKED, "not accepted", NOW - 60, dead=True)
    finding = grant_finding(document(None), NAME, now=NOW, trouble=dead)
    facts = Facts(1, None, CredentialType.OAUTH2, grant_status(document(None), now=NOW, trouble=dead), upstream)
    status = next_status(
        ToolCredentialStatus(), finding, facts, now=datetime.fromtimestamp(NOW, UTC), stall_after=timedelta(minutes=10)
    )
    assert told(status, "v1") == Told(dead, seen=True)


def test_scopes_are_bounded() -> None:
    scopes = grant_status(document(scope="x" * 5000), now=NOW).scopes
    assert scopes is not None
    assert len(scopes) == 1024


def test_a_valid_token_in_trouble_is_told_with_its_end() -> None:
    finding = grant_finding(document(), NAME, now=NOW, trouble=trouble(Reason.REFRESH_FAILING))
    assert finding.reason is Reason.REFRESH_FAILING
    assert finding.token_valid
    assert finding.cause == f"{NAME}: refused (invalid_grant); the access token ends at 2026-05-28T21:26:40Z"


def test_an_expired_token_in_trouble_names_the_trouble() -> None:
    finding = grant_finding(document(-60), NAME, now=NOW, trouble=trouble(Reason.REAUTHORIZATION_REQUIRED))
    assert finding.reason is Reason.REAUTHORIZATION_REQUIRED
    assert not finding.token_valid


def test_an_expired_token_without_trouble_is_just_expired() -> None:
    assert grant_finding(document(-60), NAME, now=NOW).reason is Reason.TOKEN_EXPIRED


@pytest.mark.parametrize("seconds", [3600, None])
def test_all_is_well(seconds: float | None) -> None:
    assert grant_finding(document(seconds), NAME, now=NOW).reason is Reason.SYNCED
