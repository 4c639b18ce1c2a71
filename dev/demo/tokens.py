"""The chapters about OAuth: short-lived tokens refreshed live, a response that gets lost, a token that is used twice.

The authorization server is a real one, and strict: it takes each refresh token once, and ends the whole grant when it
sees one twice. So it also is the one to ask how often it was asked.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

from dev.demo.narrator import Narrator
from dev.oauth.proxy import Action, ProxyProcess
from dev.oauth.server import CLIENT_SECRET, Grant, OAuthServer
from dev.testbed import Testbed

LIFETIME: Final = 20
"""Seconds that an access token lives. Real ones live an hour; nobody wants to watch that."""
_MANIFEST = Path(__file__).with_name("manifests") / "agents.yaml"
_NAMESPACE = "agents"
_ROUNDS = 2


@dataclass(frozen=True)
class Provider:
    """The authorization server, and the network in front of it that loses things when told to."""

    server: OAuthServer
    proxy: ProxyProcess

    def settings(self) -> dict[str, str]:
        """What the operator must be told: where tokens may go, and to be quicker than anybody would be."""
        return {
            "TOKEN_ENDPOINT_ORIGINS": f"{self.server.url},{self.proxy.url}",
            "EXCLUSIVE_REFRESH": "true",
            "CLUSTER_ID": "demo",
            "REFRESH_TIME_SCALE": "0.05",
        }


@contextlib.contextmanager
def provider() -> Iterator[Provider]:
    """Start it. Raises `StartError` when there is no Node.js."""
    with OAuthServer(access_token_ttl=LIFETIME) as server, ProxyProcess(server.url) as proxy:
        yield Provider(server, proxy)


def seed(testbed: Testbed) -> None:
    """The platform team binds the namespace to both organisations."""
    testbed.bind(_NAMESPACE, allowed_orgs="org-lively,org-unlucky,org-copied")


def tell(testbed: Testbed, say: Narrator, provider: Provider) -> None:
    """Tell these chapters. Raises `AssertionError` where they do not hold."""
    lively = _consent(testbed, provider, "org-lively", provider.server.url, lived=0)
    unlucky = _consent(testbed, provider, "org-unlucky", provider.proxy.url, lived=LIFETIME - 3)
    copied = _consent(testbed, provider, "org-copied", provider.server.url, lived=LIFETIME - 3)
    provider.proxy.add(Action.DROP)
    taken = _use(provider, copied.refresh_token)
    _live(testbed, say, provider, lively)
    _lost(testbed, say, provider, unlucky)
    _used_twice(testbed, say, provider, taken)


def _live(testbed: Testbed, say: Narrator, provider: Provider, grant: Grant) -> None:
    say.chapter(
        f"8. Access tokens that live {LIFETIME} seconds, refreshed live",
        "Three organisations have given their consent to a provider that takes every refresh token once.",
    )
    say.kubectl("apply", "-f", str(_MANIFEST.relative_to(Path.cwd())))
    say.check("the first token is mirrored", lambda: _data(testbed, "lively").get("accessToken"))
    for number in range(1, _ROUNDS + 1):
        before = _data(testbed, "lively")
        say.check(
            f"expiry {number}: the Secret has a new token",
            lambda before=before: _data(testbed, "lively")["accessToken"] != before["accessToken"],  # type: ignore[misc]  # lambda
        )
        left = int(before["expiresAt"]) / 1000 - time.time()
        say.check(f"the old one was good for {left:.1f} s more", lambda left=left: left > 0)  # type: ignore[misc]  # lambda
    requests = provider.server.state().families[grant.id].requests
    print(f"    the server counted, for each refresh token that it issued: {', '.join(map(str, requests))}")
    say.check(
        "one request for each expiry, and none yet for the token in use", lambda: requests == (1,) * _ROUNDS + (0,)
    )


def _lost(testbed: Testbed, say: Narrator, provider: Provider, grant: Grant) -> None:
    say.chapter(
        "9. Meanwhile, a response got lost",
        "For org-unlucky the provider answered the refresh, and the network dropped the answer: the old refresh token",
        "is used up, and nobody ever saw the new one. The organisation did nothing wrong, and the status says so.",
    )
    say.check("the status says RotationResponseLost", lambda: _reason(testbed, "unlucky") == "RotationResponseLost")
    say.kubectl("get", "tc", "-n", _NAMESPACE)
    say.kubectl("get", "tc", "unlucky", "-n", _NAMESPACE, "-o", "jsonpath={.status.conditions[0].message}")
    say.check(
        "the Secret was left as it was",
        lambda: _data(testbed, "unlucky")["accessToken"] == grant.access_token,
    )
    _consent(testbed, provider, "org-unlucky", provider.server.url, lived=0)
    say.check("the organisation consents again, and all is well", lambda: _reason(testbed, "unlucky") == "Synced")


def _used_twice(testbed: Testbed, say: Narrator, provider: Provider, taken: str) -> None:
    say.chapter(
        "10. And a refresh token was used twice",
        "A thief, or a forgotten copy of the application, used the refresh token of org-copied before us.",
        "At the second use a strict provider ends the whole grant, the thief's new tokens included.",
    )
    say.check(
        "a refusal is believed when it comes again; the status says ReauthorizationRequired",
        lambda: _reason(testbed, "copied") == "ReauthorizationRequired",
    )
    say.kubectl("get", "tc", "copied", "-n", _NAMESPACE, "-o", "jsonpath={.status.conditions[0].message}")
    say.check("what the thief got is worth nothing", lambda: not _use(provider, taken))
    _consent(testbed, provider, "org-copied", provider.server.url, lived=0)
    say.check("the organisation consents again, and all is well", lambda: _reason(testbed, "copied") == "Synced")


def _use(provider: Provider, refresh_token: str) -> str:
    """What a thief does. Returns the next refresh token; empty when it is refused."""
    form = {
        "grant_type": "refresh_token",
        "refresh_token": refresh_token,
        "client_id": "post",
        "client_secret": CLIENT_SECRET,
    }
    try:
        with urlopen(provider.server.token_endpoint, urlencode(form).encode(), timeout=10) as response:
            return str(json.load(response)["refresh_token"])
    except HTTPError:
        return ""


def _consent(testbed: Testbed, provider: Provider, org: str, endpoint: str, *, lived: int) -> Grant:
    """What the consent application stores. `lived`: seconds that the access token has lived already."""
    grant = provider.server.seed("post", org)
    issued = time.time() - lived
    document = {
        "accessToken": grant.access_token,
        "refreshToken": grant.refresh_token,
        "expiresAt": round((issued + LIFETIME) * 1000),
        "tokenType": "Bearer",
        "clientId": "post",
        "clientSecret": CLIENT_SECRET,
        "tokenEndpoint": f"{endpoint}/token",
        "lastUpdated": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(issued)),
    }
    testbed.aws.seed({f"tolstoy/acme/{org}": json.dumps(document)})
    return grant


def _data(testbed: Testbed, name: str) -> dict[str, str]:
    return testbed.data(_NAMESPACE, name) or {}


def _reason(testbed: Testbed, name: str) -> str | None:
    ready = testbed.conditions(_NAMESPACE, name).get("Ready")
    return ready["reason"] if ready else None
