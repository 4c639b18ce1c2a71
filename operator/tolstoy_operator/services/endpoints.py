"""The provider of one grant, as the refresh protocol sees it: joins a stored document with what the catalogue knows.

The document says where its tokens come from; the catalogue, or the platform's settings, say whether a secret may go
there. What concerns a whole client (a refused client secret, a provider that asks for a pause) is remembered for all
its grants, so that ten thousand of them do not each find out.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final

from tolstoy_operator.domain.catalogue import Body, Catalogue, ClientAuthentication, Provider
from tolstoy_operator.domain.catalogue.entry import Call, Credentials
from tolstoy_operator.domain.catalogue.provider import call_url
from tolstoy_operator.domain.endpointpolicy import EndpointNotAllowed, EndpointPolicy, Network, check_url
from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.refresh import ProviderTraits
from tolstoy_operator.domain.replyrules import STANDARD
from tolstoy_operator.domain.revocation import TokenKind
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.domain.tokenhealth import Health, Liveness, ProbeRules, Revocation, RevocationResult
from tolstoy_operator.domain.tokenoutcome import (
    Accepted,
    Note,
    NotSent,
    NotSentCause,
    Outcome,
    Rejected,
    Rejection,
)
from tolstoy_operator.domain.tokentypes import unusable
from tolstoy_operator.oauth.client import ProbeRequest, TokenClient, TokenQuery
from tolstoy_operator.oauth.clientauth import AuthMethod, OAuthClient, next_authentication
from tolstoy_operator.oauth.tokenrequest import BodyFormat, TokenRequest
from tolstoy_operator.services.clientstate import ClientState
from tolstoy_operator.services.means import Means, identity, means_of, signing_key

_STANDARD_METHODS = (ClientAuthentication.BASIC, ClientAuthentication.POST)
_CLIENT_REFUSED: Final = frozenset({"invalid_client", "http_401"})

_ClientKey = tuple[str, str]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What the platform allows beyond the catalogue.

    `hosts`: where the tokens of tools without an entry may go. `networks`: addresses that are allowed although they are
    not public, for providers in the organisation's own network. `origins`: exact origins that skip every other rule,
    for development and tests. Raises ValueError for an entry that cannot be meant: at the start, not at the first
    refresh.
    """

    hosts: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    origins: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        EndpointPolicy(hosts=self.hosts, networks=self.networks, origins=self.origins)


@dataclass(slots=True)
class Endpoints:
    """Endpoints by tool. `clock`: monotonic seconds."""

    client: TokenClient
    catalogue: Catalogue
    reach: Reach
    clock: Callable[[], float]
    _states: dict[_ClientKey, ClientState] = field(default_factory=dict)

    def of(self, tool: str | None) -> ToolEndpoint:
        """The provider of a tool; without one, or of an unknown one, the standard's ways. Raises `CatalogueError`."""
        return ToolEndpoint(self, tool or "", self.catalogue.provider(tool) if tool else None)

    def state(self, key: _ClientKey) -> ClientState:
        """What is known of a client."""
        return self._states.setdefault(key, ClientState())


@dataclass(frozen=True, slots=True)
class ToolEndpoint:
    """One tool's provider. Implements `TokenEndpoint` and `RevocationEndpoint` of `services.refresh.ports`."""

    endpoints: Endpoints
    tool: str
    provider: Provider | None

    @property
    def traits(self) -> ProviderTraits:
        """What the refresh protocol must know; of an unknown provider, that nothing is known."""
        return self.means.traits(self.provider.traits if self.provider else ProviderTraits())

    @property
    def means(self) -> Means:
        """How the provider's next access token is had."""
        return means_of(self.provider.grant if self.provider else None)

    def foresee(self, document: OAuthDocument) -> NotSent | Rejected | None:
        """What a request would come to, as far as that is known without one; None: only the provider can tell.

        A client whose credentials were refused, or that was asked to pause, is not tried again for each of its grants.
        """
        state = self.endpoints.state(self._key(document))
        request = self._request(document, state)
        if isinstance(request, NotSent):
            return request
        try:
            check_url(request.endpoint, request.policy)
        except EndpointNotAllowed as error:
            return NotSent(NotSentCause.POLICY, str(error))
        return state.held(document, self.endpoints.clock())

    def unusable(self, document: OAuthDocument) -> str:
        """Why a workload cannot use the access token: see `domain.tokentypes`. Empty when it can."""
        return unusable(document, (self.provider.reply if self.provider else STANDARD).bearer_types)

    async def send(self, document: OAuthDocument, *, before_send: Callable[[], bool]) -> Outcome:
        """One token request. More only while the provider refuses how the client authenticates: that spends nothing."""
        state = self.endpoints.state(self._key(document))
        request = self._request(document, state)
        if isinstance(request, NotSent):
            return request
        state.begin(document, self.endpoints.clock())
        ways, tried = self._methods(document, state), set[AuthMethod]()
        while True:
            client = self._client(document, ways.pop(0))
            outcome = await self.endpoints.client.send(replace(request, client=client), before_send=_fence(before_send))
            if not _client_refused(outcome):
                break
            tried.add(client.method)
            other = next_authentication(client, outcome)
            ways = [way for way in ([other] if other else []) + ways if way not in tried]
            if not ways:
                break
        state.note(outcome, document, client.method, self.endpoints.clock(), reuse_grace=self.traits.reuse_grace_s)
        if not isinstance(outcome, Accepted):
            return outcome
        if odd := sorted(outcome.notes - {Note.FORM_ENCODED}):
            _log.warning("%s: new tokens were taken, though the answer is odd: %s", self.tool, ", ".join(odd))
        return self.means.received(outcome)

    async def alive(self, document: OAuthDocument) -> bool | None:
        """Ask the provider about the access token in use; None when it cannot be asked."""
        health = await self.health(document)
        return None if health.liveness is Liveness.UNKNOWN else health.liveness is Liveness.ALIVE

    @property
    def checks_health(self) -> bool:
        """Whether the provider can be asked about an access token."""
        return self._introspection is not None or self._free_probe is not None

    @property
    def _introspection(self) -> Call | None:
        """As the standard has it: a call with the token as its parameter."""
        call = self.provider.introspect if self.provider else None
        return call if call is not None and call.parameter == "token" else None

    @property
    def _free_probe(self) -> Call | None:
        return self.provider.probe if self.provider else None

    async def health(self, document: OAuthDocument) -> Health:
        """Introspection where the provider has it, else its free probe. Not asked while the client has to pause."""
        token, url = document.access_token, self._token_url(document)
        introspects = self._introspection is not None
        call = self._introspection or self._free_probe
        if token is None or url is None or call is None:
            return Health(Liveness.UNKNOWN, "no_probe", asked=False)
        proves, state = introspects and _proves(call, document), self.endpoints.state(self._key(document))
        if (held := state.defers(document, self.endpoints.clock(), proves=proves)) is not None:
            code, pause = held.code, held.retry_after
            return Health(Liveness.UNKNOWN, code, rejection=held.rejection, retry_after=pause, asked=False)
        before, ask = state.why, self._introspect if introspects else self._probe
        health = await ask(
            call, document, token, call_url(call, token_endpoint=url, client_id=document.client_id or "")
        )
        if health.liveness is not Liveness.UNKNOWN or health.rejection is not None:
            answer = Rejected(health.rejection or Rejection.UNKNOWN, health.code, 0, health.retry_after)
            state.learn(answer, before, document, self.endpoints.clock(), proves=proves)
        return health

    async def _introspect(self, call: Call, document: OAuthDocument, token: SecretValue, url: str) -> Health:
        health = Health(Liveness.UNKNOWN)
        for method in self._methods_of(call, document):
            client = self._client(document, method)
            query = TokenQuery(endpoint=url, policy=self._policy(), client=client, token=token, hint="access_token")
            health = await self.endpoints.client.introspect(query)
            if health.rejection is not Rejection.CLIENT_MISCONFIGURED:
                break
        return health

    async def _probe(self, call: Call, _document: OAuthDocument, token: SecretValue, url: str) -> Health:
        request = ProbeRequest(
            endpoint=url,
            policy=self._policy(),
            token=token,
            method=call.method,
            rules=ProbeRules(dead_statuses=frozenset(call.dead), success=call.success),
            headers=call.headers,
            body=BodyFormat.JSON if call.body is Body.JSON else BodyFormat.FORM,
            fields=call.fields,
        )
        return await self.endpoints.client.probe(request)

    @property
    def revocable(self) -> tuple[TokenKind, ...]:
        """Which tokens the provider ends on request."""
        call = self.provider.revoke if self.provider else None
        return tuple(TokenKind(token) for token in call.tokens) if call else ()

    async def revoke(self, document: OAuthDocument, kind: TokenKind) -> Revocation:
        """Have the provider end one token of the document. More requests only while the client is refused.

        None, but `RETRY`, while the client has to pause.
        """
        token = document.refresh_token if kind is TokenKind.REFRESH else document.access_token
        url, call = self._token_url(document), self.provider.revoke if self.provider else None
        if token is None or url is None or call is None:
            return Revocation(RevocationResult.UNSUPPORTED, "no_revocation")
        proves, state = _proves(call, document), self.endpoints.state(self._key(document))
        if (held := state.defers(document, self.endpoints.clock(), proves=proves)) is not None:
            return Revocation(RevocationResult.RETRY, held.code, held.retry_after)
        before = state.why
        query = TokenQuery(
            endpoint=call_url(call, token_endpoint=url, client_id=document.client_id or ""),
            policy=self._policy(),
            client=self._client(document, AuthMethod.NONE),
            token=token,
            hint=f"{kind}_token",
            method=call.method,
            parameter=call.parameter,
            body=BodyFormat.JSON if call.body is Body.JSON else BodyFormat.FORM,
            extra=call.fields,
            headers=call.headers,
        )
        reply = Revocation(RevocationResult.REFUSED, "no_client_authentication")
        for method in self._methods_of(call, document):
            reply = await self.endpoints.client.revoke(replace(query, client=self._client(document, method)))
            if not _misfit(reply):
                break
        if reply.result is not RevocationResult.RETRY or reply.retry_after:
            rejection = Rejection.CLIENT_MISCONFIGURED if _misfit(reply) else Rejection.UNKNOWN
            answer = Rejected(rejection, reply.code, 0, reply.retry_after)
            state.learn(answer, before, document, self.endpoints.clock(), proves=proves)
        return reply

    def _methods_of(self, call: Call, document: OAuthDocument) -> list[AuthMethod]:
        """How the client may authenticate at a call of its own, the likeliest way first."""
        if call.credentials in (Credentials.NONE, Credentials.BEARER):
            return [AuthMethod.NONE]
        if call.credentials is Credentials.BASIC:
            ways = [AuthMethod.BASIC]
        else:
            ways = self._methods(document, self.endpoints.state(self._key(document)))
        return [*ways, AuthMethod.BASIC_RAW] if AuthMethod.BASIC in ways else ways

    def _request(self, document: OAuthDocument, state: ClientState) -> TokenRequest | NotSent:
        url, lacking = self._token_url(document), self.means.lacks(document)
        if url is None:
            return NotSent(NotSentCause.POLICY, "neither the secret nor the catalogue names a token endpoint")
        if lacking is not None:
            return NotSent(NotSentCause.REQUEST, lacking.cause)
        provider = self.provider
        json_body = provider is not None and provider.body is Body.JSON
        return TokenRequest(
            endpoint=url,
            policy=self._policy(),
            grant=self.means.grant(document),
            client=self._client(document, self._methods(document, state)[0]),
            scope=self.means.scope(document),
            body=BodyFormat.JSON if json_body else BodyFormat.FORM,
            extra=provider.parameters if provider else {},
            headers=provider.headers if provider else {},
            rules=provider.reply if provider else STANDARD,
            used_access_token=document.access_token,
        )

    def _methods(self, document: OAuthDocument, state: ClientState) -> list[AuthMethod]:
        """How the client may authenticate with this document, the way that worked last first.

        It is not the only one: a registration changes, a client gets a secret, or a key instead of one.
        """
        allowed = (self.provider.authentication if self.provider else ()) or _STANDARD_METHODS
        usable = [AuthMethod(each.value) for each in allowed if _can(document, each)]
        if not usable and ClientAuthentication.PRIVATE_KEY_JWT in allowed and document.client_secret is not None:
            usable = [AuthMethod.PRIVATE_KEY_JWT]  # it only says what is missing
        if state.method is AuthMethod.BASIC_RAW:
            usable = [AuthMethod.BASIC_RAW if way is AuthMethod.BASIC else way for way in usable]
        return sorted(usable, key=lambda way: way is not state.method) or [AuthMethod.NONE]

    def _client(self, document: OAuthDocument, method: AuthMethod) -> OAuthClient:
        return OAuthClient(
            client_id=document.client_id or "",
            method=method,
            secret=document.client_secret,
            key=signing_key(document) if method is AuthMethod.PRIVATE_KEY_JWT else None,
            audience=document.word("assertionAudience"),
        )

    def _token_url(self, document: OAuthDocument) -> str | None:
        return document.token_endpoint or (self.provider.token_url if self.provider else None)

    def _policy(self) -> EndpointPolicy:
        hosts = self.provider.hosts if self.provider and self.provider.hosts else self.endpoints.reach.hosts
        reach = self.endpoints.reach
        return EndpointPolicy(hosts=hosts, networks=reach.networks, origins=reach.origins)

    def _key(self, document: OAuthDocument) -> _ClientKey:
        return self.tool, identity(document)


class TooLate(Exception):
    """The fence closed before the first byte: making the connection took too long."""


def _fence(before_send: Callable[[], bool]) -> Callable[[], Awaitable[None]]:
    async def check() -> None:
        if not before_send():
            raise TooLate

    return check


def _can(document: OAuthDocument, method: ClientAuthentication) -> bool:
    """Whether a document holds what the method takes."""
    match method:
        case ClientAuthentication.NONE:
            return document.client_secret is None
        case ClientAuthentication.PRIVATE_KEY_JWT:
            return signing_key(document) is not None
    return document.client_secret is not None


def _proves(call: Call, document: OAuthDocument) -> bool:
    """Whether the client's secret, or key, goes with a call."""
    return call.credentials not in (Credentials.NONE, Credentials.BEARER) and document.proof is not None


def _misfit(reply: Revocation) -> bool:
    return reply.result is RevocationResult.REFUSED and reply.code in _CLIENT_REFUSED


def _client_refused(outcome: Outcome) -> bool:
    return isinstance(outcome, Rejected) and outcome.rejection is Rejection.CLIENT_MISCONFIGURED
