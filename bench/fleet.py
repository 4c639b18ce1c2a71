"""Many credentials: their namespaces, the secrets upstream, and the objects, each with a secret of its own.

Every other one is an OAuth grant with a token of usual size that ends in a week; the rest are API keys.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from bench.rawclient import Object, RawClient, each
from dev.secretsmanager import SecretsManagerServer
from dev.testbed.view import credential

PER_NAMESPACE = 100
_CREDENTIALS = "/apis/tolstoy.dev/v1"
_WEEK = 7 * 86_400
_SEEDED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Member:
    """One credential of a fleet. `name` is also the name of its Secret."""

    namespace: str
    name: str
    is_oauth: bool

    @property
    def upstream(self) -> str:
        """The name of its secret upstream."""
        return f"tolstoy/{self.name}/{self.namespace}"

    @property
    def path(self) -> str:
        """The object in the API."""
        return f"{_CREDENTIALS}/namespaces/{self.namespace}/toolcredentials/{self.name}"

    @property
    def secret_path(self) -> str:
        """Its Secret."""
        return f"/api/v1/namespaces/{self.namespace}/secrets/{self.name}"

    def document(self, revision: int = 0) -> str:
        """What is upstream; another `revision` is another value."""
        if not self.is_oauth:
            return json.dumps({"apiKey": f"key-{revision:032d}", "createdAt": "2026-01-01T00:00:00Z"})
        now = time.time()
        return json.dumps(
            {
                "accessToken": f"at-{revision:08d}-" + "a" * 1000,
                "refreshToken": f"rt-{revision:08d}-" + "r" * 60,
                "expiresAt": int((now + _WEEK) * 1000),
                "scope": "read write",
                "tokenType": "Bearer",
                "clientId": "client",
                "clientSecret": "c" * 40,
                "tokenEndpoint": "https://provider.example/token",
                "lastUpdated": "2026-01-01T00:00:00.000Z",
            }
        )


class Fleet:
    """`count` credentials in namespaces that start with `prefix`."""

    def __init__(self, prefix: str, count: int) -> None:
        self.prefix = prefix
        self.members = [
            Member(f"{prefix}-{number // PER_NAMESPACE:04d}", f"tool-{number:06d}", number % 2 == 0)
            for number in range(count)
        ]

    def __len__(self) -> int:
        return len(self.members)

    @property
    def namespaces(self) -> list[str]:
        """Their names."""
        return sorted({member.namespace for member in self.members})

    async def bind(self, admin: RawClient) -> None:
        """Create the namespaces, each bound to the organisation of its name."""

        async def create(name: str) -> None:
            meta = {"name": name, "annotations": {"tolstoy.dev/allowed-orgs": name}}
            await admin.send("POST", "/api/v1/namespaces", {"metadata": meta})

        await each(self.namespaces, create)

    def seed(self, aws: SecretsManagerServer) -> None:
        """Put the secrets upstream."""
        for start in range(0, len(self), _SEEDED_AT_ONCE):
            part = self.members[start : start + _SEEDED_AT_ONCE]
            aws.seed({member.upstream: member.document() for member in part})

    async def apply(self, admin: RawClient, start: int = 0, stop: int | None = None) -> None:
        """Create the credentials, or some of them."""

        async def create(member: Member) -> None:
            body = credential(member.namespace, member.name, tool=member.name, org=member.namespace)
            await admin.send("POST", member.path.rpartition("/")[0], body)

        await each(self.members[start:stop], create)

    async def objects(self, client: RawClient) -> dict[tuple[str, str], Object]:
        """The credentials as they are, by namespace and name."""
        return {
            (item["metadata"]["namespace"], item["metadata"]["name"]): item
            async for item in client.items(f"{_CREDENTIALS}/toolcredentials")
            if item["metadata"]["namespace"].startswith(f"{self.prefix}-")
        }

    async def delete(self, admin: RawClient) -> None:
        """Delete the namespaces' credentials and Secrets and wait until they are gone."""

        async def collection(namespace: str) -> None:
            for path in (f"{_CREDENTIALS}/namespaces/{namespace}/toolcredentials", _secrets(namespace)):
                await admin.send("DELETE", path)

        await each(self.namespaces, collection, concurrency=8)


def _secrets(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/secrets"
