"""Upstream documents: from stored text to members of a known shape, without ever raising anything unforeseen.

A stored secret is input from outside. Reading it is total and bounded: every text either becomes a `Document` or a
`MalformedSecret` whose cause can be shown to anybody. Causes name members and positions, never values, and the
original text hangs on no exception.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, KeysView, Mapping
from typing import Any, Final

from tolstoy_operator.api.v1 import CredentialType
from tolstoy_operator.domain.nesting import MAX_DEPTH, is_too_deep
from tolstoy_operator.domain.oauthdocument import is_tombstone
from tolstoy_operator.domain.secretvalue import MASK, SecretValue

MAX_BYTES: Final = 65_536
"""The largest value that Secrets Manager holds, and the largest text that is parsed."""
MAX_DIGITS: Final = 1000
"""Of an integer: far beyond any identifier, far below what the interpreter refuses to read."""

_EARLIEST_MS: Final = (
    100_000_000_000  # March 1973; as seconds it lies 3,000 years ahead, so the units cannot be confused
)
_LATEST_MS: Final = 100_000_000_000_000  # the year 5138

_WAYS_TO_A_TOKEN: Final = (
    ("accessToken",),
    ("refreshToken",),
    ("clientId", "clientSecret"),
    ("privateKey",),
    ("private_key",),
)
"""Members of an OAuth document that hold an access token or lead to one, one line each."""
_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9_.:@/-]{1,64}")
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")


class MalformedSecret(Exception):
    """A stored secret is not what it should be. `cause` names members and positions, never a value."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


def quoted(name: str) -> str:
    """A member's name for a message: in quotes when short and plain, else only that it is not."""
    return f'"{name}"' if _SAFE_NAME.fullmatch(name) else "(a name that cannot be shown)"


class Document:
    """The members of a JSON object, immutable. Printing it shows no member."""

    __slots__ = ("_members",)

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._members = dict(members)

    def __repr__(self) -> str:
        return f"Document({MASK})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Document):
            return NotImplemented
        return self.encode() == other.encode()

    __hash__ = None  # type: ignore[assignment]  # as for SecretValue

    def __contains__(self, key: object) -> bool:
        return key in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def keys(self) -> KeysView[str]:
        """The members' names, in the order of the text."""
        return self._members.keys()

    def text(self, key: str) -> SecretValue:
        """A member as text: strings as they are, everything else as compact JSON. Raises `KeyError`."""
        member = self._members[key]
        return SecretValue(member if isinstance(member, str) else _compact(member))

    def get_str(self, key: str) -> SecretValue | None:
        """A member that is a non-empty string, else None."""
        member = self._members.get(key)
        return SecretValue(member) if isinstance(member, str) and member else None

    def get_number(self, key: str) -> int | float | None:
        """A member that is a number, else None."""
        member = self._members.get(key)
        return member if isinstance(member, int | float) and not isinstance(member, bool) else None

    def is_blank(self, key: str) -> bool:
        """Whether a member is absent, null or an empty string."""
        return self._members.get(key) in (None, "")

    def is_text(self, key: str) -> bool:
        """Whether a member is a string, empty ones included."""
        return isinstance(self._members.get(key), str)

    def is_nested(self, key: str) -> bool:
        """Whether a member is an object or a list."""
        return isinstance(self._members.get(key), dict | list)

    @property
    def revoked(self) -> bool:
        """Whether this is what a revocation left of an OAuth document."""
        return is_tombstone(self._members)

    def names_within(self, key: str) -> Iterator[str]:
        """A member's own name and the names of all members nested in it."""
        yield key
        pending = [self._members.get(key)]
        while pending:
            value = pending.pop()
            if isinstance(value, dict):
                yield from value
                pending.extend(value.values())
            elif isinstance(value, list):
                pending.extend(value)

    def with_members(self, changes: Mapping[str, str | int]) -> Document:
        """The same document with some members set; all others are kept as they are."""
        return Document({**self._members, **changes})

    def without(self, *keys: str) -> Document:
        """The same document with some members gone."""
        return Document({key: member for key, member in self._members.items() if key not in keys})

    def encode(self) -> SecretValue:
        """The document as the JSON text to store."""
        return SecretValue(_compact(self._members))


def parse_document(value: SecretValue | None) -> Document:
    """Read a stored value; None means that the secret is binary. Raises `MalformedSecret`."""
    if value is None:
        raise MalformedSecret("the secret is binary, not a JSON object")
    text = value.reveal()
    _check_text(text)
    parsed = _load(text)
    if not isinstance(parsed, dict):
        raise MalformedSecret(f"the secret is a JSON {_kind(parsed)}, not an object")
    if not parsed:
        raise MalformedSecret("the secret is a JSON object without members")
    if not _encodable(_compact(parsed)):
        raise MalformedSecret("the secret holds half of a surrogate pair, which is no text")
    return Document(parsed)


def is_json_object(text: str) -> bool:
    """Whether a text of any origin is a JSON object that a strict reader takes."""
    try:
        return isinstance(_load(text), dict)
    except MalformedSecret:
        return False


def detect_type(document: Document) -> CredentialType:
    """What a document is, by the names of its members. The first shape that fits counts."""
    if "accessToken" in document or "refreshToken" in document:
        return CredentialType.OAUTH2
    if "apiKey" in document:
        return CredentialType.API_KEY
    if "webhookSecret" in document:
        return CredentialType.WEBHOOK
    if "clientId" in document and "clientSecret" in document:
        return CredentialType.CLIENT_CREDENTIALS
    if "DATABASE_URL" in document:
        return CredentialType.DATABASE
    return CredentialType.OPAQUE


def check_type(document: Document, wanted: CredentialType) -> CredentialType:
    """Check a document against a shape and return the shape; `Auto` is resolved. Raises `MalformedSecret`."""
    resolved = detect_type(document) if wanted is CredentialType.AUTO else wanted
    _CHECKS[resolved](document)
    return resolved


def expires_at_ms(document: Document) -> int | None:
    """When the access token ends, in epoch milliseconds. None when the document does not say."""
    number = document.get_number("expiresAt")
    return int(number) if number is not None and _plausible(number) else None


def _check_text(text: str) -> None:
    if not text.strip():
        raise MalformedSecret("the secret is empty")
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise MalformedSecret("the secret is larger than 64 KiB")
    if not _encodable(text):
        raise MalformedSecret("the secret is not valid UTF-8")


def _load(text: str) -> Any:
    """Strict JSON. Errors are raised outside the handlers: a JSON error carries the whole text."""
    if is_too_deep(text):
        raise MalformedSecret(f"the secret nests deeper than {MAX_DEPTH} levels")
    try:
        return json.loads(
            text, object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=_float, parse_int=_int
        )
    except json.JSONDecodeError as error:
        cause = f"the secret is not JSON: line {error.lineno}, column {error.colno}"
    except MalformedSecret as error:
        cause = error.cause
    raise MalformedSecret(cause)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise MalformedSecret(f"member {quoted(name)} occurs twice")
        members[name] = value
    return members


def _refuse_constant(_: str) -> None:
    raise MalformedSecret("the secret holds NaN or Infinity, which JSON does not have")


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise MalformedSecret("the secret holds a number that is too large")
    return number


def _int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise MalformedSecret("the secret holds a number that is too large")
    return int(digits)


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kind(value: object) -> str:
    if value is None:
        return "null"
    return {bool: "boolean", str: "string", list: "list"}.get(type(value), "number")


def _require(document: Document, *members: str) -> None:
    for member in members:
        if member not in document:
            raise MalformedSecret(f'member "{member}" is missing')
        if document.is_blank(member):
            raise MalformedSecret(f'member "{member}" is empty')
    _expect_text(document, *members)


def _expect_text(document: Document, *members: str) -> None:
    for member in members:
        if not document.is_blank(member) and not document.is_text(member):
            raise MalformedSecret(f'member "{member}" must be a string')


def _check_oauth(document: Document) -> None:
    _expect_text(document, "accessToken", "refreshToken", "scope", "tokenType")
    _expect_text(document, "clientId", "clientSecret", "tokenEndpoint")
    _expect_text(document, "privateKey", "private_key")
    if not any(all(not document.is_blank(member) for member in way) for way in _WAYS_TO_A_TOKEN):
        raise MalformedSecret('members "accessToken" and "refreshToken" are both missing or empty')
    _check_expiry(document)


def _check_expiry(document: Document) -> None:
    if document.is_blank("expiresAt") and not document.is_text("expiresAt"):
        return
    expected = 'member "expiresAt" must be a number, the milliseconds since 1970'
    number = document.get_number("expiresAt")
    if number is None:
        raise MalformedSecret(expected)
    if 0 < number < _EARLIEST_MS:
        raise MalformedSecret(f"{expected}; this one is too small, as if it were seconds")
    if not _plausible(number):
        raise MalformedSecret(f"{expected}; this one is out of range")


def _plausible(number: float) -> bool:
    return _EARLIEST_MS <= number <= _LATEST_MS and number == int(number)


def _check_client_credentials(document: Document) -> None:
    _require(document, "clientId", "clientSecret")
    _expect_text(document, "tokenEndpoint", "scope")


def _check_database(document: Document) -> None:
    _require(document, "DATABASE_URL")
    _expect_text(document, "DIRECT_URL")
    for member in ("DATABASE_URL", "DIRECT_URL"):
        url = document.get_str(member)
        if url is not None and not _URL.fullmatch(url.reveal()):
            raise MalformedSecret(f'member "{member}" must be a URL')


def _check_opaque(document: Document) -> None:
    for key in document:
        if document.is_nested(key):
            raise MalformedSecret(f"member {quoted(key)} is nested; an opaque secret is a flat JSON object")


_CHECKS: Final[Mapping[CredentialType, Callable[[Document], None]]] = {
    CredentialType.OAUTH2: _check_oauth,
    CredentialType.API_KEY: lambda document: _require(document, "apiKey"),
    CredentialType.WEBHOOK: lambda document: _require(document, "webhookSecret"),
    CredentialType.CLIENT_CREDENTIALS: _check_client_credentials,
    CredentialType.DATABASE: _check_database,
    CredentialType.OPAQUE: _check_opaque,
}
