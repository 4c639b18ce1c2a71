"""When tokens are refreshed: before they end, and before the refresh token has lain idle for too long."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tolstoy_operator.domain.oauthdocument import Bookkeeping, OAuthDocument, Scheme
from tolstoy_operator.domain.refresh import OldAccessToken, ProviderTraits
from tolstoy_operator.domain.schedule import (
    DAY,
    FIRST_SPREAD,
    SMALL_SPREAD,
    USUAL_SPREAD,
    Spread,
    expiring_lead,
    refresh_due,
    refresh_lead,
)
from tolstoy_operator.settings import Settings

NAME = "tolstoy/acme/org-1"
NOW = 1_780_000_000.0
names = st.text(max_size=20)


def document(ends_in: float | None, *, issued: float | None = NOW, **members: Any) -> OAuthDocument:
    """Times are seconds, counted from now."""
    found: dict[str, Any] = {"accessToken": "a", "refreshToken": "r"}
    if ends_in is not None:
        found["expiresAt"] = int((NOW + ends_in) * 1000)
    if issued is not None:
        found["lastUpdated"] = datetime.fromtimestamp(issued, UTC).isoformat()
    return OAuthDocument.of({**found, **members})


def refreshed(ends_in: float, *, issued: float = NOW) -> OAuthDocument:
    """Such a document after a refresh of ours."""
    books = Bookkeeping("base", "of", 0, Scheme.CLAIM, Scheme.CLAIM, "", "")
    return document(ends_in, issued=issued, tolstoy=books.to_member())


@given(names)
def test_a_refresh_token_is_used_before_it_has_lain_idle_for_too_long(name: str) -> None:
    idle = ProviderTraits(refresh_idle_s=30 * DAY)
    for ends_in in (None, 90 * DAY):
        due = refresh_due(name, document(ends_in), idle)
        assert due is not None
        assert 13 * DAY < due - NOW <= 15 * DAY
    short = refresh_due(name, document(3600), idle)
    assert short == refresh_due(name, document(3600), ProviderTraits()), "the access token ends first"


def test_what_cannot_lie_idle_is_not_kept_alive() -> None:
    idle = ProviderTraits(refresh_idle_s=30 * DAY)
    assert refresh_due(NAME, document(None, refreshToken=None), idle) is None
    assert refresh_due(NAME, document(None), ProviderTraits()) is None
    assert refresh_due(NAME, document(None, issued=None), ProviderTraits()) is None


def test_without_a_date_the_end_of_the_access_token_tells_how_long_a_refresh_token_has_lain() -> None:
    long = ProviderTraits(refresh_idle_s=30 * DAY, lifetime_s=60 * DAY)
    with_date, without = (refresh_due(NAME, document(60 * DAY, issued=issued), long) for issued in (NOW, None))
    assert with_date == without
    undated, idle = document(60 * DAY, issued=None), ProviderTraits(refresh_idle_s=30 * DAY)
    assert refresh_due(NAME, undated, idle) == refresh_due(NAME, undated, ProviderTraits()), (
        "its access token ends first"
    )


def test_where_nothing_tells_how_long_it_has_lain_it_is_used_at_once_and_then_it_is_known() -> None:
    idle = ProviderTraits(refresh_idle_s=30 * DAY)
    assert refresh_due(NAME, document(None, issued=None), idle) == 0.0
    refreshed = refresh_due(NAME, document(None, issued=NOW), idle)
    assert refreshed is not None
    assert refreshed > NOW


def test_a_stated_end_counts_without_a_date_as_well() -> None:
    members = {"refreshTokenExpiresAt": int((NOW + 30 * DAY) * 1000)}
    due = refresh_due(NAME, document(None, issued=None, **members), ProviderTraits())
    assert due is not None
    assert 28.9 * DAY <= due - NOW <= 29 * DAY


@given(names)
def test_a_refresh_token_with_a_stated_end_is_used_a_day_before_and_not_again(name: str) -> None:
    members = {"refreshTokenExpiresAt": int((NOW + 30 * DAY) * 1000)}
    due = refresh_due(name, document(None, **members), ProviderTraits())
    assert due is not None
    assert 28.9 * DAY <= due - NOW <= 29 * DAY
    assert refresh_due(name, document(None, issued=due, **members), ProviderTraits()) is None


@given(names, st.floats(1, 1e7), st.none() | st.floats(1, 1e7), st.sampled_from([USUAL_SPREAD, SMALL_SPREAD]))
def test_a_lead_leaves_most_of_a_lifetime(name: str, lifetime: float, wanted: float | None, spread: Spread) -> None:
    lead = refresh_lead(name, lifetime, wanted=wanted, spread=spread)
    assert 0 < lead < lifetime / 2


@given(names, st.floats(1, 1e7), st.none() | st.floats(1, 1e7))
def test_the_first_lead_leaves_a_third_of_a_lifetime(name: str, lifetime: float, wanted: float | None) -> None:
    lead = refresh_lead(name, lifetime, wanted=wanted, spread=FIRST_SPREAD)
    assert 0 < lead <= lifetime * 0.6667


@given(names)
def test_a_wanted_lead_counts_up_to_a_third_of_the_lifetime(name: str) -> None:
    for wanted, lead in ((None, 300), (60, 60), (900, 900), (9000, 1200)):
        due = refresh_due(name, refreshed(3600), ProviderTraits(), lead=wanted)
        assert due is not None
        assert -360 - 1 <= due - (NOW + 3600 - lead) <= 1


@pytest.mark.parametrize("fate", OldAccessToken)
def test_where_a_refresh_ends_the_token_in_use_it_is_not_done_earlier_than_needed(fate: OldAccessToken) -> None:
    dues = [refresh_due(f"name-{n}", refreshed(36_000), ProviderTraits(old_access_token=fate)) for n in range(50)]
    leads = [NOW + 36_000 - due for due in dues if due is not None]
    assert (max(leads) <= 330) is (fate is OldAccessToken.DIES)


@pytest.mark.parametrize(
    ("lifetime", "fate"),
    [(3600, OldAccessToken.SURVIVES), (3600, OldAccessToken.DIES), (86_400, OldAccessToken.UNKNOWN)],
)
def test_ten_thousand_tokens_of_one_minute_fit_the_default_budget_of_writes(
    lifetime: float, fate: OldAccessToken
) -> None:
    """In shared mode, where each takes three, and once more when what they brought is due."""
    budget: int = Settings.model_fields["secrets_writes_per_second"].default
    names, traits = [f"tolstoy/acme/org-{n}" for n in range(10_000)], ProviderTraits(old_access_token=fate)
    issued = {name: NOW + number * 60 / len(names) for number, name in enumerate(names)}
    for make in (document, refreshed):
        due = {
            name: refresh_due(name, make(at - NOW + lifetime, issued=at), traits) or 0.0 for name, at in issued.items()
        }
        ends, free = {name: at + lifetime for name, at in issued.items()}, 0.0
        for name in sorted(names, key=due.__getitem__):
            issued[name] = free = max(due[name], free) + 3 / budget
        assert all(issued[name] < ends[name] - expiring_lead(lifetime) + 90 for name in names)
