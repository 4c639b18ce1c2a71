"""One real authorization server for the tests of this directory, with clients of every authentication method."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey

from dev.oauth.server import CLIENTS, OAuthServer
from tolstoy_operator.domain.endpointpolicy import EndpointPolicy
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.oauth.assertions import Algorithm, SigningKey
from tolstoy_operator.oauth.client import TokenClient
from tolstoy_operator.oauth.proxies import Proxies
from tolstoy_operator.oauth.transport import Transport


@pytest.fixture(scope="session")
def keys() -> dict[Algorithm, SigningKey]:
    made: dict[Algorithm, RSAKey | ECKey | OKPKey] = {
        Algorithm.RS256: RSAKey.generate_key(2048),
        Algorithm.PS256: RSAKey.generate_key(2048),
        Algorithm.ES256: ECKey.generate_key("P-256"),
        Algorithm.EDDSA: OKPKey.generate_key("Ed25519"),
    }
    return {
        algorithm: SigningKey(
            private_key=SecretValue(key.as_pem(private=True).decode()), algorithm=algorithm, key_id=algorithm.value
        )
        for algorithm, key in made.items()
    }


def _signing_clients(keys: dict[Algorithm, SigningKey]) -> Iterator[dict[str, object]]:
    types: dict[Algorithm, type[RSAKey | ECKey | OKPKey]] = {Algorithm.ES256: ECKey, Algorithm.EDDSA: OKPKey}
    for algorithm, key in keys.items():
        loaded = types.get(algorithm, RSAKey).import_key(key.private_key.reveal())
        public = {**loaded.as_dict(private=False), "kid": algorithm.value, "use": "sig", "alg": algorithm.value}
        yield {
            "client_id": f"jwt-{algorithm.value}",
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": algorithm.value,
            "jwks": json.loads(json.dumps({"keys": [public]})),
        }


@pytest.fixture(scope="session")
def server(keys: dict[Algorithm, SigningKey]) -> Iterator[OAuthServer]:
    with OAuthServer(clients=[*CLIENTS, *_signing_clients(keys)]) as running:
        yield running


@pytest.fixture
def client() -> TokenClient:
    return TokenClient(Transport(proxies=Proxies(), deadline=20))


def policy_for(url: str) -> EndpointPolicy:
    return EndpointPolicy(origins=frozenset({url}))
