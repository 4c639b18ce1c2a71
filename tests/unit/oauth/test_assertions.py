"""Signed statements say what they should, for a short time, and a key that cannot sign is no crash."""

from __future__ import annotations

import json
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.oauth.assertions import Algorithm, SigningKey, Statement, UnusableKey, sign

NOW = 1_790_000_000.0
RSA = RSAKey.generate_key(2048)
KEYS: dict[Algorithm, RSAKey | ECKey | OKPKey] = {
    Algorithm.RS256: RSA,
    Algorithm.PS256: RSA,
    Algorithm.ES256: ECKey.generate_key("P-256"),
    Algorithm.EDDSA: OKPKey.generate_key("Ed25519"),
}
STATEMENT = Statement(issuer="client-1", subject="client-1", audience="https://idp.example/token")


def pem(algorithm: Algorithm) -> SecretValue:
    return SecretValue(KEYS[algorithm].as_pem(private=True).decode())


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_every_algorithm(algorithm: Algorithm) -> None:
    text = sign(STATEMENT, SigningKey(private_key=pem(algorithm), algorithm=algorithm, key_id="k1"), NOW).reveal()

    token = jwt.decode(text, KEYS[algorithm], algorithms=[algorithm.value])
    assert token.header == {"alg": algorithm.value, "typ": "JWT", "kid": "k1"}
    jti = token.claims.pop("jti")
    assert len(jti) >= 16
    assert token.claims == {
        "iss": "client-1",
        "sub": "client-1",
        "aud": "https://idp.example/token",
        "iat": NOW - 30,
        "exp": NOW + 180,
    }


def test_a_jwk_in_json_and_a_thumbprint() -> None:
    text = json.dumps(KEYS[Algorithm.PS256].as_dict(private=True))
    key = SigningKey(private_key=SecretValue(text), algorithm=Algorithm.PS256, thumbprint="abc")

    token = jwt.decode(sign(STATEMENT, key, NOW).reveal(), KEYS[Algorithm.PS256], algorithms=["PS256"])

    assert token.header["x5t#S256"] == "abc"
    assert "kid" not in token.header


def test_no_statement_comes_twice() -> None:
    key = SigningKey(private_key=pem(Algorithm.ES256), algorithm=Algorithm.ES256)

    assert sign(STATEMENT, key, NOW) != sign(STATEMENT, key, NOW)


def test_google_and_github_shapes() -> None:
    key = SigningKey(private_key=pem(Algorithm.RS256))
    google = Statement(issuer="sa@x", subject=None, audience="a", lifetime=3600, claims={"scope": "s", "iss": "other"})
    github = Statement(issuer="123", subject=None, audience=None, lifetime=300)

    claims = [_claims(sign(statement, key, NOW)) for statement in (google, github)]

    assert claims[0] == {"iss": "sa@x", "aud": "a", "scope": "s", "iat": NOW - 30, "exp": NOW + 3600}
    assert claims[1] == {"iss": "123", "iat": NOW - 30, "exp": NOW + 300}


def _claims(text: SecretValue) -> dict[str, Any]:
    claims = jwt.decode(text.reveal(), KEYS[Algorithm.RS256], algorithms=["RS256"]).claims
    claims.pop("jti")
    return claims


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hunter2",
        "{",
        "{}",
        '{"kty":"RSA"}',
        "[" * 100_000,
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        KEYS[Algorithm.ES256].as_pem(private=True).decode(),
        KEYS[Algorithm.RS256].as_pem(private=False).decode(),
    ],
    ids=range(9),
)
def test_a_key_that_cannot_sign(text: str) -> None:
    with pytest.raises(UnusableKey) as caught:
        sign(STATEMENT, SigningKey(private_key=SecretValue(text)), NOW)

    assert caught.value.__cause__ is None
    assert "hunter2" not in str(caught.value)


def test_a_curve_that_does_not_fit() -> None:
    other = SecretValue(ECKey.generate_key("P-384").as_pem(private=True).decode())

    with pytest.raises(UnusableKey):
        sign(STATEMENT, SigningKey(private_key=other, algorithm=Algorithm.ES256), NOW)
