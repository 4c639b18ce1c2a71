"""First tokens are read whole or refused by the name of a key."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tolstoy_operator.domain.documents import Document, MalformedSecret
from tolstoy_operator.domain.firsttokens import first_tokens_of, read_first_tokens

GOOD = {
    "accessToken": b"a",
    "refreshToken": b"r",
    "expiresAt": b"1785000000000",
    "lastUpdated": b"2026-05-01T00:00:00Z",
}


def test_a_whole_consent() -> None:
    tokens = read_first_tokens(GOOD)
    assert {key: value.reveal() for key, value in tokens.texts.items()} == {"accessToken": "a", "refreshToken": "r"}
    assert tokens.expires_at_ms == 1_785_000_000_000
    assert tokens.issued_at == datetime(2026, 5, 1, tzinfo=UTC)


def test_empty_members_count_as_absent() -> None:
    tokens = read_first_tokens({"refreshToken": b"r", "accessToken": b"", "expiresAt": b"", "lastUpdated": b""})
    assert (list(tokens.texts), tokens.expires_at_ms, tokens.issued_at) == (["refreshToken"], None, None)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"accesstoken": b"x"}, '"accesstoken"'),
        ({"accessToken": b"", "refreshToken": b""}, "neither"),
        ({"accessToken": b"\xff"}, '"accessToken" is not text'),
        ({"expiresAt": b"soon"}, '"expiresAt"'),
        ({"expiresAt": b"9" * 40}, '"expiresAt"'),
        ({"lastUpdated": b"yesterday"}, '"lastUpdated"'),
        ({"lastUpdated": b"2026-05-01T00:00:00"}, "time zone"),
        ({"lastUpdated": b"0001-01-01T00:00:00Z"}, "millennia"),
        ({"lastUpdated": b"9999-12-31T23:59:59-01:00"}, "millennia"),
    ],
)
def test_what_cannot_be_read_is_named(change: dict[str, bytes], told: str) -> None:
    with pytest.raises(MalformedSecret) as caught:
        read_first_tokens({**GOOD, **change})
    assert told in caught.value.cause


@given(st.dictionaries(st.sampled_from([*GOOD, "scope", "other"]), st.binary(max_size=20)))
def test_nothing_else_is_ever_raised_and_no_value_is_told(data: dict[str, bytes]) -> None:
    causes = []
    try:
        read_first_tokens({key: b"canary-" + value if key == "scope" else value for key, value in data.items()})
    except MalformedSecret as problem:
        causes.append(problem.cause)
    assert "canary" not in "".join(causes)


def test_a_document_becomes_the_texts_of_a_secret() -> None:
    document = Document({"accessToken": "a", "refreshToken": None, "scope": "", "expiresAt": 1_785_000_000_000})
    texts = {key: text.reveal() for key, text in first_tokens_of(document).items()}
    assert texts == {"accessToken": "a", "expiresAt": "1785000000000"}
    assert read_first_tokens({key: text.encode() for key, text in texts.items()}).expires_at_ms == 1_785_000_000_000


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"accessToken": 123_456}, '"accessToken" is not text'),
        ({"clientSecret": ["canary"]}, '"clientSecret" is not text'),
        ({"refreshToken": True}, '"refreshToken" is not text'),
        ({"expiresAt": 1.5}, '"expiresAt"'),
        ({"expiresAt": False}, '"expiresAt"'),
        ({"custom": "canary"}, '"custom"'),
        ({"accessToken": ""}, "neither"),
    ],
)
def test_a_document_is_refused_where_its_secret_would_be(change: dict[str, object], told: str) -> None:
    with pytest.raises(MalformedSecret) as caught:
        first_tokens_of(Document({"accessToken": "a", **change}))
    assert told in caught.value.cause
    assert "canary" not in caught.value.cause
