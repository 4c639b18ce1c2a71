"""Which members a workload gets by default, and which only with a grant.

Whoever holds a refresh token, a client secret or a private key can act as the application itself, long after the
workload is gone. Such members are known by their names, in any spelling and at any depth, whatever the type of the
document: a type can be claimed, a name that an application reads cannot.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from tolstoy_operator.api.v1 import CredentialType
from tolstoy_operator.domain.documents import Document

SENSITIVE_NAMES: Final = (
    "refreshToken",
    "clientSecret",
    "privateKey",
    "signingKey",
    "sshKey",
    "tls.key",
    "registrationAccessToken",
)
"""A member is sensitive when its name contains one of these, letters and digits compared only."""

HARMLESS_ENDINGS: Final = ("Id", "ExpiresAt", "ExpiresIn", "Type")
"""What may follow a sensitive name to the end and make it harmless again: `private_key_id` tells no key."""

DEFAULT_KEYS: Final[Mapping[CredentialType, tuple[str, ...]]] = {
    CredentialType.OAUTH2: ("accessToken", "expiresAt", "tokenType", "scope"),
    CredentialType.API_KEY: ("apiKey",),
    CredentialType.WEBHOOK: ("webhookSecret",),
    CredentialType.CLIENT_CREDENTIALS: ("clientId",),
    CredentialType.DATABASE: ("DATABASE_URL", "DIRECT_URL"),
}
"""The members that a typed document gives by default, the indispensable one first. Opaque gives all safe ones."""


def _plain(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(character for character in folded if character.isalnum())


_SENSITIVE: Final = tuple(_plain(name) for name in SENSITIVE_NAMES)
_HARMLESS: Final = frozenset(_plain(ending) for ending in HARMLESS_ENDINGS)


@lru_cache(maxsize=1024)  # thousands of documents have the same few names
def is_sensitive_name(name: str) -> bool:
    """Whether a name alone makes a member sensitive."""
    plain = _plain(name)
    return any(fragment in plain and plain.rpartition(fragment)[2] not in _HARMLESS for fragment in _SENSITIVE)


def is_sensitive(document: Document, key: str) -> bool:
    """Whether a member is sensitive by its own name or by one nested in it. Absent members go by their name."""
    return any(is_sensitive_name(name) for name in document.names_within(key))


def default_keys(document: Document, credential_type: CredentialType) -> tuple[str, ...]:
    """The members that a document gives unasked: none of them sensitive, and of a typed one none that is blank."""
    if credential_type is CredentialType.OPAQUE:
        wanted = tuple(document)
    else:
        wanted = tuple(key for key in DEFAULT_KEYS[credential_type] if _is_given(document, key))
    return tuple(key for key in wanted if not is_sensitive(document, key))


def _is_given(document: Document, key: str) -> bool:
    return not document.is_blank(key) and not document.is_nested(key)
