"""The token service: an access token that is valid for a while longer, obtained exactly once for everybody.

It runs one pass of the refresh protocol when asked, and turns its ending into what the rest of the operator wants to
know: is there a new version, what is wrong, when to look again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from tolstoy_operator.domain.naming import tool_of
from tolstoy_operator.domain.oauthdocument import OAuthDocument, consent_end
from tolstoy_operator.domain.refresh import OldAccessToken
from tolstoy_operator.domain.schedule import refresh_due
from tolstoy_operator.domain.tokenhealth import Health, Liveness
from tolstoy_operator.domain.tokenoutcome import Outcome
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
from tolstoy_operator.services.refresh.ports import TokenEndpoint
from tolstoy_operator.services.refresh.refresher import Refresher, Target
from tolstoy_operator.services.secrets import SecretsService

WAITING: Final = "waiting"
"""How a pass is counted that has to wait for what others do with the secret."""
IN_DOUBT: Final = "InDoubt"
"""How a request is counted of which nobody knows whether it was processed."""


class OnRefresh(Protocol):
    """Told of every pass that sent a request, and of every other one that could not do what was due.

    `outcome`: "ok", a `Problem`, `WAITING` or `IN_DOUBT`. `sent`: whether there was a request. `remaining`: seconds for
    which the replaced access token would have lived on, negative when it had ended; None when nothing was replaced or
    nobody knows. `lost`: this pass found out that the grant is lost.
    """

    def __call__(self, tool: str, outcome: str, *, sent: bool, remaining: float | None, lost: bool) -> None:
        """Count it."""
        ...


@dataclass(frozen=True, slots=True)
class Refreshed:
    """How a request for a valid token ended.

    `version`, `document`: what is current now, None when this pass did not find out. `made`: this pass made it.
    `problem` None: all is well, or (`retry_after`) it is not known yet. `cause`: for people, free of values.
    `retry_after`: seconds until another pass is worth it, None = by the usual rule; `planned`: exactly then, since it
    is a step and not another try. `foreign`: another cluster refreshes this secret, this one only mirrors; `rival`: and
    both were told to be the only one.
    """

    version: str | None = None
    document: OAuthDocument | None = None
    made: bool = False
    problem: Problem | None = None
    cause: str = ""
    retry_after: float | None = None
    planned: bool = False
    foreign: bool = False
    rival: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """What a provider said about the access token of one version, if it was asked."""

    version: str
    health: Health


@dataclass(slots=True)
class _Counted:
    """The endpoint of one pass, and how many token requests left."""

    endpoint: TokenEndpoint
    requests: int = 0

    async def send(self, document: OAuthDocument, *, before_send: Callable[[], bool]) -> Outcome:
        """It may take several: see `ToolEndpoint.send`."""

        def counted() -> bool:
            goes = before_send()
            self.requests += goes
            return goes

        return await self.endpoint.send(document, before_send=counted)

    async def alive(self, document: OAuthDocument) -> bool | None:
        """No token request."""
        return await self.endpoint.alive(document)


class TokenService:
    """Keeps OAuth secrets alive. The tool that a secret belongs to follows from its name.

    `clock`: epoch seconds. `on_check(tool, outcome)` is told of every question about a token: "ok", "dead", "unknown".
    `validates`: whether the operator asks such questions by itself.
    """

    def __init__(
        self,
        *,
        refresher: Refresher,
        endpoints: Endpoints,
        secrets: SecretsService,
        clock: Callable[[], float],
        on_refresh: OnRefresh,
        on_check: Callable[[str, str], None],
        validates: bool = True,
        record: Callable[[Entry], None] = audit.record,
    ) -> None:
        self._refresher = refresher
        self._endpoints = endpoints
        self._secrets = secrets
        self._clock = clock
        self._on_refresh = on_refresh
        self._on_check = on_check
        self._validates = validates
        self._record = record

    def consent_ends(self, name: str, arn: str, document: OAuthDocument) -> float | None:
        """When the grant ends whatever is done, epoch seconds; None when it does not, or nobody knows."""
        return consent_end(arn, document, self._endpoints.of(tool_of(name)).traits.refresh_hard_s)

    def old_access_token(self, name: str) -> OldAccessToken:
        """What a refresh of secret `name` does to the access token in use, as far as its provider is known."""
        return self._endpoints.of(tool_of(name)).traits.old_access_token

    def lacks(self, name: str, document: OAuthDocument) -> Failed | None:
        """Why no other access token can be had with this document; None when one can."""
        return self._endpoints.of(tool_of(name)).means.lacks(document)

    def unusable(self, name: str, document: OAuthDocument) -> str:
        """Why a workload cannot use the access token of this document; empty when it can."""
        return self._endpoints.of(tool_of(name)).unusable(document)

    def forget(self, name: str) -> None:
        """Nobody uses secret `name` any more."""
        self._refresher.forget(name)

    def due_at(self, name: str, document: OAuthDocument, lead: float | None = None) -> float | None:
        """When the tokens of secret `name` have to be refreshed: see `domain.schedule.refresh_due`."""
        return refresh_due(name, document, self._endpoints.of(tool_of(name)).traits, lead=lead)

    async def ensure_valid(
        self,
        name: str,
        *,
        lead: float | None = None,
        buffer: float | None = None,
        insist: bool = False,
        instead_of: str | None = None,
    ) -> Refreshed:
        """Have secret `name` hold an access token that is not due, refreshing it if it is.

        `lead`: as for `due_at`. `buffer`: due when it ends within so many seconds, instead of by `due_at`. `insist`:
        try once although the provider's refusal is on record. `instead_of`: a version whose token does not work, so
        that it is due whatever its expiry says. Raises nothing.
        """
        tool = tool_of(name)
        endpoint = self._endpoints.of(tool)
        counted = _Counted(endpoint)
        target = Target(
            name=name,
            traits=endpoint.traits,
            endpoint=counted,
            due=lambda version, document: version == instead_of or self._is_due(name, document, lead, buffer),
            insist=insist,
            foreseen=endpoint.foresee,
            lacks=endpoint.means.lacks,
        )
        ending = await self._refresher.run(target)
        self._publish(name, ending)
        self._tell(name, tool, ending, counted.requests)
        return _result(ending)

    async def deliver(self, name: str) -> None:
        """Write upstream what waits for it in the journal. Nothing is spent, whatever is due. Raises nothing."""
        endpoint = self._endpoints.of(tool_of(name))
        target = Target(name=name, traits=endpoint.traits, endpoint=endpoint, due=lambda _version, _document: False)
        ending = await self._refresher.run(target)
        self._publish(name, ending)
        if isinstance(ending, Current) and ending.refreshed:
            self._audit_delivery(name, ending)

    def checks_health(self, name: str) -> bool:
        """Whether the provider can, and may, be asked about the access token of secret `name`."""
        return self._validates and self._endpoints.of(tool_of(name)).checks_health

    async def validate_health(self, name: str) -> Checked:
        """Ask the provider whether the access token works, if it may be asked now.

        Raises `StoreError`, `MalformedDocument`.
        """
        tool, fetched = tool_of(name), await self._secrets.get(name)
        version, document = fetched.version.version_id, OAuthDocument.parse(fetched.version.value)
        health = await self._endpoints.of(tool).health(document)
        if health.asked:
            outcome = audit.OK if health.liveness is Liveness.ALIVE else str(health.liveness)
            self._on_check(tool or "", outcome)
            self._record(Entry(Operation.VALIDATE, name, outcome, version=version))
        return Checked(version, health)

    def _is_due(self, name: str, document: OAuthDocument, lead: float | None, buffer: float | None) -> bool:
        now = self._clock()
        if buffer is not None and document.access_token is not None:
            return document.expires_at is not None and document.expires_at - now <= buffer
        due = self.due_at(name, document, lead)
        return due is not None and due <= now

    def _publish(self, name: str, ending: Ending) -> None:
        """Have the new version served at once. What others made, or replaced meanwhile, is read from the store."""
        known = self._secrets.versions_known().get(name)
        match ending:
            case Journalled(version=version, document=document, retry_after=pause):
                self._secrets.adopt(name, version, document.encode(), ahead=pause)
            case Current(version=version, document=document, previous=previous, refreshed=True) if known == previous:
                self._secrets.adopt(name, version, document.encode())
            case Current(version=version) if known != version:
                self._secrets.invalidate(name)

    def _tell(self, name: str, tool: str | None, ending: Ending, requests: int) -> None:
        version, remaining, lost = None, None, False
        match ending:
            case Current(refreshed=True) if not requests:
                self._audit_delivery(name, ending)
                return
            case Current() | Journalled() if requests:
                outcome, version = audit.OK, ending.version
                if ending.refreshed and ending.replaced_ends is not None:
                    remaining = ending.replaced_ends - self._clock()
            case Failed(problem=problem, in_doubt=in_doubt, verdict=lost):
                outcome = IN_DOUBT if in_doubt else str(problem)
            case _ if requests or isinstance(ending, Waiting):
                outcome = WAITING
            case _:
                return
        self._on_refresh(tool or "", outcome, sent=requests > 0, remaining=remaining, lost=lost)
        if requests:
            self._record(Entry(Operation.REFRESH, name, outcome, version=version, requests=requests))

    def _audit_delivery(self, name: str, ending: Current) -> None:
        """Tokens are current that an earlier pass, or another replica, had brought."""
        self._record(Entry(Operation.WRITE, name, version=ending.version))


def _result(ending: Ending) -> Refreshed:
    match ending:
        case Current(version=version, document=document, refreshed=made):
            return Refreshed(version, document, made=made)
        case Journalled(version=version, document=document, retry_after=pause, refreshed=made):
            return Refreshed(version, document, made=made, retry_after=pause)
        case Waiting(seconds=seconds, why=why):
            return Refreshed(cause=why, retry_after=seconds)
        case MirrorOnly(rival=rival):
            return Refreshed(foreign=True, rival=rival)
        case Failed(problem=problem, cause=cause, retry_after=pause, planned=planned):
            return Refreshed(problem=problem, cause=cause, retry_after=pause, planned=planned)
