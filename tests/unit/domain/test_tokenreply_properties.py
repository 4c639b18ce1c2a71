"""No bytes whatever make the reader raise, lose a token, or show one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tolstoy_operator.domain import tokenreply
from tolstoy_operator.domain.replyrules import STANDARD, LifetimeUnit, ReplyRules
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.domain.tokenoutcome import (
    RAW_LIMIT,
    RETRY_AFTER_LIMIT,
    Accepted,
    DoubtCause,
    InDoubt,
    Rejected,
    Rejection,
)
from tolstoy_operator.domain.tokenreply import REPLY_LIMIT, Grant, Sent, interpret, parse_reply

SENT = Sent(at=1_790_000_000.0)
TOKEN = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=300)
STATUS = st.one_of(st.sampled_from([200, 201, 302, 400, 401, 403, 404, 408, 429, 500, 503]), st.integers(-1, 1000))
HEADERS = st.dictionaries(
    st.sampled_from(
        ["Date", "retry-after", "Retry-After", "X-Rate-Limit-Reset", "ratelimit-reset", "WWW-Authenticate", "Location"]
    ),
    st.one_of(
        st.text(max_size=80),
        st.integers().map(str),
        st.just("Mon, 21 Sep 2026 14:14:20 GMT"),
        st.text(max_size=80).map("https://".__add__),
    ),
)
MEMBER = st.sampled_from(
    [
        "access_token", "refresh_token", "expires_in", "expires_at", "token_type", "scope", "error", "errors", "code",
        "status", "reason", "error_codes", "error_subtype", "error_description", "authed_user", "ok", "type",
        "refresh_token_expires_in",
    ]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.just("invalid_grant"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(MEMBER | st.text(max_size=8), inner, max_size=6),
    max_leaves=12,
)
DOCUMENT = st.dictionaries(MEMBER, JSON, max_size=10)
RULES = st.sampled_from(
    [
        STANDARD,
        ReplyRules(containers=("authed_user", ""), success={"ok": True}, errors={"invalid_grant": Rejection.TRANSIENT}),
        ReplyRules(
            expires_in_unit=LifetimeUnit.MILLISECONDS, scope=("scope.0", "error.code"), bearer_types=frozenset()
        ),
    ]
)


@given(status=STATUS, headers=HEADERS, body=st.binary(max_size=400), rules=RULES)
def test_any_bytes_have_an_outcome(status: int, headers: dict[str, str], body: bytes, rules: ReplyRules) -> None:
    _check(interpret(status, headers, body, rules=rules, sent=SENT), body)


@given(status=STATUS, headers=HEADERS, document=DOCUMENT, rules=RULES, grant=st.sampled_from(Grant))
def test_any_object_has_an_outcome(
    status: int, headers: dict[str, str], document: dict[str, Any], rules: ReplyRules, grant: Grant
) -> None:
    body = json.dumps(document).encode()
    sent = Sent(at=SENT.at, grant=grant, access_token=SecretValue("used"))

    outcome = interpret(status, headers, body, rules=rules, sent=sent)
    without_end = interpret(status, headers, body, rules=rules, sent=sent, whole=False)

    _check(outcome, body)
    assert isinstance(without_end, InDoubt) or (without_end == outcome and 200 <= status < 300)
    assert without_end == outcome or not 200 <= status < 300
    if isinstance(outcome, Rejected) and grant is not Grant.REFRESH_TOKEN:
        assert outcome.rejection is not Rejection.REAUTHORIZE


def _check(outcome: Accepted | Rejected | InDoubt, body: bytes) -> None:
    if isinstance(outcome, Accepted):
        assert outcome.tokens.access_token
        assert outcome.tokens.refresh_token is None or outcome.tokens.refresh_token
        for at in (outcome.tokens.expires_at, outcome.tokens.refresh_expires_at):
            assert at is None or SENT.at < at <= SENT.at + tokenreply.LONGEST_LIFETIME
        return
    assert outcome.retry_after is None or 0 <= outcome.retry_after <= RETRY_AFTER_LIMIT
    assert len(outcome.code) <= 73
    assert all(letter.isascii() and (letter.isalnum() or letter in "_.:-") for letter in outcome.code)
    if isinstance(outcome, InDoubt) and outcome.raw is not None:
        assert len(outcome.raw) <= RAW_LIMIT
        assert bool(outcome.raw) == bool(body)


@given(
    access=TOKEN,
    refresh=TOKEN,
    others=st.dictionaries(st.text(max_size=12), JSON, max_size=5),
    status=st.integers(200, 299),
)
def test_tokens_of_a_good_reply_are_never_lost(access: str, refresh: str, others: dict[str, Any], status: int) -> None:
    document = {**others, "access_token": access, "refresh_token": refresh}
    body = json.dumps(document).encode()

    outcome = interpret(status, {}, body, rules=STANDARD, sent=SENT)

    if isinstance(outcome, Accepted):
        assert outcome.tokens.access_token.reveal() == access
        assert outcome.tokens.refresh_token == SecretValue(refresh)
    else:
        assert others.get("error") or others.get("errors")
        assert outcome == InDoubt(DoubtCause.CONTRADICTORY, status, raw=SecretValue(body.decode()[:RAW_LIMIT]))


@given(
    access=TOKEN, keep=st.sampled_from([{}, {"refresh_token": None}, {"refresh_token": ""}, {"refresh_token": False}])
)
def test_a_refresh_token_that_is_not_offered_is_kept(access: str, keep: dict[str, Any]) -> None:
    outcome = interpret(200, {}, json.dumps({"access_token": access, **keep}).encode(), rules=STANDARD, sent=SENT)

    assert isinstance(outcome, Accepted)
    assert outcome.tokens.refresh_token is None


@given(cut=st.integers(1, 70), whole=st.booleans())
def test_a_reply_cut_anywhere_is_never_accepted_nor_refused(cut: int, whole: bool) -> None:
    body = b'{"access_token":"at-1","token_type":"Bearer","refresh_token":"rt-1","expires_in":3600}'

    outcome = interpret(200, {}, body[:-cut], rules=STANDARD, sent=SENT, whole=whole)

    assert outcome == InDoubt(
        DoubtCause.UNREADABLE if whole else DoubtCause.TRUNCATED, 200, raw=SecretValue(body[:-cut].decode())
    )


@given(status=STATUS, body=st.from_regex(r"[a-z_]{1,12}=[^\s<>{}]*", fullmatch=True) | st.binary(max_size=400))
def test_nothing_else_without_its_end_is_believed(status: int, body: bytes | str) -> None:
    came = body.encode() if isinstance(body, str) else body

    outcome = interpret(status, {}, came, rules=STANDARD, sent=SENT, whole=False)

    assert isinstance(outcome, InDoubt)
    if 200 <= status < 300:
        assert outcome.cause is DoubtCause.TRUNCATED
        _check(outcome, came)


def test_of_a_reply_that_is_too_long_the_beginning_is_kept() -> None:
    outcome = interpret(200, {}, b"x" * (REPLY_LIMIT + 1), rules=STANDARD, sent=SENT, whole=False)

    assert outcome == InDoubt(DoubtCause.OVERSIZE, 200, raw=SecretValue("x" * RAW_LIMIT))


def test_a_reader_that_breaks_leaves_a_doubt_with_the_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> Accepted:
        raise RuntimeError

    monkeypatch.setattr(tokenreply, "interpret", broken)

    outcome = parse_reply(200, {}, b"at-1", sent=SENT)

    assert outcome == InDoubt(DoubtCause.UNREADABLE, 200, raw=SecretValue("at-1"))
