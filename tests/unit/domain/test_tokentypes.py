"""Which types of access token may be put before a workload."""

from __future__ import annotations

import pytest

from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.replyrules import STANDARD
from tolstoy_operator.domain.tokentypes import unusable

BOOKS = {"base": "b", "of": "o", "n": 0, "under": "claim", "scheme": "claim", "token": "t", "spent": "s", "owner": ""}


@pytest.mark.parametrize(
    ("kind", "stored", "answered"),
    [
        (None, True, True),
        ("", True, True),
        ("Bearer", True, True),
        ("bot", True, False),
        ("DPoP", False, False),
        ("mac", False, False),
    ],
)
def test_what_others_wrote_passes_unless_it_is_known_to_be_bad(kind: str | None, stored: bool, answered: bool) -> None:
    members = {"accessToken": "a", "tokenType": kind}
    assert (unusable(OAuthDocument.of(members), STANDARD.bearer_types) == "") is stored
    assert (unusable(OAuthDocument.of({**members, "tolstoy": BOOKS}), STANDARD.bearer_types) == "") is answered


def test_an_organisation_can_allow_a_type() -> None:
    for kind in ("DPoP", "bot"):
        found = OAuthDocument.of({"accessToken": "a", "tokenType": kind, "tolstoy": BOOKS})
        assert unusable(found, {"bearer", "dpop", "bot"}) == ""


def test_no_word_of_a_provider_is_repeated() -> None:
    found = OAuthDocument.of({"accessToken": "a", "tokenType": "s3cr3t", "tolstoy": BOOKS})
    assert "s3cr3t" not in unusable(found, STANDARD.bearer_types)
