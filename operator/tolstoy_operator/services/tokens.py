"""The token service: an access token that is valid for a while longer, obtained exactly once for everybody.

It runs one pass of the refresh protocol when asked, and turns its ending into what the rest of the operator wants to
know: is there a new version, what is wrong, who can help, when to look again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.tokenhealth import Health
from tolstoy_operator.observability import audit
from tolstoy_operator.observability.audit import Entry, Operation
from tolstoy_operator.services.endpoints import Endpoints
from tolstoy_operator.services.refresh.endings import (
    Current,
    Ending,
    Failed,
    Journalled,
    MirrorOnly,
    Problem,
    Waiting,
)
from tolstoy_operator.services.refresh.refresher import Refresher, Target
from tolstoy_operator.services.secrets import SecretsService

EXPIRY_BUFFER_S: Final = 300.0
"""An access token that ends sooner is not handed out without a refresh."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """How a request for a valid token ended.

    `expires_at`: epoch seconds, None = unknown. `made`: this pass made new tokens; `rotated`: with another refresh
    token. `problem` None: all is well. `retry_after`: seconds until another pass is worth it, None = by the usual rule.
    """

    expires_at: float | None = None
    made: bool = False
    rotated: bool = False
    problem: Problem | None = None
    cause: str = ""
    retry_after: float | None = None
    foreign: bool = False
    """Another cluster refreshes this secret, this one only mirrors."""


class TokenService:
    """Keeps OAuth secrets alive.

    `clock`: epoch seconds. `on_refresh(tool, outcome)` is told of every pass that tried.
    """

    def __init__(
        self,
        *,
        refresher: Refresher,
        endpoints: Endpoints,
        secrets: SecretsService,
        clock: Callable[[], float],
        on_refresh: Callable[[str, str], None],
        record: Callable[[Entry], None] = audit.record,
    ) -> None:
        self._refresher = refresher
        self._endpoints = endpoints
        self._secrets = secrets
        self._clock = clock
        self._on_refresh = on_refresh
        self._record = record

    async def ensure_valid(
        self, name: str, tool: str | None, *, buffer: float = EXPIRY_BUFFER_S, insist: bool = False
    ) -> Refreshed:
        """Have the access token of secret `name` live `buffer` seconds longer, refreshing it if it does not.

        `insist`: try once although the provider's refusal is on record. Raises nothing.
        """
        endpoint = self._endpoints.of(tool)
        target = Target(
            name=name,
            traits=endpoint.traits,
            endpoint=endpoint,
            due=lambda _version, document: self._is_due(document, buffer),
            insist=insist,
        )
        ending = await self._refresher.run(target)
        self._publish(name, ending)
        result = _result(ending)
        if result.made or result.problem is not None:
            outcome = str(result.problem or audit.OK)
            self._on_refresh(tool or "", outcome)
            self._record(Entry(Operation.REFRESH, name, outcome, version=_version(ending)))
        return result

    async def validate_health(self, name: str, tool: str | None) -> Health:
        """Ask the provider whether the access token works. Raises `StoreError`, `MalformedDocument`."""
        fetched = await self._secrets.get(name)
        document = OAuthDocument.parse(fetched.version.value)
        return await self._endpoints.of(tool).health(document)

    def _is_due(self, document: OAuthDocument, buffer: float) -> bool:
        ends = document.expires_at
        return document.access_token is None or (ends is not None and ends - self._clock() <= buffer)

    def _publish(self, name: str, ending: Ending) -> None:
        match ending:
            case Current(version=version, document=document) | Journalled(version=version, document=document):
                if self._secrets.versions_known().get(name) != version:
                    self._secrets.adopt(name, version, document.encode())
            case _:
                return


def _result(ending: Ending) -> Refreshed:
    match ending:
        case Current(document=document, refreshed=made, rotated=rotated):
            return Refreshed(document.expires_at, made=made, rotated=rotated)
        case Journalled(document=document, retry_after=pause):
            return Refreshed(document.expires_at, made=True, retry_after=pause)
        case Waiting(seconds=seconds):
            return Refreshed(retry_after=seconds)
        case MirrorOnly():
            return Refreshed(foreign=True)
        case Failed(problem=problem, cause=cause, retry_after=pause):
            return Refreshed(problem=problem, cause=cause, retry_after=pause)


def _version(ending: Ending) -> str | None:
    return ending.version if isinstance(ending, Current | Journalled) else None
