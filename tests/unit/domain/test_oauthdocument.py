"""The OAuth document: everything of others kept, tokens replaced, nothing shown."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tolstoy_operator.domain.nesting import MAX_DEPTH
from tolstoy_operator.domain.oauthdocument import (
    Bookkeeping,
    MalformedDocument,
    OAuthDocument,
    Scheme,
    consent_end,
    consented_at,
    fingerprint,
    merge,
    tombstone,
    transplant,
)
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.domain.tokenoutcome import Tokens

ARN = "arn:secret"
NOW = 1_700_000_000.0
BOOKS = Bookkeeping("base", "of", 0, Scheme.CLAIM, Scheme.CLAIM, token="", spent="fp")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def document(**members: Any) -> OAuthDocument:
    return OAuthDocument.of({"accessToken": "a1", "refreshToken": "r1", "expiresAt": 1_000, **members})


def merged(before: OAuthDocument, lifetime: float | None = None, **tokens: Any) -> OAuthDocument:
    issued = Tokens(**{"access_token": SecretValue("a2"), **tokens})
    return merge(before, issued, BOOKS, arn=ARN, now=NOW, lifetime=lifetime)


@given(st.dictionaries(st.text().filter(lambda key: key.isupper()), json_values, max_size=5))
def test_members_of_others_are_kept_as_found(others: dict[str, Any]) -> None:
    stored = OAuthDocument.parse(SecretValue(json.dumps({"refreshToken": "r1", **others})))

    again = OAuthDocument.parse(merged(stored).encode())

    assert {key: again.members[key] for key in others} == others


DAY = 86_400.0


def test_a_consent_ends_when_the_provider_says_or_its_limit_counts_out() -> None:
    stamped = document(lastUpdated="2023-11-14T22:13:20Z")
    assert consent_end(ARN, stamped, None) is None
    assert consent_end(ARN, stamped, 365 * DAY) == NOW + 365 * DAY
    stated = document(lastUpdated="2023-11-14T22:13:20Z", refreshTokenExpiresAt=(NOW + DAY) * 1000)
    assert consent_end(ARN, stated, 365 * DAY) == NOW + DAY
    assert consent_end(ARN, document(refreshToken=None, lastUpdated="2023-11-14T22:13:20Z"), 365 * DAY) is None
    assert consent_end(ARN, document(), 365 * DAY) is None, "nobody knows when it began"


@pytest.mark.parametrize("offered", [None, "r2"])
def test_a_refresh_does_not_put_off_the_end_of_a_consent(offered: str | None) -> None:
    issued = Tokens(SecretValue("a2"), refresh_token=None if offered is None else SecretValue(offered))
    found = document(lastUpdated="2023-11-14T22:13:20Z")
    for round_ in range(1, 4):
        found = merge(found, issued, BOOKS, arn=ARN, now=NOW + round_ * DAY, hard_limit=365 * DAY)
        assert consent_end(ARN, found, 365 * DAY) == NOW + 365 * DAY


@pytest.mark.parametrize("offered", [None, "r2"])
def test_a_refresh_hands_on_when_the_consent_was_given(offered: str | None) -> None:
    found = document(lastUpdated="2023-11-14T22:13:20.123456Z")
    began = consented_at(ARN, found)
    for round_ in range(1, 4):
        books = replace(BOOKS, consented_at=consented_at(ARN, found))
        issued = Tokens(SecretValue("a2"), refresh_token=None if offered is None else SecretValue(offered))
        found = OAuthDocument.parse(merge(found, issued, books, arn=ARN, now=NOW + round_ * DAY).encode())
        edited = document(refreshToken="old", lastUpdated="2029-01-01T00:00:00Z")
        for ours in (found, transplant(edited, found, base="v")):
            assert consented_at(ARN, ours) == began == NOW + 0.123456
            assert consent_end(ARN, ours, 365 * DAY) == began + 365 * DAY
    pasted = OAuthDocument.of({**found.members, "refreshToken": "r9", "lastUpdated": "2024-01-01T00:00:00Z"})
    assert consented_at(ARN, pasted) == pasted.last_updated, "it is another consent"


def test_nobody_knows_when_a_consent_was_given_that_did_not_say_so() -> None:
    assert consented_at(ARN, document()) is None
    refreshed = merged(document())
    assert refreshed.last_updated == NOW
    assert consented_at(ARN, refreshed) is None
    odd = {**refreshed.members, "tolstoy": {**refreshed.members["tolstoy"], "consentedAt": "odd"}}
    assert OAuthDocument.of(odd).bookkeeping == refreshed.bookkeeping


def test_without_a_limit_a_new_refresh_token_has_no_known_end() -> None:
    stated = document(refreshTokenExpiresAt=(NOW + DAY) * 1000)
    assert merged(stated, refresh_token=SecretValue("r2")).refresh_expires_at is None
    assert merged(stated).refresh_expires_at == NOW + DAY


def test_the_limit_of_a_consent_that_we_did_not_see_begin_is_not_guessed() -> None:
    refreshed = merged(document(), refresh_token=SecretValue("r2"))
    assert consent_end(ARN, refreshed, 365 * DAY) is None


@given(st.text())
def test_every_text_survives_encoding_even_half_a_surrogate_pair(text: str) -> None:
    stored = document(note=text + "\ud800")

    assert (
        OAuthDocument.parse(SecretValue(stored.encode().reveal().encode().decode())).members["note"] == text + "\ud800"
    )


def test_new_tokens_replace_the_old_ones() -> None:
    after = merged(
        document(scope="read", tokenType="bearer"),
        refresh_token=SecretValue("r2"),
        expires_at=NOW + 3600.5,
        refresh_expires_at=NOW + 86_400,
        scope="read write",
        token_type="Bearer",
    )

    assert after.members["accessToken"] == "a2"
    assert after.members["refreshToken"] == "r2"
    assert after.members["expiresAt"] == 1_700_003_600_500
    assert after.members["refreshTokenExpiresAt"] == 1_700_086_400_000
    assert after.members["scope"] == "read write"
    assert after.members["tokenType"] == "Bearer"
    assert after.members["lastUpdated"] == "2023-11-14T22:13:20.000Z"
    assert after.last_updated == NOW


def test_a_refresh_token_that_is_not_issued_is_kept_and_known_as_the_same() -> None:
    before = document()

    after = merged(before)

    assert after.members["refreshToken"] == "r1"
    assert after.bookkeeping == replace(BOOKS, token=fingerprint(ARN, before.refresh_token))


@pytest.mark.parametrize(("lifetime", "expected"), [(600.0, NOW + 600.0), (None, None)])
def test_an_expiry_that_is_not_stated_is_assumed_or_unknown_but_never_the_old_one(
    lifetime: float | None, expected: float | None
) -> None:
    assert merged(document(), lifetime).expires_at == expected


@pytest.mark.parametrize(
    ("stated", "seconds"),
    [
        (1_700_000_000_000, NOW),
        (1_700_000_000, NOW),
        ("1700000000", NOW),
        ("1700000000000", NOW),
        ("2023-11-14T22:13:20Z", NOW),
        (None, None),
        ("soon", None),
        (True, None),
        (-5, None),
        (float("inf"), None),
        (100_000_000_000_000, 100_000_000_000.0),
        (100_000_000_000_001, None),
        (2**53 - 1, None),
        ("2023-11-14T22:13:20", NOW),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59-01:00", None),
    ],
)
def test_times_in_any_spelling(stated: object, seconds: float | None) -> None:
    found = document(expiresAt=stated, refreshTokenExpiresAt=stated, lastUpdated=stated)
    assert (found.expires_at, found.refresh_expires_at, found.last_updated) == (seconds, seconds, seconds)


def test_bookkeeping_survives_a_round_trip() -> None:
    after = merged(document(), refresh_token=SecretValue("r2"))

    assert OAuthDocument.parse(after.encode()).bookkeeping == after.bookkeeping
    assert after.bookkeeping is not None
    assert after.bookkeeping.rotated


@pytest.mark.parametrize("member", [None, 5, "text", [], {}, {**BOOKS.to_member(), "scheme": "x"}, {"base": 1}])
def test_what_is_not_our_bookkeeping_is_none(member: object) -> None:
    assert Bookkeeping.from_member(member) is None


@pytest.mark.parametrize("text", ["", "[]", "5", "null", "{", '{"refreshToken": 5}', '{"accessToken": ["a"]}'])
def test_what_is_no_document_is_said_to_be_none_without_showing_it(text: str) -> None:
    with pytest.raises(MalformedDocument):
        OAuthDocument.parse(SecretValue(text))


@pytest.mark.parametrize("levels", [MAX_DEPTH, 900, 30_000])
def test_what_nests_too_deep_is_no_document(levels: int) -> None:
    with pytest.raises(MalformedDocument):
        OAuthDocument.parse(SecretValue('{"note":' + "[" * levels + "]" * levels + "}"))


def test_a_binary_value_is_no_document() -> None:
    with pytest.raises(MalformedDocument):
        OAuthDocument.parse(None)


def test_an_empty_refresh_token_is_none() -> None:
    assert document(refreshToken="").refresh_token is None
    assert document(refreshToken=None).refresh_token is None


def test_a_transplant_keeps_the_edit_and_takes_the_tokens() -> None:
    result = merged(document(note="old"), refresh_token=SecretValue("r2"), expires_at=NOW)
    edited = document(note="new", scope="edited")

    both = transplant(edited, result, base="edited-version")

    assert both.members["note"] == "new"
    assert both.members["refreshToken"] == "r2"
    assert both.members["expiresAt"] == 1_700_000_000_000
    assert both.bookkeeping is not None
    assert both.bookkeeping.base == "edited-version"
    assert both.bookkeeping.of == BOOKS.of


def test_only_a_result_has_tokens_to_give() -> None:
    with pytest.raises(ValueError, match="result"):
        transplant(document(), document(), base="v")


def test_a_tombstone_holds_no_token_and_says_what_it_is() -> None:
    grave = OAuthDocument.parse(tombstone(document(clientId="c", note="kept"), BOOKS, now=NOW).encode())

    assert grave.revoked
    assert grave.refresh_token is None
    assert grave.access_token is None
    assert grave.members["note"] == "kept"
    assert not document().revoked


@pytest.mark.parametrize("token", ["accessToken", "refreshToken"])
def test_tokens_beside_what_was_noted_of_a_revoked_grant_are_a_new_one(token: str) -> None:
    """Whoever stored them kept the members that they did not know."""
    grave = tombstone(document(), BOOKS, now=NOW)

    found = OAuthDocument.of({**grave.members, token: "new"})

    assert not found.revoked
    assert found.bookkeeping is None, "it tells of another grant"
    assert OAuthDocument.of({**grave.members, token: ""}).revoked


def test_an_edit_of_what_a_revocation_left_stays_that() -> None:
    grave = tombstone(document(), BOOKS, now=NOW)

    assert transplant(document(refreshToken="r1"), grave, base="edited-version").revoked


def test_fingerprints_tell_tokens_and_secrets_apart_and_show_nothing() -> None:
    token = SecretValue("r1")

    assert fingerprint(ARN, token) == fingerprint(ARN, SecretValue("r1"))
    assert fingerprint(ARN, token) != fingerprint(ARN, SecretValue("r2"))
    assert fingerprint(ARN, token) != fingerprint("arn:other", token)
    assert fingerprint(ARN, None) == ""


def test_no_representation_shows_a_token() -> None:
    assert "r1" not in repr(document())
    assert "r1" not in f"{document()}"
