"""What a provider says about a token, and what it doesn't say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tolstoy_operator.domain.tokenhealth import (
    Health,
    Liveness,
    ProbeRules,
    Revocation,
    RevocationResult,
    parse_introspection,
    parse_probe,
    parse_revocation,
)
from tolstoy_operator.domain.tokenoutcome import Rejection

NOW = 1_790_000_000.0
SLACK = ProbeRules(success={"ok": True}, dead_codes=frozenset({"invalid_auth", "token_revoked"}))


def body(document: object) -> bytes:
    return json.dumps(document).encode()


def test_introspection_of_a_live_token() -> None:
    reply = body({"active": True, "exp": NOW + 60, "scope": "a b", "client_id": "c"})

    assert parse_introspection(200, {}, reply, now=NOW) == Health(Liveness.ALIVE, expires_at=NOW + 60, scope="a b")


def test_introspection_of_a_dead_token() -> None:
    assert parse_introspection(200, {}, body({"active": False}), now=NOW) == Health(Liveness.DEAD)


@pytest.mark.parametrize(
    ("status", "document", "code", "rejection"),
    [
        (200, {"active": "yes"}, "http_200", Rejection.UNKNOWN),
        (200, [], "http_200", Rejection.UNKNOWN),
        (401, {"error": "invalid_client"}, "invalid_client", Rejection.CLIENT_MISCONFIGURED),
        (401, {}, "http_401", Rejection.CLIENT_MISCONFIGURED),
        (404, {}, "http_404", Rejection.REQUEST_MISCONFIGURED),
        (500, {"error": "server_error"}, "server_error", Rejection.UNKNOWN),
    ],
)
def test_introspection_that_says_nothing(status: int, document: Any, code: str, rejection: Rejection) -> None:
    health = parse_introspection(status, {}, body(document), now=NOW)

    assert health == Health(Liveness.UNKNOWN, code, rejection=rejection)


def test_a_busy_provider_says_nothing_and_when_to_ask_again() -> None:
    health = parse_probe(429, {"Retry-After": "7"}, b"", rules=ProbeRules(), now=NOW)

    assert health == Health(Liveness.UNKNOWN, "http_429", rejection=Rejection.THROTTLED, retry_after=7)


@pytest.mark.parametrize(
    ("rules", "status", "document", "liveness"),
    [
        (ProbeRules(), 200, {"login": "x"}, Liveness.ALIVE),
        (ProbeRules(), 401, {"message": "Bad credentials"}, Liveness.DEAD),
        (ProbeRules(), 403, {"error": "insufficient_scope"}, Liveness.ALIVE),
        (ProbeRules(dead_statuses=frozenset({403})), 403, {"err": "Invalid token"}, Liveness.DEAD),
        (ProbeRules(dead_statuses=frozenset({403})), 401, {}, Liveness.UNKNOWN),
        (ProbeRules(), 500, {}, Liveness.UNKNOWN),
        (ProbeRules(), 404, {}, Liveness.UNKNOWN),
        (SLACK, 200, {"ok": True}, Liveness.ALIVE),
        (SLACK, 200, {"ok": False, "error": "invalid_auth"}, Liveness.DEAD),
        (SLACK, 200, {"ok": False, "error": "ratelimited"}, Liveness.UNKNOWN),
        (ProbeRules(success={"data.me": 1}), 200, {"errors": [{"message": "x"}]}, Liveness.DEAD),
        (ProbeRules(success={"data.me.id": 1}), 200, {"data": {"me": {"id": 1}}}, Liveness.ALIVE),
    ],
)
def test_probe(rules: ProbeRules, status: int, document: Any, liveness: Liveness) -> None:
    assert parse_probe(status, {}, body(document), rules=rules, now=NOW).liveness is liveness


def test_a_page_of_something_in_between_says_nothing() -> None:
    assert parse_probe(403, {}, b"<html>", rules=ProbeRules(), now=NOW).liveness is Liveness.UNKNOWN
    assert parse_probe(200, {}, b"<html>", rules=SLACK, now=NOW).liveness is Liveness.UNKNOWN


@pytest.mark.parametrize(
    ("status", "document", "expected"),
    [
        (200, {}, Revocation(RevocationResult.DONE)),
        (204, {}, Revocation(RevocationResult.DONE)),
        (200, {"ok": False, "error": "invalid_auth"}, Revocation(RevocationResult.REFUSED, "invalid_auth")),
        (200, {"ok": False}, Revocation(RevocationResult.REFUSED, "http_200")),
        (400, {"error": "unsupported_token_type"}, Revocation(RevocationResult.UNSUPPORTED, "unsupported_token_type")),
        (404, {}, Revocation(RevocationResult.UNSUPPORTED, "http_404")),
        (501, {}, Revocation(RevocationResult.UNSUPPORTED, "http_501")),
        (401, {"error": "invalid_client"}, Revocation(RevocationResult.REFUSED, "invalid_client")),
        (302, {}, Revocation(RevocationResult.REFUSED, "http_302")),
        (503, {}, Revocation(RevocationResult.RETRY, "http_503", 9.0)),
        (429, {}, Revocation(RevocationResult.RETRY, "http_429", 9.0)),
    ],
)
def test_revocation(status: int, document: Any, expected: Revocation) -> None:
    assert parse_revocation(status, {"Retry-After": "9"}, body(document), now=NOW) == expected


@given(status=st.integers(-1, 999), data=st.binary(max_size=200))
def test_no_bytes_make_a_reader_raise(status: int, data: bytes) -> None:
    parse_introspection(status, {}, data, now=NOW)
    parse_probe(status, {}, data, rules=SLACK, now=NOW)
    parse_revocation(status, {}, data, now=NOW)
