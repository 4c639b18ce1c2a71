"""A client proves who it is in exactly one way, encoded as its method says."""

from __future__ import annotations

import base64
from urllib.parse import unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.domain.tokenoutcome import Accepted, DoubtCause, InDoubt, Outcome, Rejected, Rejection, Tokens
from tolstoy_operator.oauth.assertions import Algorithm, SigningKey
from tolstoy_operator.oauth.clientauth import (
    AuthMethod,
    OAuthClient,
    Proof,
    UnusableClient,
    next_authentication,
    prove,
)

URL = "https://idp.example/token"
NOW = 1_790_000_000.0
SECRET = "s3cr:et/+ %41&=ü"
REFUSED = Rejected(Rejection.CLIENT_MISCONFIGURED, "invalid_client", 401)


def make(method: AuthMethod, secret: str | None = SECRET, client_id: str = "client:1") -> OAuthClient:
    return OAuthClient(client_id=client_id, method=method, secret=None if secret is None else SecretValue(secret))


def basic(proof: Proof) -> str:
    assert proof.authorization is not None
    assert not proof.fields
    return base64.b64decode(proof.authorization.reveal().removeprefix("Basic ")).decode()


def test_basic_is_form_encoded_as_the_standard_says() -> None:
    assert basic(prove(make(AuthMethod.BASIC), URL, NOW)) == "client%3A1:s3cr%3Aet%2F%2B+%2541%26%3D%C3%BC"


def test_raw_basic_is_not() -> None:
    assert basic(prove(make(AuthMethod.BASIC_RAW), URL, NOW)) == f"client:1:{SECRET}"


@given(client_id=st.text(min_size=1), secret=st.text())
def test_encoded_basic_can_be_taken_apart_again(client_id: str, secret: str) -> None:
    try:
        pair = basic(prove(make(AuthMethod.BASIC, secret, client_id), URL, NOW))
    except UnusableClient:
        assert any(0xD800 <= ord(letter) <= 0xDFFF for letter in client_id + secret)
        return
    first, second = pair.split(":")
    assert (unquote_plus(first), unquote_plus(second)) == (client_id, secret)


def test_an_empty_secret_is_one() -> None:
    assert basic(prove(make(AuthMethod.BASIC, ""), URL, NOW)) == "client%3A1:"


def test_post_and_none_go_into_the_body() -> None:
    post = prove(make(AuthMethod.POST), URL, NOW)
    public = prove(make(AuthMethod.NONE, None), URL, NOW)

    assert post.authorization is None
    assert {name: value.reveal() for name, value in post.fields.items()} == {
        "client_id": "client:1",
        "client_secret": SECRET,
    }
    assert {name: value.reveal() for name, value in public.fields.items()} == {"client_id": "client:1"}


@pytest.mark.parametrize(("audience", "expected"), [(None, URL), ("https://idp", "https://idp")])
def test_whom_an_assertion_is_addressed_to(audience: str | None, expected: str) -> None:
    from joserfc import jwt

    key = ECKey.generate_key("P-256")
    client = OAuthClient(
        client_id="c",
        method=AuthMethod.PRIVATE_KEY_JWT,
        key=SigningKey(private_key=SecretValue(key.as_pem(private=True).decode()), algorithm=Algorithm.ES256),
        audience=audience,
    )

    proof = prove(client, URL, NOW)

    claims = jwt.decode(proof.fields["client_assertion"].reveal(), key, algorithms=["ES256"]).claims
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("c", "c", expected)
    assert proof.fields["client_assertion_type"].reveal().endswith(":jwt-bearer")


@pytest.mark.parametrize(
    "client",
    [
        make(AuthMethod.BASIC, None),
        make(AuthMethod.POST, None),
        make(AuthMethod.BASIC, "\ud800"),
        OAuthClient(client_id="c", method=AuthMethod.PRIVATE_KEY_JWT),
    ],
)
def test_what_is_missing_is_said(client: OAuthClient) -> None:
    with pytest.raises(UnusableClient):
        prove(client, URL, NOW)


def test_the_other_encoding_is_tried_when_the_client_is_refused() -> None:
    assert next_authentication(make(AuthMethod.BASIC), REFUSED) is AuthMethod.BASIC_RAW
    assert next_authentication(make(AuthMethod.BASIC_RAW), REFUSED) is AuthMethod.BASIC


@pytest.mark.parametrize(
    "outcome",
    [
        Rejected(Rejection.REAUTHORIZE, "invalid_grant", 400),
        Rejected(Rejection.CLIENT_MISCONFIGURED, "unauthorized_client", 400),
        InDoubt(DoubtCause.TIMEOUT, 401),
        Accepted(Tokens(SecretValue("at"))),
    ],
)
def test_no_other_outcome_is_a_reason_to_send_again(outcome: Outcome) -> None:
    assert next_authentication(make(AuthMethod.BASIC), outcome) is None


def test_no_other_method_has_another_encoding() -> None:
    for method in (AuthMethod.POST, AuthMethod.PRIVATE_KEY_JWT, AuthMethod.NONE):
        assert next_authentication(make(method), REFUSED) is None


def test_encodings_that_agree_are_not_tried_twice() -> None:
    assert next_authentication(make(AuthMethod.BASIC, "plain-0123_~.", "client-1"), REFUSED) is None
