"""What providers' error codes and statuses mean, written down apart from the table that the reader uses."""

from __future__ import annotations

import json

import pytest

from tolstoy_operator.domain.replyrules import STANDARD
from tolstoy_operator.domain.tokenoutcome import DoubtCause, InDoubt, Rejected, Rejection
from tolstoy_operator.domain.tokenreply import Sent, interpret

REAUTHORIZE = [
    "invalid_grant",
    "bad_refresh_token",
    "invalid_refresh_token",
    "token_revoked",
    "BAD_REFRESH_TOKEN",
    "interaction_required",
    "consent_required",
    "login_required",
    "invalid_rapt",
    "account_inactive",
]
REAUTHORIZE_ENTRA = (50076, 50079, 65001, 700082, 50173, 70008)
CLIENT = ["invalid_client", "unauthorized_client", "incorrect_client_credentials"]
CLIENT_ENTRA = (7000215, 7000222, 700016)
REQUEST = ["invalid_scope", "invalid_target", "unsupported_grant_type", "invalid_request", "use_dpop_nonce"]
LATER = ["temporarily_unavailable", "slow_down"]


def answer(status: int, body: object, headers: dict[str, str] | None = None) -> object:
    text = body if isinstance(body, str) else json.dumps(body)
    return interpret(status, headers or {}, text.encode(), rules=STANDARD, sent=Sent(at=0.0))


@pytest.mark.parametrize("status", [200, 400, 401, 403])
@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        *((code, Rejection.REAUTHORIZE) for code in REAUTHORIZE),
        *((code, Rejection.CLIENT_MISCONFIGURED) for code in CLIENT),
        *((code, Rejection.REQUEST_MISCONFIGURED) for code in REQUEST),
        *((code, Rejection.TRANSIENT) for code in LATER),
        ("never_heard_of", Rejection.UNKNOWN),
    ],
)
def test_a_code_means_the_same_with_every_status(code: str, meaning: Rejection, status: int) -> None:
    outcome = answer(status, {"error": code})
    assert isinstance(outcome, Rejected)
    assert (outcome.rejection, outcome.code) == (meaning, code)


@pytest.mark.parametrize(
    ("number", "meaning"),
    [
        *((number, Rejection.REAUTHORIZE) for number in REAUTHORIZE_ENTRA),
        *((number, Rejection.CLIENT_MISCONFIGURED) for number in CLIENT_ENTRA),
    ],
)
def test_numbers_of_entra_say_more_than_the_code_beside_them(number: int, meaning: Rejection) -> None:
    outcome = answer(400, {"error": "invalid_request", "error_codes": [number]})
    assert isinstance(outcome, Rejected)
    assert outcome.rejection is meaning


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("https://user:word@Login.example.com:8443/a?b=c#d", "http_302:login.example.com"),
        ("//10.0.0.7/a", "http_302:10.0.0.7"),
        ("https://[2001:db8::7]/a", "http_302:2001:db8::7"),
        ("/a?b=c", "http_302"),
        ("login.example.com", "http_302"),
        ("https://" + "a" * 65, "http_302"),
        ("https://a b/", "http_302"),
        ("https://[a/", "http_302"),
        ("", "http_302"),
    ],
)
def test_of_where_a_redirect_leads_only_the_host_is_told(location: str, code: str) -> None:
    assert answer(302, "", {"Location": location}) == Rejected(Rejection.REQUEST_MISCONFIGURED, code, 302)


@pytest.mark.parametrize(
    "body",
    [
        {"error": "invalid_grant", "code": "slow_down"},
        {"error": {"code": "invalid_grant"}},
        {"error": {"type": "invalid_grant"}},
        {"errors": [{"code": "invalid_grant"}]},
        {"status": "invalid_grant"},
        {"code": "invalid_grant"},
        {"reason": "invalid_grant"},
        "error=invalid_grant&error_description=x",
    ],
)
def test_a_code_is_found_wherever_providers_put_it(body: object) -> None:
    outcome = answer(400, body)
    assert isinstance(outcome, Rejected)
    assert outcome.rejection is Rejection.REAUTHORIZE


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        *((status, Rejection.REQUEST_MISCONFIGURED) for status in (301, 302, 303, 307, 308, 404, 405, 410, 415)),
        (403, Rejection.NETWORK_REFUSED),
        (425, Rejection.TRANSIENT),
        (429, Rejection.THROTTLED),
        (418, Rejection.UNKNOWN),
    ],
)
def test_a_page_without_a_code_means_what_its_status_says(status: int, meaning: Rejection) -> None:
    outcome = answer(status, "<html>page</html>", {"location": "https://elsewhere.example/?secret"})
    where = ":elsewhere.example" if 300 <= status < 400 else ""
    assert isinstance(outcome, Rejected)
    assert (outcome.rejection, outcome.code) == (meaning, f"http_{status}{where}")


@pytest.mark.parametrize("status", [408, 500, 501, 502, 503, 504, 599])
@pytest.mark.parametrize("body", ["<html>page</html>", "", {"error": "invalid_grant"}, {"error": "server_error"}])
def test_a_server_in_trouble_may_have_acted(status: int, body: object) -> None:
    outcome = answer(status, body)
    assert isinstance(outcome, InDoubt)
    assert outcome.cause is DoubtCause.SERVER_ERROR


@pytest.mark.parametrize("status", [200, 400, 401])
def test_server_error_leaves_it_open_whatever_the_status(status: int) -> None:
    assert isinstance(answer(status, {"error": "server_error"}), InDoubt)


def test_an_error_of_a_throttled_client_is_a_pause_whatever_its_code() -> None:
    outcome = answer(429, {"error": "invalid_grant"}, {"retry-after": "7"})
    assert isinstance(outcome, Rejected)
    assert (outcome.rejection, outcome.retry_after) == (Rejection.THROTTLED, 7.0)
