"""First tokens: from a Secret that a consent application wrote into the tenant's namespace to Secrets Manager.

The Secret is watched because it carries our label with the value `import`; it is read once, stored upstream (unless
what is there is newer), and deleted, so that tokens do not lie about.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from tolstoy_operator.api import names
from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.domain.documents import MalformedSecret
from tolstoy_operator.domain.errors import StoreError
from tolstoy_operator.domain.firsttokens import FirstTokens, read_first_tokens, source_label
from tolstoy_operator.domain.status import format_time
from tolstoy_operator.domain.tenancy import Binding
from tolstoy_operator.engine.inventory import Inventory
from tolstoy_operator.engine.problem import Problem, from_store
from tolstoy_operator.engine.records import Credential
from tolstoy_operator.kube.client import Object
from tolstoy_operator.kube.errors import Conflict, NotFound
from tolstoy_operator.kube.events import EventsApi, Transition
from tolstoy_operator.kube.secrets import SecretsApi
from tolstoy_operator.observability.audit import KEPT, Entry, Operation, record
from tolstoy_operator.services.resolver import NewerConsent, OAuthCredentials, SecretsResolver

_log = logging.getLogger(__name__)
_SKIPPED: Final = "ImportSkipped"
"""Reason of the Event that says that nothing was stored."""


class Imports:
    """Takes in what `spec.initialTokensFrom` names. `now`: wall clock in UTC."""

    def __init__(
        self,
        inventory: Inventory,
        api: SecretsApi,
        resolver: SecretsResolver,
        *,
        events: EventsApi,
        now: Callable[[], datetime],
    ) -> None:
        self._inventory = inventory
        self._api = api
        self._resolver = resolver
        self._events = events
        self._now = now

    async def take(self, credential: Credential, binding: Binding) -> None:
        """Store first tokens if there are any. Raises `Problem`, and `KubeError` when the API server is away."""
        spec, source = credential.spec, credential.source
        existing = self._inventory.secret(source) if source else None
        if spec is None or existing is None or existing.managed != names.IMPORT_VALUE:
            return
        if spec.tool is None or spec.org_id is None:
            return
        if not binding.import_:
            raise Problem(
                Reason.IMPORT_NOT_GRANTED, f"namespace {credential.key[0]} may not store tokens for {spec.org_id}"
            )
        try:
            body = await self._api.read(existing.namespace, existing.name)
            meta = body["metadata"]
            if (meta.get("labels") or {}).get(names.MANAGED_LABEL) != names.IMPORT_VALUE:
                return  # taken back since the watch showed it
            await self._store(credential, spec.tool, spec.org_id, body)
            await self._api.delete(existing.namespace, existing.name, meta["uid"], int(meta["resourceVersion"]))
        except (NotFound, Conflict):
            _log.debug("the first tokens are gone", extra={"namespace": existing.namespace})

    async def _store(self, credential: Credential, tool: str, org_id: str, body: Object) -> None:
        upstream, actor = credential.upstream or "", credential.actor
        source = body["metadata"]["name"]
        try:
            tokens = read_first_tokens(_data(body))
            issued_at = tokens.issued_at or _created(body)
            version = await self._resolver.set_oauth_credentials(
                tool, org_id, _credentials(tokens), issued_at=issued_at, actor=actor
            )
        except NewerConsent as stays:
            record(Entry(Operation.IMPORT, upstream, KEPT, actor, stays.version, target=source))
            given_at = datetime.fromtimestamp(stays.given_at, UTC)
            times = f"its tokens are of {_told(issued_at)}, the consent in {upstream} is of {_told(given_at)} and stays"
            await self._tell(credential, f"{source_label(source)}: nothing was stored; {times}")
        except MalformedSecret as problem:
            raise Problem(Reason.SECRET_MALFORMED, f"{source_label(source)}: {problem.cause}") from None
        except StoreError as error:
            record(Entry(Operation.IMPORT, upstream, type(error).__name__, actor, target=source))
            raise from_store(error, upstream) from None
        else:
            record(Entry(Operation.IMPORT, upstream, actor=actor, version=version, target=source))

    async def _tell(self, credential: Credential, note: str) -> None:
        transition = Transition(*credential.key, credential.uid, warning=True, reason=_SKIPPED, note=note)
        await self._events.post(transition, at=self._now())


def _credentials(tokens: FirstTokens) -> OAuthCredentials:
    texts = tokens.texts
    plain = {key: value.reveal() for key, value in texts.items()}
    return OAuthCredentials(
        access_token=texts.get("accessToken"),
        refresh_token=texts.get("refreshToken"),
        expires_at_ms=tokens.expires_at_ms,
        scope=plain.get("scope"),
        token_type=plain.get("tokenType"),
        client_id=plain.get("clientId"),
        client_secret=texts.get("clientSecret"),
        token_endpoint=plain.get("tokenEndpoint"),
    )


def _data(body: Object) -> dict[str, bytes]:
    try:
        return {key: base64.b64decode(value, validate=True) for key, value in (body.get("data") or {}).items()}
    except (binascii.Error, ValueError):
        raise MalformedSecret("the data cannot be decoded") from None


def _told(moment: datetime) -> str:
    return format_time(moment.astimezone(UTC))


def _created(body: Object) -> datetime:
    return datetime.fromisoformat(body["metadata"]["creationTimestamp"])
