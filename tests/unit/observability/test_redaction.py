from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tolstoy_operator.observability.redaction import _RULES, SCAN_LIMIT, is_sensitive_name, printable, redact

CANARY = "cAnary7QxT9vLm2ZpK4wRs8"

LEAKS = [
    f"Authorization: Bearer {CANARY}",
    f"headers={{'Authorization': 'token {CANARY}', 'Accept': '*/*'}}",
    f"authorization=Basic dXNlcjpw{CANARY}==",
    f"call with bearer {CANARY} failed",
    f"Basic {CANARY}==",
    f"Cookie: a=1; session={CANARY}; b=2",
    f"grant_type=refresh_token&refresh_token={CANARY}&client_id=x",
    f"client_secret={CANARY}",
    f"GET https://host/cb?code={CANARY}&state=1",
    f"https://hooks.example/x?secret={CANARY}",
    json.dumps({"accessToken": CANARY, "scope": "repo"}),
    json.dumps({"accessToken": f'with "quotes" {CANARY}'}),
    json.dumps({"body": json.dumps({"refresh_token": CANARY})}),
    json.dumps({"body": json.dumps({"body": json.dumps({"client_secret": f'a"{CANARY}'})})}),
    repr({"apiKey": CANARY}),
    repr({"apiKey": CANARY.encode()}),
    repr({"token": [CANARY, CANARY]}),
    repr({"token": {"value": CANARY}}),
    repr({"secret": CANARY}),
    f"Creds(access_token='{CANARY}', n=3)",
    f"github_access_token = {CANARY}",
    f"password: {CANARY}",
    f"password == '{CANARY}'",
    f"X-Api-Key: {CANARY}",
    f"AWS_SECRET_ACCESS_KEY={CANARY}",
    f"aws_session_token={CANARY}",
    json.dumps({"SecretString": CANARY, "Name": "tolstoy/github/org"}),
    json.dumps({"kind": "Secret", "metadata": {"name": "x"}, "data": {"k": CANARY}, "z": 1}),
    repr({"stringData": {"k": CANARY}}),
    json.dumps({"error": json.dumps({"data": {"k": CANARY}})}),
    f"DATABASE_URL=postgresql://app:{CANARY}@db:5432/x",
    f"connect postgresql://app:p/w@{CANARY}@db:5432/x failed",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE" + CANARY + "\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\nMIIE" + CANARY,
    f"jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx{CANARY}.c2ln{CANARY}",
    f"ghp_{CANARY}",
    f"xoxb-123-{CANARY}",
    f"sk_live_{CANARY}",
    f"ya29.{CANARY}",
    f"Task exception was never retrieved: <Task coro=<f()> exception=ValueError('{CANARY}')>",
    json.dumps({"accessToken": CANARY})[:-4],  # cut off in the middle of the value
]

HARMLESS = [
    "read tolstoy/github/org-abc123 ended ok",
    "secret=tolstoy/github/org-abc123 version=0f2b8a4e-1111-4222-8333-444455556666",
    "credential=team-a/github reason=Synced keys=[accessToken]",
    "the member accessToken is missing",
    "tokenEndpoint is not on the list, expiresAt in 300 s",
    "refreshed 3 tokens in 4.2 s; the token endpoint answered 429",
    "GET https://10.0.0.1:443/api/v1/secrets?limit=500&labelSelector=a%3Db",
    "arn:aws:secretsmanager:eu-west-1:123456789012:secret:tolstoy/github/org-AbCdEf",
    "basic authentication is off",
    "template uses ${accessToken|base64}",
]


@pytest.mark.parametrize("text", LEAKS)
def test_what_looks_like_a_secret_is_masked(text: str) -> None:
    assert CANARY not in redact(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_people_need_to_read_stays(text: str) -> None:
    assert redact(text) == text


def test_the_rest_of_a_form_and_of_a_document_stays() -> None:
    assert redact(f"a=1&refresh_token={CANARY}&client_id=x") == "a=1&refresh_token=[redacted]&client_id=x"
    assert redact(f'{{"accessToken": "{CANARY}", "scope": "repo"}}') == '{"accessToken": "[redacted]", "scope": "repo"}'
    assert redact(f"postgresql://app:{CANARY}@db:5432/x") == "postgresql://app:[redacted]@db:5432/x"


@given(
    name=st.sampled_from(
        ["accessToken", "refresh_token", "client_secret", "apiKey", "password", "github-access-token"]
    ),
    before=st.text(max_size=30),
    value=st.text(alphabet=st.characters(codec="utf-8"), max_size=30),
    indent=st.sampled_from([None, 2]),
)
def test_no_json_value_of_a_sensitive_member_survives(name: str, before: str, value: str, indent: int | None) -> None:
    document = json.dumps({"a": before, name: f"{value}{CANARY}{value}", "z": 1}, indent=indent)
    assert CANARY not in redact(document)
    assert CANARY not in redact(repr(json.loads(document)))
    assert CANARY not in redact(json.dumps({"body": document}))


@given(st.lists(st.sampled_from([" ", '"', ":", "=", CANARY, *(leak for leak in LEAKS), *HARMLESS]), max_size=6))
def test_hints_only_save_time(pieces: list[str]) -> None:
    text = thorough = "".join(pieces)
    for rule in _RULES:
        thorough = rule.pattern.sub(rule.replacement, thorough)
    assert redact(text) == thorough


@pytest.mark.parametrize(
    "piece",
    [
        "://a:",
        "eyJ",
        '"token":',
        "password=",
        "-----BEGIN ",
        "bearer ",
        "a.",
        '\\"',
        "basic ",
        "'data': {",
        "Authorization:",
    ],
)
def test_a_hostile_text_costs_little(piece: str) -> None:
    text = piece * (2 * SCAN_LIMIT // len(piece))
    started = time.process_time()
    assert len(redact(text)) < 10 * SCAN_LIMIT
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    "name", ["accessToken", "refresh_token", "AWS_SECRET_ACCESS_KEY", "apiKey", "Authorization", "pwd"]
)
def test_sensitive_field_names(name: str) -> None:
    assert is_sensitive_name(name)


@pytest.mark.parametrize("name", ["secret", "namespace", "tokenEndpoint", "reason", "version", "tokens"])
def test_other_field_names(name: str) -> None:
    assert not is_sensitive_name(name)


def test_control_characters_become_visible() -> None:
    assert printable("a\nb\r\t\x1b[31mc\x9b\u2028\u202e\x00", 100) == r"a\nb\r\t\x1b[31mc\x9b\u2028\u202e\x00"


@given(st.text(alphabet=st.characters(), max_size=80), st.integers(10, 100))
def test_printable_is_one_bounded_line(text: str, limit: int) -> None:
    shown = printable(text, limit)
    assert len(shown.encode("utf-8")) <= limit
    assert len(shown.splitlines()) <= 1
    assert shown.isprintable() or not text.isprintable()


def test_a_cut_is_marked() -> None:
    assert printable("x" * 101, 100) == "x" * 95 + "[cut]"
    assert printable("é" * 100, 100) == "é" * 47 + "[cut]"
    assert printable("x" * 100, 100) == "x" * 100
