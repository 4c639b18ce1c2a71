"""Records of the protocol: written and read back, ids that mean the same to everybody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tolstoy_operator.domain.oauthdocument import MalformedDocument, OAuthDocument, Scheme
from tolstoy_operator.domain.refreshids import claim_id, late_id, owner_id, rebase_id, result_id
from tolstoy_operator.domain.refreshrecords import Claim, Doubt, Fate, Ownership, Record, Seal, decode, encode
from tolstoy_operator.domain.secretvalue import SecretValue

CLAIM = Claim(
    of="v",
    n=1,
    token="fp",
    scheme=Scheme.CLAIM,
    owner="pod",
    cluster="blue",
    nonce="x",
    started_at=5.0,
    fates={0: Fate.IN_DOUBT},
)


@pytest.mark.parametrize(
    "record",
    [
        CLAIM,
        Seal("v", 2, "fp"),
        Doubt("v", 3, "fp", Scheme.LEASE, "unreadable", SecretValue("<html>")),
        Ownership("blue", "v"),
        OAuthDocument.of({"refreshToken": "r", "tolstoy": {"somebody": "else"}}),
    ],
)
def test_a_record_survives_a_round_trip(record: Record) -> None:
    assert decode(encode(record)) == record
    assert encode(record) == encode(decode(encode(record)))


@pytest.mark.parametrize(
    "text",
    ['{"tolstoy": {"kind": "claim"}}', '{"tolstoy": {"kind": "unheard-of"}}', '{"tolstoy": {"kind": null}}', "[]"],
)
def test_a_record_that_cannot_be_read_is_malformed(text: str) -> None:
    with pytest.raises(MalformedDocument):
        decode(SecretValue(text))


def test_no_record_shows_an_unreadable_reply() -> None:
    assert "html" not in repr(Doubt("v", 3, "fp", Scheme.LEASE, "unreadable", SecretValue("<html>")))


@given(st.text(), st.text(), st.integers(min_value=0, max_value=99))
def test_ids_are_the_same_for_everybody_and_fit_a_version_id(arn: str, of: str, n: int) -> None:
    ids = [claim_id(arn, of, n), result_id(arn, of, n), late_id(arn, of, n), rebase_id(arn, "c", of, n)]
    ids.append(owner_id(arn, "blue", of))

    assert ids[0] == claim_id(arn, of, n)
    assert len(set(ids)) == len(ids)
    assert all(32 <= len(name) <= 64 for name in ids)


def test_ids_of_different_attempts_differ() -> None:
    assert claim_id("arn", "of", 1) != claim_id("arn", "of", 2)
    assert result_id("arn", "of", 1) != result_id("arn", "other", 1)
    assert rebase_id("arn", "c1", "of", 1) != rebase_id("arn", "c2", "of", 1)
