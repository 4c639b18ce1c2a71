"""Typed credentials of an organisation: get and set each shape under the name that tool and organisation make.

Nobody gives a secret's name here, so nobody can leave their organisation's. A write reads first, changes only its own
members and keeps all others; two of our writers at once cannot undo each other, because the id of a version is made
from the version it replaces and an id exists once.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from tolstoy_operator.api.v1 import CredentialType
from tolstoy_operator.domain.documents import Document, check_type, expires_at_ms
from tolstoy_operator.domain.errors import AlreadyExists, SecretNotFound, StoreUnavailable
from tolstoy_operator.domain.naming import tool_secret_name
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.observability.audit import Actor
from tolstoy_operator.services.secrets import SecretsService

_FENCE: Final = uuid.UUID("5d0c3a52-4b0f-4f0e-9d3b-1f6f0f3f8a57")
_ATTEMPTS: Final = 5
_PAUSE_S: Final = 1.0

Members = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class OAuthCredentials:
    """An OAuth grant; at least one token. `expires_at_ms`: epoch milliseconds. None: absent, or leave as it is."""

    access_token: SecretValue | None = None
    refresh_token: SecretValue | None = None
    expires_at_ms: int | None = None
    scope: str | None = None
    token_type: str | None = None
    client_id: str | None = None
    client_secret: SecretValue | None = None
    token_endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """An OAuth client that acts for itself. None: absent, or leave as it is."""

    client_id: str
    client_secret: SecretValue
    token_endpoint: str | None = None
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class DatabaseCredentials:
    """Connection URLs of the platform's database: through the pool, and past it where there is one."""

    database_url: SecretValue
    direct_url: SecretValue | None


class SecretsResolver:
    """Typed access on top of `SecretsService`.

    `database_secret`: name of the platform's database secret. `now`: the time of stamps. `sleep`: waits seconds.

    Every method raises `InvalidName` for what is no tool or organisation, `StoreError` for what the store says, and
    `MalformedSecret` for a document of another shape. Setters check before they write, return the id of the version
    that now holds the value, and write nothing when it was there already.
    """

    def __init__(
        self,
        secrets: SecretsService,
        *,
        database_secret: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._secrets = secrets
        self._database_secret = database_secret
        self._now = now
        self._sleep = sleep

    async def oauth_credentials(self, tool: str, org_id: str, *, actor: Actor | None = None) -> OAuthCredentials:
        """The grant of an organisation."""
        document = await self._read(tool_secret_name(tool, org_id), CredentialType.OAUTH2, actor)
        return OAuthCredentials(
            access_token=document.get_str("accessToken"),
            refresh_token=document.get_str("refreshToken"),
            expires_at_ms=expires_at_ms(document),
            scope=_plain(document, "scope"),
            token_type=_plain(document, "tokenType"),
            client_id=_plain(document, "clientId"),
            client_secret=document.get_str("clientSecret"),
            token_endpoint=_plain(document, "tokenEndpoint"),
        )

    async def set_oauth_credentials(
        self,
        tool: str,
        org_id: str,
        credentials: OAuthCredentials,
        *,
        issued_at: datetime | None = None,
        actor: Actor | None = None,
    ) -> str:
        """Store a grant, stamped `lastUpdated`. One that was stored after `issued_at` is newer, and stays."""
        members = _given(
            accessToken=credentials.access_token,
            refreshToken=credentials.refresh_token,
            expiresAt=credentials.expires_at_ms,
            scope=credentials.scope,
            tokenType=credentials.token_type,
            clientId=credentials.client_id,
            clientSecret=credentials.client_secret,
            tokenEndpoint=credentials.token_endpoint,
        )
        return await self._set(
            tool,
            org_id,
            CredentialType.OAUTH2,
            members,
            stamp="lastUpdated",
            stays=lambda before: issued_at is not None and _is_newer(before, issued_at),
            outdated=lambda before: _outdated(before, credentials),
            actor=actor,
        )

    async def api_key(self, tool: str, org_id: str, *, actor: Actor | None = None) -> SecretValue:
        """The API key of an organisation."""
        return (await self._read(tool_secret_name(tool, org_id), CredentialType.API_KEY, actor)).text("apiKey")

    async def set_api_key(self, tool: str, org_id: str, key: SecretValue, *, actor: Actor | None = None) -> str:
        """Store an API key, stamped `createdAt`."""
        members = _given(apiKey=key)
        return await self._set(tool, org_id, CredentialType.API_KEY, members, stamp="createdAt", actor=actor)

    async def webhook_secret(self, tool: str, org_id: str, *, actor: Actor | None = None) -> SecretValue:
        """The secret that signs an organisation's webhooks."""
        document = await self._read(tool_secret_name(tool, org_id), CredentialType.WEBHOOK, actor)
        return document.text("webhookSecret")

    async def set_webhook_secret(
        self, tool: str, org_id: str, secret: SecretValue, *, actor: Actor | None = None
    ) -> str:
        """Store a webhook secret."""
        return await self._set(tool, org_id, CredentialType.WEBHOOK, _given(webhookSecret=secret), actor=actor)

    async def client_credentials(self, tool: str, org_id: str, *, actor: Actor | None = None) -> ClientCredentials:
        """The OAuth client of an organisation."""
        document = await self._read(tool_secret_name(tool, org_id), CredentialType.CLIENT_CREDENTIALS, actor)
        return ClientCredentials(
            client_id=document.text("clientId").reveal(),
            client_secret=document.text("clientSecret"),
            token_endpoint=_plain(document, "tokenEndpoint"),
            scope=_plain(document, "scope"),
        )

    async def set_client_credentials(
        self, tool: str, org_id: str, credentials: ClientCredentials, *, actor: Actor | None = None
    ) -> str:
        """Store an OAuth client."""
        members = _given(
            clientId=credentials.client_id,
            clientSecret=credentials.client_secret,
            tokenEndpoint=credentials.token_endpoint,
            scope=credentials.scope,
        )
        return await self._set(tool, org_id, CredentialType.CLIENT_CREDENTIALS, members, actor=actor)

    async def database(self, *, actor: Actor | None = None) -> DatabaseCredentials:
        """The platform's own database."""
        document = await self._read(self._database_secret, CredentialType.DATABASE, actor)
        return DatabaseCredentials(document.text("DATABASE_URL"), document.get_str("DIRECT_URL"))

    async def validate(
        self,
        tool: str,
        org_id: str,
        wanted: CredentialType = CredentialType.AUTO,
        *,
        actor: Actor | None = None,
    ) -> CredentialType:
        """Check an organisation's document against a shape, or find out which it has."""
        fetched = await self._secrets.get(tool_secret_name(tool, org_id), actor=actor)
        return check_type(fetched.document(), wanted)

    async def _read(self, name: str, shape: CredentialType, actor: Actor | None) -> Document:
        document = (await self._secrets.get(name, actor=actor)).document()
        check_type(document, shape)
        return document

    async def _set(
        self,
        tool: str,
        org_id: str,
        shape: CredentialType,
        members: Members,
        *,
        actor: Actor | None,
        stamp: str | None = None,
        stays: Callable[[Document], bool] = lambda _before: False,
        outdated: Callable[[Document], Collection[str]] = lambda _before: (),
    ) -> str:
        name = tool_secret_name(tool, org_id)
        replaced, repeats = None, 0
        for attempt in range(_ATTEMPTS):
            parent, before = await self._current(name, actor)
            if parent is not None and stays(before):
                return parent
            after = before.without(*outdated(before)).with_members(members)
            check_type(after, shape)
            if parent is not None and after == before:
                return parent
            value = self._stamped(after, stamp).encode()
            # Somebody may have moved the label back to a version that was replaced before: then its first id is taken.
            repeats = repeats + 1 if attempt and parent == replaced else 0
            replaced = parent
            try:
                if parent is None:
                    return await self._secrets.create(name, value, actor=actor)
                fence = uuid.uuid5(_FENCE, f"{name}|{parent}|{repeats}")
                return await self._secrets.update(name, value, version_id=str(fence), actor=actor)
            except AlreadyExists:
                await self._sleep(_PAUSE_S)
        raise AlreadyExists(name, "others keep writing this secret")

    async def _current(self, name: str, actor: Actor | None) -> tuple[str | None, Document]:
        """What a write replaces, straight from the store. No id: there is no such secret."""
        self._secrets.invalidate(name)
        try:
            fetched = await self._secrets.get(name, actor=actor)
        except SecretNotFound:
            return None, Document({})
        if fetched.stale:
            raise StoreUnavailable(name, "the secret cannot be read, so it is not written")
        return fetched.version.version_id, fetched.document()

    def _stamped(self, document: Document, stamp: str | None) -> Document:
        if stamp is None:
            return document
        moment = self._now().astimezone(UTC).isoformat(timespec="milliseconds")
        return document.with_members({stamp: moment.replace("+00:00", "Z")})


def _is_newer(document: Document, moment: datetime) -> bool:
    stamp = document.get_str("lastUpdated")
    try:
        return stamp is not None and datetime.fromisoformat(stamp.reveal()) > moment
    except (ValueError, TypeError):  # no time, or one without a zone
        return False


def _outdated(document: Document, credentials: OAuthCredentials) -> Collection[str]:
    """What was known of a refresh token goes with it."""
    before, after = document.get_str("refreshToken"), credentials.refresh_token
    return () if after is None or before == after else ("refreshTokenExpiresAt",)


def _given(**members: SecretValue | str | int | None) -> Members:
    revealed = {key: value.reveal() if isinstance(value, SecretValue) else value for key, value in members.items()}
    return {key: value for key, value in revealed.items() if value is not None}


def _plain(document: Document, key: str) -> str | None:
    value = document.get_str(key)
    return value.reveal() if value is not None else None
