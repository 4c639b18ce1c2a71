"""What a consent application does: it gets tokens from the authorization server and stores them upstream."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

from dev.oauth.server import CLIENT_SECRET, Family, Grant, OAuthServer
from dev.testbed import Testbed, eventually
from tests.integration.operator.tenant import Tenant

DUE_NOW = 30.0
"""Seconds to its end with which a token is due: nothing says how long it lives, so an hour is assumed."""
TOOL = "acme"
"""A tool that no catalogue knows, so nothing is known of its provider."""


class Consent:
    """One organisation's grant, its document upstream, and a credential on it in the tenant's namespace."""

    def __init__(self, tenant: Tenant, server: OAuthServer, *, client: str = "post", tool: str = TOOL) -> None:
        self.tenant = tenant
        self.server = server
        self.client = client
        self.tool = tool
        self.grant: Grant = server.seed(client, tenant.org)

    def again(self) -> None:
        """The account gives its consent once more."""
        self.grant = self.server.seed(self.client, self.tenant.org)

    def document(self, *, ends_in: float = DUE_NOW, **members: object) -> dict[str, object]:
        """As stored by the consent application. A member given as None is left out."""
        document = {
            "accessToken": self.grant.access_token,
            "refreshToken": self.grant.refresh_token,
            "expiresAt": round((time.time() + ends_in) * 1000),
            "clientId": self.client,
            "clientSecret": CLIENT_SECRET,
            "tokenEndpoint": self.server.token_endpoint,
            "custom": {"keep": ["me", 1]},
            **members,
        }
        return {key: member for key, member in document.items() if member is not None}

    def store(self, *, ends_in: float = DUE_NOW, **members: object) -> None:
        """Store the grant's document as the new current version."""
        self.tenant.store(self.document(ends_in=ends_in, **members), self.tool)

    def stored(self) -> dict[str, Any]:
        """The document that is current upstream."""
        found = self.tenant.testbed.aws.client().get_secret_value(SecretId=self.tenant.upstream(self.tool))
        document: dict[str, Any] = json.loads(found["SecretString"])
        return document

    def family(self) -> Family:
        """What the server counted for this consent."""
        return self.server.state().families[self.grant.id]

    def await_refreshed(self, *, timeout: float = 90) -> dict[str, str]:
        """Wait until the Secret holds another access token than the consent's, the one upstream. Returns its data."""

        def ask() -> dict[str, str]:
            data = self.tenant.data(self.tool) or {}
            assert data.get("accessToken") not in (None, self.grant.access_token), self.tenant.status(self.tool)
            assert data["accessToken"] == self.stored()["accessToken"], "not what is current upstream"
            return data

        return eventually(ask, what=f"{self.tenant.namespace} has new tokens", timeout=timeout)

    def create(self, **spec: Any) -> None:
        """The tenant's credential."""
        self.tenant.create(self.tool, self.tool, **spec)

    def await_reason(self, reason: str, *, timeout: float = 90) -> dict[str, Any]:
        """Wait for the reason of Ready. Returns the status."""
        return self.tenant.await_reason(reason, self.tool, timeout=timeout)

    def grant_status(self) -> dict[str, Any]:
        """The `grant` of the status."""
        found: dict[str, Any] = self.tenant.status(self.tool).get("grant") or {}
        return found


def names_upstream(testbed: Testbed) -> Iterator[str]:
    """The name of every secret."""
    for page in testbed.aws.client().get_paginator("list_secrets").paginate():
        yield from (secret["Name"] for secret in page["SecretList"])


def values_upstream(testbed: Testbed, names: Iterable[str]) -> set[str]:
    """Every token and client secret in every version of these secrets."""
    client = testbed.aws.client()
    found: set[str] = set()
    for name in names:
        for version in client.list_secret_version_ids(SecretId=name, IncludeDeprecated=True)["Versions"]:
            value = client.get_secret_value(SecretId=name, VersionId=version["VersionId"])
            found.update(_values(value["SecretString"]))
    return found


def _values(text: str) -> Iterator[str]:
    try:
        document = json.loads(text)
    except ValueError:
        return
    for key in ("accessToken", "refreshToken", "clientSecret"):
        if isinstance(document, dict) and isinstance(document.get(key), str) and document[key]:
            yield document[key]
