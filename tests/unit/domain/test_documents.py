"""Reading upstream documents: every text is a Document or a MalformedSecret that shows nothing."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.documents import flat_documents, json_values
from tolstoy_operator.api.v1 import CredentialType
from tolstoy_operator.domain.documents import (
    MAX_BYTES,
    Document,
    MalformedSecret,
    check_type,
    detect_type,
    expires_at_ms,
    is_json_object,
    parse_document,
    quoted,
)
from tolstoy_operator.domain.nesting import MAX_DEPTH
from tolstoy_operator.domain.secretvalue import SecretValue

NOW_MS = 1_790_000_000_000


def parse(text: str) -> Document:
    return parse_document(SecretValue(text))


def document(**members: Any) -> Document:
    return parse(json.dumps(members))


def malformed(text: str | None) -> str:
    with pytest.raises(MalformedSecret) as caught:
        parse_document(None if text is None else SecretValue(text))
    assert caught.value.__context__ is None, "a JSON error would carry the whole text along"
    assert caught.value.__cause__ is None
    return caught.value.cause


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (None, "binary"),
        ("", "empty"),
        (" \n", "empty"),
        ("s3cr3t", "not JSON: line 1, column 1"),
        ('{"a": "s3cr3t"', "not JSON"),
        ('{"a": "s3cr3t\\x"}', "not JSON"),
        ("{'a': 's3cr3t'}", "not JSON"),
        ("\ufeff{}", "not JSON"),
        ('["s3cr3t"]', "JSON list"),
        ('"s3cr3t"', "JSON string"),
        ("5", "JSON number"),
        ("5.5", "JSON number"),
        ("true", "JSON boolean"),
        ("null", "JSON null"),
        ("{}", "without members"),
        ('{"a": 1, "a": 2}', 'member "a" occurs twice'),
        ('{"a": {"b": 1, "b": 2}}', 'member "b" occurs twice'),
        ('{"a\\u0000": 1, "a\\u0000": 2}', "cannot be shown"),
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "NaN"),
        ('{"a": 1e999}', "too large"),
        ('{"a": ' + "9" * 5000 + "}", "too large"),
        ('{"a": "\\ud800"}', "surrogate"),
        ('{"\\udfff": "a"}', "surrogate"),
        ('{"a": ["\\ud800"]}', "surrogate"),
        ('{"a": "\ud800"}', "UTF-8"),
        ('{"a": "' + "x" * MAX_BYTES + '"}', "64 KiB"),
        ('{"a": "' + "é" * (MAX_BYTES // 2) + '"}', "64 KiB"),
        ('{"a":' + "[" * 30_000 + "]" * 30_000 + "}", "nests deeper"),
        ('{"a":' * 10_000, "nests deeper"),
    ],
)
def test_what_is_no_document_says_so_and_shows_nothing(text: str | None, cause: str) -> None:
    told = malformed(text)
    assert cause in told
    assert "s3cr3t" not in told


def test_the_largest_and_the_deepest_document_are_read() -> None:
    frame = len('{"a": ""}')
    assert len(parse('{"a": "' + "x" * (MAX_BYTES - frame) + '"}').text("a")) == MAX_BYTES - frame
    deep = '{"a":' + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1) + "}"
    assert parse(deep).is_nested("a")


@pytest.mark.parametrize(
    "text", ['{"a": "' + "\\" * 65_000, '"' * 65_001, '"\\' * 32_000, "[" * 65_000, '{"a":"[[{{"}']
)
def test_hostile_texts_cost_one_pass(text: str) -> None:
    started = time.process_time()
    is_json_object(text)
    assert time.process_time() - started < 1


@given(st.text(max_size=200))
def test_any_text_is_a_document_or_malformed(text: str) -> None:
    try:
        parsed = parse(text)
    except MalformedSecret:
        return
    assert list(parsed) == list(json.loads(text))


@given(flat_documents())
def test_members_come_back_as_they_were_written(members: dict[str, Any]) -> None:
    parsed = parse(json.dumps(members))
    assert list(parsed.keys()) == list(members)
    for key, value in members.items():
        expected = value if isinstance(value, str) else json.dumps(value)
        assert parsed.text(key) == SecretValue(expected)
    assert json.loads(parsed.encode().reveal()) == members


@given(st.dictionaries(st.text(max_size=8), json_values(), min_size=1, max_size=5))
def test_a_document_survives_being_stored_again(members: dict[str, Any]) -> None:
    parsed = parse(json.dumps(members))
    assert parse_document(parsed.encode()) == parsed


def test_members_as_text() -> None:
    parsed = parse('{"s": "é", "n": 1790000000000, "f": 1.5, "t": true, "z": null, "o": {"b": [1, "ü"]}}')
    texts = {key: parsed.text(key).reveal() for key in parsed}
    assert texts == {"s": "é", "n": "1790000000000", "f": "1.5", "t": "true", "z": "null", "o": '{"b":[1,"ü"]}'}
    with pytest.raises(KeyError):
        parsed.text("absent")


def test_a_document_never_shows_its_members() -> None:
    parsed = document(accessToken="s3cr3t")
    for shown in (repr(parsed), str(parsed), f"{parsed}", repr([parsed])):
        assert "s3cr3t" not in shown
        assert "accessToken" not in shown


def test_members_are_asked_by_kind() -> None:
    parsed = document(s="x", empty="", n=5, yes=True, none=None, o={"a": [{"b": 1}]})
    assert parsed.get_str("s") == SecretValue("x")
    assert [parsed.get_str(key) for key in ("empty", "n", "none", "absent")] == [None] * 4
    assert parsed.get_number("n") == 5
    assert [parsed.get_number(key) for key in ("s", "yes", "absent")] == [None] * 3
    assert [key for key in (*parsed, "absent") if parsed.is_blank(key)] == ["empty", "none", "absent"]
    assert [key for key in (*parsed, "absent") if parsed.is_nested(key)] == ["o"]
    assert sorted(parsed.names_within("o")) == ["a", "b", "o"]
    assert list(parsed.names_within("absent")) == ["absent"]
    assert "s" in parsed
    assert len(parsed) == 6


def test_documents_compare_by_content_and_with_nothing_else() -> None:
    assert document(a=1) == document(a=1)
    assert document(a=1) != document(a=2)
    assert document(a=1) != {"a": 1}
    with pytest.raises(TypeError):
        hash(document(a=1))


def test_changed_members_leave_the_others_as_they_were() -> None:
    before = document(accessToken="old", custom={"kept": [1]}, expiresAt=1)
    after = before.with_members({"accessToken": "new", "expiresAt": NOW_MS})
    assert json.loads(after.encode().reveal()) == {"accessToken": "new", "custom": {"kept": [1]}, "expiresAt": NOW_MS}
    assert before.text("accessToken") == SecretValue("old")


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"accessToken": "x"}, CredentialType.OAUTH2),
        ({"refreshToken": "x"}, CredentialType.OAUTH2),
        ({"accessToken": "x", "apiKey": "y", "clientId": "i", "clientSecret": "s"}, CredentialType.OAUTH2),
        ({"accessToken": 5}, CredentialType.OAUTH2),
        ({"apiKey": "x", "createdAt": "2026-01-01T00:00:00Z"}, CredentialType.API_KEY),
        ({"apiKey": "x", "webhookSecret": "y"}, CredentialType.API_KEY),
        ({"webhookSecret": "x"}, CredentialType.WEBHOOK),
        ({"clientId": "i", "clientSecret": "s"}, CredentialType.CLIENT_CREDENTIALS),
        ({"clientSecret": "s"}, CredentialType.OPAQUE),
        ({"DATABASE_URL": "u"}, CredentialType.DATABASE),
        ({"access_token": "x"}, CredentialType.OPAQUE),
        ({"username": "x"}, CredentialType.OPAQUE),
    ],
)
def test_the_type_is_found_by_the_members(members: dict[str, Any], expected: CredentialType) -> None:
    assert detect_type(document(**members)) is expected


VALID: list[tuple[CredentialType, dict[str, Any]]] = [
    (CredentialType.OAUTH2, {"accessToken": "x"}),
    (CredentialType.OAUTH2, {"refreshToken": "x", "accessToken": None, "expiresAt": None}),
    (CredentialType.OAUTH2, {"accessToken": "x", "refreshToken": "", "expiresAt": NOW_MS, "extra": {"kept": 1}}),
    (CredentialType.OAUTH2, {"accessToken": "x", "expiresAt": float(NOW_MS), "scope": None}),
    (CredentialType.API_KEY, {"apiKey": "x", "createdAt": 5}),
    (CredentialType.WEBHOOK, {"webhookSecret": "x"}),
    (CredentialType.CLIENT_CREDENTIALS, {"clientId": "x", "clientSecret": "y", "tokenEndpoint": "https://x"}),
    (CredentialType.DATABASE, {"DATABASE_URL": "postgresql://u:p%40@h1:5432,h2:5432/db?a=b"}),
    (CredentialType.DATABASE, {"DATABASE_URL": "postgresql://h/d", "DIRECT_URL": "mongodb+srv://h/d"}),
    (CredentialType.DATABASE, {"DATABASE_URL": "postgresql://h/d", "DIRECT_URL": ""}),
    (CredentialType.OPAQUE, {"a": "x", "b": 5, "c": None, "d": ""}),
]


@pytest.mark.parametrize(("expected", "members"), VALID)
def test_sound_documents_pass_as_asked_and_as_found(expected: CredentialType, members: dict[str, Any]) -> None:
    assert check_type(document(**members), expected) is expected
    assert check_type(document(**members), CredentialType.AUTO) is expected


@pytest.mark.parametrize(
    ("wanted", "members", "cause"),
    [
        (CredentialType.AUTO, {"accessToken": ""}, "both missing or empty"),
        (CredentialType.AUTO, {"accessToken": None, "refreshToken": ""}, "both missing or empty"),
        (CredentialType.OAUTH2, {"apiKey": "x"}, "both missing or empty"),
        (CredentialType.AUTO, {"accessToken": 5}, 'member "accessToken" must be a string'),
        (CredentialType.AUTO, {"accessToken": "x", "refreshToken": ["y"]}, 'member "refreshToken" must be a string'),
        (CredentialType.AUTO, {"accessToken": "x", "tokenEndpoint": {}}, 'member "tokenEndpoint" must be a string'),
        (CredentialType.AUTO, {"accessToken": "x", "expiresAt": "1790000000000"}, "milliseconds since 1970"),
        (CredentialType.AUTO, {"accessToken": "x", "expiresAt": "2026-01-01T00:00:00Z"}, "milliseconds since 1970"),
        (CredentialType.AUTO, {"accessToken": "x", "expiresAt": ""}, "milliseconds since 1970"),
        (CredentialType.AUTO, {"accessToken": "x", "expiresAt": True}, "milliseconds since 1970"),
        (CredentialType.AUTO, {"accessToken": "x", "expiresAt": [NOW_MS]}, "milliseconds since 1970"),
        (CredentialType.AUTO, {"accessToken": "x", "expiresAt": NOW_MS // 1000}, "as if it were seconds"),
        (CredentialType.AUTO, {"accessToken": "x", "expiresAt": 0}, "out of range"),
        (CredentialType.AUTO, {"accessToken": "x", "expiresAt": -1}, "out of range"),
        (CredentialType.AUTO, {"accessToken": "x", "expiresAt": 10**30}, "out of range"),
        (CredentialType.AUTO, {"accessToken": "x", "expiresAt": NOW_MS + 0.5}, "out of range"),
        (CredentialType.API_KEY, {"accessToken": "x"}, 'member "apiKey" is missing'),
        (CredentialType.API_KEY, {"apiKey": ""}, 'member "apiKey" is empty'),
        (CredentialType.API_KEY, {"apiKey": None}, 'member "apiKey" is empty'),
        (CredentialType.API_KEY, {"apiKey": 5}, 'member "apiKey" must be a string'),
        (CredentialType.WEBHOOK, {"webhookSecret": False}, 'member "webhookSecret" must be a string'),
        (CredentialType.CLIENT_CREDENTIALS, {"clientId": "x"}, 'member "clientSecret" is missing'),
        (CredentialType.AUTO, {"clientId": "x", "clientSecret": "y", "scope": []}, None),
        (CredentialType.AUTO, {"clientId": "x", "clientSecret": "y", "scope": [1]}, 'member "scope" must be a string'),
        (CredentialType.DATABASE, {"DATABASE_URL": "s3cr3t"}, 'member "DATABASE_URL" must be a URL'),
        (CredentialType.DATABASE, {"DATABASE_URL": "host:5432"}, 'member "DATABASE_URL" must be a URL'),
        (CredentialType.DATABASE, {"DATABASE_URL": "a://b c"}, 'member "DATABASE_URL" must be a URL'),
        (CredentialType.DATABASE, {"DATABASE_URL": "a://b", "DIRECT_URL": 5}, 'member "DIRECT_URL" must be a string'),
        (CredentialType.DATABASE, {"DATABASE_URL": "a://b", "DIRECT_URL": "b"}, 'member "DIRECT_URL" must be a URL'),
        (CredentialType.OPAQUE, {"a": {"b": 1}}, 'member "a" is nested'),
        (CredentialType.AUTO, {"a": []}, 'member "a" is nested'),
    ],
)
def test_unsound_documents_name_the_member_and_what_is_expected(
    wanted: CredentialType, members: dict[str, Any], cause: str | None
) -> None:
    cause = cause or 'member "scope" must be a string'
    with pytest.raises(MalformedSecret) as caught:
        check_type(document(**members), wanted)
    assert cause in caught.value.cause
    assert "s3cr3t" not in caught.value.cause


@given(
    st.dictionaries(
        st.sampled_from(["accessToken", "apiKey", "expiresAt", "DATABASE_URL", "x"]), json_values(), min_size=1
    )
)
def test_any_document_has_a_type_or_is_malformed(members: dict[str, Any]) -> None:
    for wanted in CredentialType:
        try:
            resolved = check_type(parse(json.dumps(members)), wanted)
        except MalformedSecret:
            continue
        assert resolved is not CredentialType.AUTO


def test_expiry_in_milliseconds_or_unknown() -> None:
    assert expires_at_ms(document(expiresAt=NOW_MS)) == NOW_MS
    assert expires_at_ms(document(expiresAt=float(NOW_MS))) == NOW_MS
    for unknown in (None, "1790000000000", 1_790_000_000, True, NOW_MS + 0.5):
        assert expires_at_ms(document(expiresAt=unknown)) is None
    assert expires_at_ms(document(accessToken="x")) is None


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("refresh_token", '"refresh_token"'),
        ("", "(a name that cannot be shown)"),
        ("x" * 65, "(a name that cannot be shown)"),
        ('a"b', "(a name that cannot be shown)"),
        ("a\nb", "(a name that cannot be shown)"),
        ("a\n", "(a name that cannot be shown)"),
    ],
)
def test_names_in_messages_are_short_and_plain(name: str, shown: str) -> None:
    assert quoted(name) == shown


def test_json_objects_of_other_origin() -> None:
    assert is_json_object('{"auths": {}}')
    assert is_json_object("{}")
    for text in ("", "[]", "5", '{"a": NaN}', "{", "[" * 5000):
        assert not is_json_object(text)
