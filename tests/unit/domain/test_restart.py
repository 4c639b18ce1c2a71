"""A restart is for another grant or another value, and never for a refreshed token."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tolstoy_operator.domain.oauthdocument import Bookkeeping, OAuthDocument, Scheme, fingerprint, merge
from tolstoy_operator.domain.refreshids import is_computed, result_id
from tolstoy_operator.domain.restart import is_anew, restarted
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.domain.tokenoutcome import Tokens

ARN = "arn:aws:secretsmanager:eu-west-1:1:secret:tolstoy/github/org-1-abcdef"
CONSENT = "11111111-1111-4111-8111-111111111111"
LATER_CONSENT = "22222222-2222-4222-8222-222222222222"


def consent(token: str = "first") -> OAuthDocument:
    return OAuthDocument.of({"accessToken": f"a-{token}", "refreshToken": f"r-{token}"})


def refreshed(document: OAuthDocument, of: str, token: str = "next") -> OAuthDocument:
    spent = fingerprint(ARN, document.refresh_token)
    books = Bookkeeping(base=of, of=of, n=1, under=Scheme.CLAIM, scheme=Scheme.CLAIM, token="", spent=spent, owner="")
    tokens = Tokens(access_token=SecretValue(f"a-{token}"), refresh_token=SecretValue(f"r-{token}"))
    return merge(document, tokens, books, arn=ARN, now=1_700_000_000)


def ask(before: str | None, version: str, document: OAuthDocument | None) -> bool:
    return is_anew(before, version, arn=ARN, document=document)


RESULT = result_id(ARN, CONSENT, 1)
SECOND_RESULT = result_id(ARN, RESULT, 1)


def test_what_is_no_grant_is_another_value() -> None:
    assert ask("v1", "v2", None)


@pytest.mark.parametrize("document", [None, consent()])
def test_the_first_mirror_and_the_same_version_are_nothing_new(document: OAuthDocument | None) -> None:
    assert not ask(None, "v1", document)
    assert not ask("v1", "v1", document)


def test_a_refresh_is_nothing_new() -> None:
    first = refreshed(consent(), CONSENT)
    assert not ask(CONSENT, RESULT, first)
    assert not ask(RESULT, SECOND_RESULT, refreshed(first, RESULT, "third"))
    assert not ask(CONSENT, SECOND_RESULT, refreshed(first, RESULT, "third"))


def test_an_edit_of_a_refreshed_document_is_nothing_new() -> None:
    edited = OAuthDocument.of({**refreshed(refreshed(consent(), CONSENT), RESULT).members, "note": "x"})
    assert not ask(RESULT, LATER_CONSENT, edited)


def test_a_consent_is() -> None:
    assert ask(RESULT, LATER_CONSENT, consent("second"))
    over_ours = OAuthDocument.of({**refreshed(consent(), CONSENT).members, "refreshToken": "r-of-a-consent"})
    assert ask(RESULT, LATER_CONSENT, over_ours)


def test_a_consent_that_was_refreshed_before_anybody_saw_it_is() -> None:
    assert ask(RESULT, result_id(ARN, LATER_CONSENT, 1), refreshed(consent("second"), LATER_CONSENT))


def test_our_own_ids_are_told_from_those_of_others() -> None:
    assert is_computed(RESULT)
    assert not any(map(is_computed, (CONSENT, "", "a label", "x" * 36)))


def test_the_patch_is_one_annotation() -> None:
    at = datetime(2026, 5, 1, 12, 30, 15, 999, tzinfo=UTC)
    annotations = {"tolstoy.dev/restarted-at": "2026-05-01T12:30:15Z"}
    assert restarted(at) == {"spec": {"template": {"metadata": {"annotations": annotations}}}}
