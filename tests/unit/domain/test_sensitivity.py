"""Sensitive members and default keys, and the documentation's tables of both."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given

from tests.support.documents import documents
from tolstoy_operator.api.v1 import CredentialType
from tolstoy_operator.domain.documents import Document, detect_type
from tolstoy_operator.domain.sensitivity import (
    DEFAULT_KEYS,
    HARMLESS_ENDINGS,
    SENSITIVE_NAMES,
    default_keys,
    is_sensitive,
    is_sensitive_name,
)

PAGE = Path(__file__).parents[3] / "docs" / "credential-types.md"


@pytest.mark.parametrize(
    "name",
    [
        "refreshToken",
        "refresh_token",
        "REFRESH_TOKEN",
        "refresh-token",
        "refresh token",
        "RefreshToken",
        "oauthRefreshToken",
        "refreshTokenOld",
        "\uff52efresh_token",
        "clientSecret",
        "client_secret",
        "GITHUB_CLIENT_SECRET",
        "privateKey",
        "private_key",
        "ssh-privatekey",
        "private_key_pem",
        "PRIVATE.KEY",
        "tls.key",
        "signing_key",
        "sshKey",
        "registration_access_token",
    ],
)
def test_sensitive_names_in_any_spelling(name: str) -> None:
    assert is_sensitive_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "accessToken",
        "access_token",
        "apiKey",
        "webhookSecret",
        "DATABASE_URL",
        "clientId",
        "client_id",
        "token",
        "secret",
        "private_key_id",
        "refreshTokenExpiresAt",
        "refresh_token_expires_in",
        "client_secret_expires_at",
        "refresh_token_type",
        "",
        "...",
    ],
)
def test_other_names_are_not_sensitive(name: str) -> None:
    assert not is_sensitive_name(name)


def test_a_harmless_ending_counts_at_the_very_end_only() -> None:
    assert is_sensitive_name("refreshTokenIdentity")
    assert is_sensitive_name("private_key_id_private_key")
    assert is_sensitive_name("refreshTokenTypeClientSecret")


def test_what_a_member_nests_counts_for_it() -> None:
    document = Document({"raw": {"deep": [{"refresh_token": "x"}]}, "safe": {"deep": [{"name": "x"}]}})
    assert is_sensitive(document, "raw")
    assert not is_sensitive(document, "safe")
    assert is_sensitive(document, "absentClientSecret")


def test_typed_documents_give_their_safe_members_that_hold_something() -> None:
    document = Document(
        {"accessToken": "x", "refreshToken": "y", "clientSecret": "z", "scope": "", "tokenType": None, "custom": 1}
    )
    assert default_keys(document, CredentialType.OAUTH2) == ("accessToken",)
    assert default_keys(Document({"clientId": "x", "clientSecret": "y"}), CredentialType.CLIENT_CREDENTIALS) == (
        "clientId",
    )
    assert default_keys(Document({"apiKey": {"nested": 1}}), CredentialType.API_KEY) == ()


def test_opaque_documents_give_all_members_but_sensitive_ones() -> None:
    document = Document({"user": "x", "empty": "", "private_key": "y"})
    assert default_keys(document, CredentialType.OPAQUE) == ("user", "empty")


@given(documents())
def test_no_default_is_sensitive_or_absent(members: dict[str, object]) -> None:
    document = Document(members)
    for key in default_keys(document, detect_type(document)):
        assert key in document
        assert not is_sensitive(document, key)


def test_every_type_but_auto_and_opaque_has_defaults_and_none_is_sensitive() -> None:
    assert set(DEFAULT_KEYS) == set(CredentialType) - {CredentialType.AUTO, CredentialType.OPAQUE}
    assert not [key for keys in DEFAULT_KEYS.values() for key in keys if is_sensitive_name(key)]


def _code(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", text))


def test_the_documented_defaults_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \| ([^|]*) \|", PAGE.read_text(), re.MULTILINE)
    documented = {name: _code(cell) for name, cell in rows}
    expected: dict[str, tuple[str, ...]] = {str(name): keys for name, keys in DEFAULT_KEYS.items()}
    assert documented == {**expected, "Opaque": ()}


def test_the_documented_sensitive_names_are_those_of_the_code() -> None:
    lines = PAGE.read_text().splitlines()
    (contains,) = (line for line in lines if line.startswith("Names that make a member sensitive:"))
    (endings,) = (line for line in lines if line.startswith("Endings that make it harmless again:"))
    assert _code(contains) == SENSITIVE_NAMES
    assert _code(endings) == HARMLESS_ENDINGS


def test_the_documented_examples_are_of_the_type_they_stand_for() -> None:
    examples = re.findall(r"^`(\w+)`:\n+```json\n(.*?)\n```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert [name for name, _ in examples] == [*map(str, DEFAULT_KEYS), "Opaque"]
    for name, text in examples:
        assert detect_type(Document(json.loads(text))) == name
