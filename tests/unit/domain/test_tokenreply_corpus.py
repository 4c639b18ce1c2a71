"""Every recorded shape of a reply is taken for what it is."""

from __future__ import annotations

import pytest

from tests.support.replies import SENT_AT, Reply, load
from tolstoy_operator.domain.tokenoutcome import RAW_LIMIT, Accepted, InDoubt, Rejected
from tolstoy_operator.domain.tokenreply import interpret, parse_reply

CORPUS = load()


def test_the_corpus_is_large_and_its_names_are_distinct() -> None:
    assert len(CORPUS) >= 60
    assert len({reply.name for reply in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("reply", CORPUS, ids=lambda reply: reply.name)
def test_reply(reply: Reply) -> None:
    outcome = interpret(reply.status, reply.headers, reply.body, rules=reply.rules, sent=reply.sent)

    match outcome:
        case Accepted():
            _check_accepted(outcome, reply)
        case Rejected():
            assert outcome.rejection == reply.expect["rejected"]
            assert outcome.code == reply.expect["code"]
            assert outcome.retry_after == reply.expect.get("retry_after")
        case InDoubt():
            assert outcome.cause == reply.expect["in_doubt"]
            assert outcome.code == reply.expect.get("code", "")
            assert outcome.retry_after == reply.expect.get("retry_after")
            _check_raw(outcome, reply)


@pytest.mark.parametrize("reply", CORPUS, ids=lambda reply: reply.name)
def test_no_outcome_shows_a_token_or_the_words_of_a_provider(reply: Reply) -> None:
    outcome = parse_reply(reply.status, reply.headers, reply.body, rules=reply.rules, sent=reply.sent)

    for value in ("at-1", "at-secret", "rt-1", "rt-2", "xoxe", "ya29", "ghu_at", "no longer", "Welcome"):
        assert value not in repr(outcome)


def _check_accepted(outcome: Accepted, reply: Reply) -> None:
    wanted = reply.expect["accepted"]
    tokens = outcome.tokens
    refresh = None if tokens.refresh_token is None else tokens.refresh_token.reveal()
    assert tokens.access_token.reveal() == wanted["access"]
    if "refresh_length" in wanted:
        assert refresh is not None
        assert len(refresh) == wanted["refresh_length"]
    else:
        assert refresh == wanted.get("refresh")
    assert tokens.token_type == wanted.get("type")
    assert tokens.scope == wanted.get("scope")
    assert _lifetime(tokens.expires_at) == wanted.get("lifetime")
    assert _lifetime(tokens.refresh_expires_at) == wanted.get("refresh_lifetime")
    assert {note.value for note in outcome.notes} == set(wanted.get("notes", []))
    assert outcome.status == reply.status


def _lifetime(at: float | None) -> float | None:
    return None if at is None else at - SENT_AT


def _check_raw(outcome: InDoubt, reply: Reply) -> None:
    if not reply.expect.get("raw"):
        assert outcome.raw is None
        return
    assert outcome.raw is not None
    assert outcome.raw.reveal() == reply.body[:RAW_LIMIT].decode("utf-8", "backslashreplace")
