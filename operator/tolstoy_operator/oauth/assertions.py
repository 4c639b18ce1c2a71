"""Signed statements instead of shared secrets: client assertions, JWT bearer grants, app tokens.

`iat` is set back so that a provider whose clock is behind ours doesn't refuse a statement "from the future", and the
lifetime is short because nobody should be able to use a stolen one for long.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tolstoy_operator.domain.secretvalue import SecretValue

BACKDATED = 30
"""Seconds that `iat` lies in the past."""
LIFETIME = 180
"""Seconds that a statement is valid from now."""


class Algorithm(StrEnum):
    """Signatures that token endpoints take."""

    RS256 = "RS256"
    PS256 = "PS256"
    ES256 = "ES256"
    EDDSA = "EdDSA"


class UnusableKey(Exception):
    """The private key cannot be read or doesn't fit the algorithm. The text holds nothing of the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A private key, as PEM or as a JWK in JSON. `key_id` and `thumbprint` (x5t#S256) go into the header if set."""

    private_key: SecretValue
    algorithm: Algorithm = Algorithm.RS256
    key_id: str | None = None
    thumbprint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Who says what to whom. `claims` are added to the registered ones; `lifetime` in seconds from now."""

    issuer: str
    subject: str | None
    audience: str | None
    lifetime: int = LIFETIME
    claims: Mapping[str, str] = field(default_factory=dict)


def sign(statement: Statement, key: SigningKey, now: float) -> SecretValue:
    """A signed JWT. `now`: Unix seconds on the provider's clock as far as known. Raises `UnusableKey`."""
    header: dict[str, Any] = {"alg": key.algorithm.value, "typ": "JWT"}
    if key.key_id is not None:
        header["kid"] = key.key_id
    if key.thumbprint is not None:
        header["x5t#S256"] = key.thumbprint
    claims: dict[str, Any] = {
        **statement.claims,
        "iss": statement.issuer,
        "iat": int(now) - BACKDATED,
        "exp": int(now) + statement.lifetime,
        "jti": str(uuid.uuid4()),
    }
    if statement.subject is not None:
        claims["sub"] = statement.subject
    if statement.audience is not None:
        claims["aud"] = statement.audience
    # Ten megabytes, which only those need whose clients have a key.
    from tolstoy_operator.oauth.jose import encode

    return encode(header, claims, key.private_key, key.algorithm)
