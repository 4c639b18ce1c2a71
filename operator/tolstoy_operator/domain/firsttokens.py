"""First tokens as a consent application hands them over: a Secret whose keys are the members of an OAuth document."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from tolstoy_operator.domain.documents import Document, MalformedSecret, quoted
from tolstoy_operator.domain.oauthdocument import epoch_seconds
from tolstoy_operator.domain.secretvalue import SecretValue

_TEXTS: Final = ("accessToken", "refreshToken", "scope", "tokenType", "clientId", "clientSecret", "tokenEndpoint")
_EXPIRY: Final = "expiresAt"
_ISSUED: Final = "lastUpdated"


class FirstTokens:
    """What was handed over. `issued_at`: when the consent was given, as the Secret says (None: it does not)."""

    __slots__ = ("expires_at_ms", "issued_at", "texts")

    def __init__(self, texts: Mapping[str, SecretValue], expires_at_ms: int | None, issued_at: datetime | None) -> None:
        self.texts = texts
        self.expires_at_ms = expires_at_ms
        self.issued_at = issued_at


def read_first_tokens(data: Mapping[str, bytes]) -> FirstTokens:
    """Read the data of a Secret. Raises `MalformedSecret` that names the key, never a value."""
    unknown = sorted(data.keys() - {*_TEXTS, _EXPIRY, _ISSUED})
    if unknown:
        raise MalformedSecret(f"key {quoted(unknown[0])} is no member of an OAuth document")
    texts = {key: SecretValue(_text(key, data[key])) for key in _TEXTS if data.get(key)}
    if not texts.keys() & {"accessToken", "refreshToken"}:
        raise MalformedSecret('there is neither "accessToken" nor "refreshToken"')
    return FirstTokens(texts, _milliseconds(data), _moment(data))


def first_tokens_of(document: Document) -> dict[str, SecretValue]:
    """The members of an OAuth document as the texts of such a Secret; what is blank is left out.

    Raises `MalformedSecret` where the operator would, when it reads that Secret.
    """
    texts = {}
    for key in document:
        if document.is_blank(key):
            continue
        if not (document.is_text(key) or (key == _EXPIRY and document.get_number(key) is not None)):
            raise MalformedSecret(f"member {quoted(key)} is not text")
        texts[key] = document.text(key)
    read_first_tokens({key: text.reveal().encode() for key, text in texts.items()})
    return texts


def source_label(secret: str) -> str:
    """How a message names the Secret in which something cannot be read."""
    return f"Secret {secret} of initialTokensFrom"


def _text(key: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise MalformedSecret(f"key {quoted(key)} is not text") from None


def _milliseconds(data: Mapping[str, bytes]) -> int | None:
    if not data.get(_EXPIRY):
        return None
    digits = data[_EXPIRY]
    if not digits.isdigit() or len(digits) > 15:
        raise MalformedSecret(f'key "{_EXPIRY}" is not a time in epoch milliseconds')
    return int(digits)


def _moment(data: Mapping[str, bytes]) -> datetime | None:
    if not data.get(_ISSUED):
        return None
    text = _text(_ISSUED, data[_ISSUED])
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise MalformedSecret(f'key "{_ISSUED}" is not a time in ISO 8601') from None
    if moment.tzinfo is None:
        raise MalformedSecret(f'key "{_ISSUED}" lacks a time zone')
    if epoch_seconds(text) is None:
        raise MalformedSecret(f'key "{_ISSUED}" is no time of these millennia')
    return moment
