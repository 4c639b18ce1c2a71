"""One Secret, one owner: whatever is renamed, retained or forged."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tolstoy_operator.domain.ownership import Claim, Holder, holder_uid, winner

OLD = Claim("old", "uid-b", "2026-01-01T00:00:00Z")
YOUNG = Claim("young", "uid-a", "2026-02-01T00:00:00Z")
FREE = Holder(None, None, None, None)


def test_the_holder_keeps_it_although_an_older_credential_claims_it_too() -> None:
    assert winner([OLD, YOUNG], "uid-a") is YOUNG


def test_without_a_holder_the_older_one_wins() -> None:
    assert winner([YOUNG, OLD], None) is OLD


def test_a_holder_that_does_not_claim_it_any_more_decides_nothing() -> None:
    assert winner([YOUNG, OLD], "uid-gone") is OLD


def test_among_equals_the_smaller_uid_wins() -> None:
    twin = Claim("twin", "uid-0", OLD.created)
    assert winner([OLD, twin], None) is twin


@given(
    claims=st.lists(
        st.builds(Claim, st.text(max_size=3), st.text(max_size=3), st.sampled_from(["1", "2"])),
        min_size=1,
        unique_by=lambda claim: claim.uid,
    ),
    holder=st.none() | st.text(max_size=3),
)
def test_everybody_agrees_who_wins(claims: list[Claim], holder: str | None) -> None:
    assert winner(claims, holder) == winner(list(reversed(claims)), holder)


def test_a_controller_outweighs_our_marks() -> None:
    forged = Holder("uid-x", "Deployment web", "uid-a", "young")
    assert holder_uid(forged, claims=[YOUNG], live_uids={"uid-a"}) == "uid-x"


def test_a_retained_secret_belongs_to_the_credential_that_it_names() -> None:
    retained = Holder(None, None, "uid-a", "young")
    assert holder_uid(retained, claims=[YOUNG], live_uids={"uid-a"}) == "uid-a"


def test_a_retained_secret_is_inherited_by_a_new_credential_of_the_same_name() -> None:
    retained = Holder(None, None, "uid-before", "young")
    assert holder_uid(retained, claims=[OLD, YOUNG], live_uids={"uid-a", "uid-b"}) == "uid-a"


def test_a_retained_secret_of_a_live_credential_is_not_inherited() -> None:
    retained = Holder(None, None, "uid-b", "young")
    assert holder_uid(retained, claims=[YOUNG], live_uids={"uid-a", "uid-b"}) == "uid-b"


def test_a_secret_without_marks_belongs_to_nobody_of_us() -> None:
    assert holder_uid(FREE, claims=[YOUNG], live_uids={"uid-a"}) is None
