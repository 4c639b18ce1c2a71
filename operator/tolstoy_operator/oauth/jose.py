"""Signing with joserfc, apart from the rest because it is large and few installations need it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.oauth.assertions import Algorithm, UnusableKey

_KEY_TYPES: Mapping[Algorithm, type[RSAKey] | type[ECKey] | type[OKPKey]] = {
    Algorithm.RS256: RSAKey,
    Algorithm.PS256: RSAKey,
    Algorithm.ES256: ECKey,
    Algorithm.EDDSA: OKPKey,
}


def encode(
    header: dict[str, Any], claims: dict[str, Any], private_key: SecretValue, algorithm: Algorithm
) -> SecretValue:
    """A signed JWT. `private_key`: PEM, or a JWK in JSON. Raises `UnusableKey`."""
    loaded = _load(private_key, algorithm)
    try:
        with warnings.catch_warnings():
            # RFC 9864 renames "EdDSA", which is the name that the authorization servers of today know.
            warnings.simplefilter("ignore", SecurityWarning)
            return SecretValue(jwt.encode(header, claims, loaded, algorithms=[algorithm.value]))
    except (JoseError, ValueError, TypeError):
        raise UnusableKey(f"the private key cannot sign with {algorithm}") from None


def _load(private_key: SecretValue, algorithm: Algorithm) -> Key:
    text = private_key.reveal().strip()
    try:
        loaded = _KEY_TYPES[algorithm].import_key(json.loads(text) if text.startswith("{") else text)
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        raise UnusableKey(f"the private key is no PEM or JWK for {algorithm}") from None
    if not loaded.is_private:
        raise UnusableKey("the key is a public key, a private key is needed")
    return loaded
