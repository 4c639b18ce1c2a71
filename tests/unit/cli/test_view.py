"""What one object says about a credential."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.objects import credential_object
from tests.unit.cli.objects import NOW, active, at, seen
from tolstoy_operator.api.reasons import MEANINGS, Reason, message
from tolstoy_operator.cli.view import UNSEEN, explain, view


@pytest.mark.parametrize("reason", Reason)
def test_a_message_is_taken_apart(reason: Reason) -> None:
    parts = explain(reason, message(reason, "a cause; with a semicolon"))
    assert parts.cause == "a cause; with a semicolon"
    assert (parts.who_acts, parts.next_try) == (MEANINGS[reason].who_acts, MEANINGS[reason].next_try)


def test_a_reason_of_another_version_keeps_its_whole_message() -> None:
    parts = explain("BrandNew", "cause; who; next")
    assert (parts.cause, parts.who_acts, parts.next_try) == ("cause; who; next", "", "")


def test_a_credential_without_a_status_is_not_seen_yet() -> None:
    item = view(credential_object())
    assert (item.ready, item.reason, item.fine, item.observed) == ("Unknown", UNSEEN, False, False)
    assert "operator" in item.explanation.who_acts


def test_a_status_that_is_not_ours_is_no_status() -> None:
    assert view(credential_object(status={"conditions": "forged"})).reason == UNSEEN


def test_a_status_of_an_earlier_spec_is_not_fine() -> None:
    assert seen().fine
    assert not seen(generation=2).fine


def test_ready_with_something_the_matter_is_not_fine() -> None:
    assert not seen("github", Reason.REFRESH_FAILING, ready=True).fine


class TestNeglect:
    def test_a_planned_refresh_is_none(self) -> None:
        assert seen(grant=active()).neglect(NOW) is None

    def test_a_refresh_that_is_a_moment_late_is_none(self) -> None:
        assert seen(grant=active(timedelta(minutes=9))).neglect(NOW) is None

    @pytest.mark.parametrize(
        ("grant", "why"),
        [
            ({"state": "Active", "expiresAt": at(hours=1)}, "no refresh is planned"),
            (active(timedelta(minutes=5)), "the refresh is overdue by 5m: is the operator running?"),
            (
                active(refreshTokenExpiresAt=at(minutes=50)),
                "its refresh token ends before the next refresh",
            ),
        ],
    )
    def test_who_is_not_refreshed(self, grant: dict[str, str], why: str) -> None:
        assert seen(grant=grant).neglect(NOW) == why

    def test_a_refresh_token_that_outlives_the_next_refresh_is_renewed_by_it(self) -> None:
        assert seen(grant=active(refreshTokenExpiresAt=at(minutes=51))).neglect(NOW) is None

    @pytest.mark.parametrize("reason", sorted(set(Reason) - {Reason.SYNCED}))
    def test_trouble_of_any_kind_keeps_a_new_token_from_the_secret(self, reason: Reason) -> None:
        why = seen("github", reason, ready=True, grant=active()).neglect(NOW)
        assert why == f"{reason}: {MEANINGS[reason].who_acts}"


def test_the_grant_of_a_credential_without_one() -> None:
    item = seen(grant={"state": "NotApplicable"})
    assert item.state == ""
    assert item.to_json(NOW)["grant"] is None
