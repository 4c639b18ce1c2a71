"""Typed credentials of an organisation: get and set each shape under the name that tool and organisation make.

Nobody gives a secret's name here, so nobody can leave their organisation's. A write reads first, changes only its own
members and keeps all others. It replaces exactly the version that it has read, or nothing: what somebody else stores
between the two is read, and judged, in its turn.
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
from tolstoy_operator.domain.errors import AlreadyExists, LabelMoved, SecretNotFound, StoreUnavailable
from tolstoy_operator.domain.naming import tool_secret_name
from tolstoy_operator.domain.oauthdocument import MEMBER, MalformedDocument, OAuthDocument, consented_at, intact
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.observability.audit import Actor
from tolstoy_operator.services.secrets import Fetched, SecretsService

_FENCE: Final = uuid.UUID("5d0c3a52-4b0f-4f0e-9d3b-1f6f0f3f8a57")
_ATTEMPTS: Final = 5
_PAUSE_S: Final = 1.0

Members = Mapping[str, str | int]


class NewerConsent(Exception):
    """What was to be stored is older than what is there, which stays.

    `version`: the one that stays. `given_at`: when the consent behind that was given or, where nothing tells, when that
    version was made; epoch seconds.
    """

    def __init__(self, version: str, given_at: float) -> None:
        super().__init__("the consent that is stored is as new, or newer")
        self.version = version
        self.given_at = given_at


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
        """Store a grant whose consent was given at `issued_at` (None: now), which becomes its `lastUpdated`.

        Raises `NewerConsent` when the one that is there is as new as `issued_at`.
        """
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
            stamps={"lastUpdated": self._stamp() if issued_at is None else _text(issued_at)},
            check=lambda found: None if issued_at is None else _check_age(found, issued_at),
            outdated=lambda before: _outdated(before, credentials),
            actor=actor,
        )

    async def api_key(self, tool: str, org_id: str, *, actor: Actor | None = None) -> SecretValue:
        """The API key of an organisation."""
        return (await self._read(tool_secret_name(tool, org_id), CredentialType.API_KEY, actor)).text("apiKey")

    async def set_api_key(self, tool: str, org_id: str, key: SecretValue, *, actor: Actor | None = None) -> str:
        """Store an API key, stamped `createdAt`."""
        members = _given(apiKey=key)
        return await self._set(
            tool, org_id, CredentialType.API_KEY, members, stamps={"createdAt": self._stamp()}, actor=actor
        )

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
        stamps: Members | None = None,
        check: Callable[[Fetched], None] = lambda _found: None,
        outdated: Callable[[Document], Collection[str]] = lambda _before: (),
    ) -> str:
        name = tool_secret_name(tool, org_id)
        replaced, repeats = None, 0
        for attempt in range(_ATTEMPTS):
            found = await self._current(name, actor)
            if found is not None:
                check(found)
            parent, before = (found.version.version_id, found.document()) if found else (None, Document({}))
            after = before.with_members(members)
            check_type(after, shape)
            if parent is not None and after == before:
                return parent
            value = after.without(*outdated(before)).with_members(stamps or {}).encode()
            # Somebody may have moved the label back to a version that was replaced before: then its first id is taken.
            repeats = repeats + 1 if attempt and parent == replaced else 0
            replaced = parent
            try:
                if parent is None:
                    return await self._secrets.create(name, value, actor=actor)
                fence = str(uuid.uuid5(_FENCE, f"{name}|{parent}|{repeats}"))
                await self._secrets.replace(name, value, parent=parent, version_id=fence, actor=actor)
            except (AlreadyExists, LabelMoved):
                await self._sleep(_PAUSE_S)
            else:
                return fence
        raise AlreadyExists(name, "others keep writing this secret")

    async def _current(self, name: str, actor: Actor | None) -> Fetched | None:
        """What a write replaces, straight from the store. None: there is no such secret."""
        self._secrets.invalidate(name)
        try:
            fetched = await self._secrets.get(name, actor=actor)
        except SecretNotFound:
            return None
        if fetched.stale:
            raise StoreUnavailable(name, "the secret cannot be read, so it is not written")
        return fetched

    def _stamp(self) -> str:
        return _text(self._now(), precision="milliseconds")


def _check_age(found: Fetched, issued_at: datetime) -> None:
    """A consent stays that is known to be newer, and so does one of the same moment that was refreshed since.

    In that case what is handed over has been spent: it was stored before, and could not be taken away. Tokens that
    somebody stored without saying when they were consented to are as old as their version; those that a refresh of ours
    brought are not, and give way.
    """
    arn, version = found.version.arn, found.version.version_id
    try:
        document = OAuthDocument.parse(found.version.value)
    except MalformedDocument:
        return
    given_at, moment = consented_at(arn, document), issued_at.timestamp()
    if given_at is None and (document.access_token or document.refresh_token) and not intact(arn, document):
        given_at = found.version.created_at
    if given_at is not None and (given_at > moment or (given_at == moment and intact(arn, document))):
        raise NewerConsent(version, given_at)


def _text(moment: datetime, precision: str = "auto") -> str:
    """As it stands in a document. A time that was given to us is not rounded: it is compared with itself one day."""
    return moment.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def _outdated(document: Document, credentials: OAuthCredentials) -> Collection[str]:
    """What was known of the tokens goes with them."""
    before, after = document.get_str("refreshToken"), credentials.refresh_token
    return (MEMBER,) if after is None or before == after else (MEMBER, "refreshTokenExpiresAt")


def _given(**members: SecretValue | str | int | None) -> Members:
    revealed = {key: value.reveal() if isinstance(value, SecretValue) else value for key, value in members.items()}
    return {key: value for key, value in revealed.items() if value is not None}


def _plain(document: Document, key: str) -> str | None:
    value = document.get_str(key)
    return value.reveal() if value is not None else None
