"""The provider of one grant, as the refresh protocol sees it: joins a stored document with what the catalogue knows.

The document says where its tokens come from; the catalogue, or the platform's settings, say whether a secret may go
there. What concerns a whole client (a refused client secret, a provider that asks for a pause) is remembered for all
its grants, so that ten thousand of them do not each find out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from tolstoy_operator.domain.catalogue import Body, Catalogue, ClientAuthentication, Provider
from tolstoy_operator.domain.catalogue.provider import call_url
from tolstoy_operator.domain.endpointpolicy import EndpointPolicy
from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.refresh import ProviderTraits
from tolstoy_operator.domain.replyrules import STANDARD
from tolstoy_operator.domain.tokenhealth import Health, Liveness, ProbeRules
from tolstoy_operator.domain.tokenoutcome import Accepted, NotSent, NotSentCause, Outcome, Rejected, Rejection
from tolstoy_operator.oauth.client import ProbeRequest, TokenClient, TokenQuery
from tolstoy_operator.oauth.clientauth import AuthMethod, OAuthClient, next_authentication
from tolstoy_operator.oauth.tokenrequest import BodyFormat, RefreshTokenGrant, TokenRequest

_STANDARD_METHODS = (ClientAuthentication.BASIC, ClientAuthentication.POST)
_BREAKER_S = 300.0
"""Seconds for which a client whose own credentials were refused sends nothing more."""

_ClientKey = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What the platform allows beyond the catalogue.

    `hosts`: where the tokens of tools without an entry may go. `origins`: exact origins that skip every other rule, for
    development and tests.
    """

    hosts: tuple[str, ...] = ()
    origins: frozenset[str] = frozenset()


@dataclass(slots=True)
class _ClientState:
    """What one client (of one tool) has met. `until`: monotonic seconds before which nothing is sent, and why."""

    method: AuthMethod | None = None
    until: float = 0.0
    why: Rejected | None = None


@dataclass(slots=True)
class Endpoints:
    """Endpoints by tool. `clock`: monotonic seconds."""

    client: TokenClient
    catalogue: Catalogue
    reach: Reach
    clock: Callable[[], float]
    _states: dict[_ClientKey, _ClientState] = field(default_factory=dict)

    def of(self, tool: str | None) -> ToolEndpoint:
        """The provider of a tool; without one, or of an unknown one, the standard's ways. Raises `CatalogueError`."""
        return ToolEndpoint(self, tool or "", self.catalogue.provider(tool) if tool else None)

    def state(self, key: _ClientKey) -> _ClientState:
        """What is known of a client."""
        return self._states.setdefault(key, _ClientState())


@dataclass(frozen=True, slots=True)
class ToolEndpoint:
    """One tool's provider. Implements `services.refresh.ports.TokenEndpoint`."""

    endpoints: Endpoints
    tool: str
    provider: Provider | None

    @property
    def traits(self) -> ProviderTraits:
        """What the refresh protocol must know; of an unknown provider, that nothing is known."""
        return self.provider.traits if self.provider else ProviderTraits()

    async def send(self, document: OAuthDocument, *, before_send: Callable[[], bool]) -> Outcome:
        """One token request; a second one only when the first was refused for how the client authenticated."""
        state = self.endpoints.state(self._key(document))
        if state.why is not None and self.endpoints.clock() < state.until:
            return state.why
        request = self._request(document, state)
        if isinstance(request, NotSent):
            return request
        outcome = await self.endpoints.client.send(request, before_send=_fence(before_send))
        other = next_authentication(request.client, outcome) if request.client else None
        if other is not None and request.client is not None:
            second = _with_method(request, request.client, other)
            outcome = await self.endpoints.client.send(second, before_send=_fence(before_send))
            if isinstance(outcome, Accepted):
                state.method = other
        self._remember(state, outcome)
        return outcome

    async def alive(self, document: OAuthDocument) -> bool | None:
        """Ask the provider about the access token in use; None when it cannot be asked."""
        health = await self.health(document)
        return None if health.liveness is Liveness.UNKNOWN else health.liveness is Liveness.ALIVE

    async def health(self, document: OAuthDocument) -> Health:
        """Introspection where the provider has it, else its free probe."""
        token, url = document.access_token, self._token_url(document)
        if token is None or url is None or self.provider is None:
            return Health(Liveness.UNKNOWN, "no_probe")
        client = self._client(document, self.endpoints.state(self._key(document)))
        if self.provider.introspect is not None and self.provider.introspect.parameter == "token":
            call = self.provider.introspect
            query = TokenQuery(
                endpoint=call_url(call, token_endpoint=url, client_id=client.client_id),
                policy=self._policy(),
                client=client,
                token=token,
                hint="access_token",
            )
            return await self.endpoints.client.introspect(query)
        if self.provider.probe is None:
            return Health(Liveness.UNKNOWN, "no_probe")
        probe = ProbeRequest(
            endpoint=call_url(self.provider.probe, token_endpoint=url, client_id=client.client_id),
            policy=self._policy(),
            token=token,
            method=self.provider.probe.method,
            rules=ProbeRules(dead_statuses=frozenset(self.provider.probe.dead), success=self.provider.probe.success),
            headers=self.provider.probe.headers,
        )
        return await self.endpoints.client.probe(probe)

    def _request(self, document: OAuthDocument, state: _ClientState) -> TokenRequest | NotSent:
        url, token = self._token_url(document), document.refresh_token
        if url is None:
            return NotSent(NotSentCause.POLICY, "neither the secret nor the catalogue names a token endpoint")
        if token is None:
            return NotSent(NotSentCause.REQUEST, "no refresh token available")
        provider = self.provider
        json_body = provider is not None and provider.body is Body.JSON
        return TokenRequest(
            endpoint=url,
            policy=self._policy(),
            grant=RefreshTokenGrant(token),
            client=self._client(document, state),
            body=BodyFormat.JSON if json_body else BodyFormat.FORM,
            extra=provider.parameters if provider else {},
            headers=provider.headers if provider else {},
            rules=provider.reply if provider else STANDARD,
            used_access_token=document.access_token,
        )

    def _client(self, document: OAuthDocument, state: _ClientState) -> OAuthClient:
        secret = document.client_secret
        allowed = (self.provider.authentication if self.provider else ()) or _STANDARD_METHODS
        usable = [method for method in allowed if (method is ClientAuthentication.NONE) == (secret is None)]
        method = state.method or (AuthMethod(usable[0].value) if usable else AuthMethod.NONE)
        return OAuthClient(client_id=document.client_id or "", method=method, secret=secret)

    def _token_url(self, document: OAuthDocument) -> str | None:
        return document.token_endpoint or (self.provider.token_url if self.provider else None)

    def _policy(self) -> EndpointPolicy:
        hosts = self.provider.hosts if self.provider and self.provider.hosts else self.endpoints.reach.hosts
        return EndpointPolicy(hosts=hosts, origins=self.endpoints.reach.origins)

    def _key(self, document: OAuthDocument) -> _ClientKey:
        return self.tool, document.client_id or ""

    def _remember(self, state: _ClientState, outcome: Outcome) -> None:
        now = self.endpoints.clock()
        if isinstance(outcome, Accepted):
            state.why = None
        elif isinstance(outcome, Rejected) and outcome.rejection is Rejection.CLIENT_MISCONFIGURED:
            state.until, state.why = now + _BREAKER_S, outcome
        elif isinstance(outcome, Rejected) and outcome.rejection is Rejection.THROTTLED and outcome.retry_after:
            state.until, state.why = now + outcome.retry_after, outcome


class _TooLate(Exception):
    """The fence closed before the first byte."""


def _fence(before_send: Callable[[], bool]) -> Callable[[], Awaitable[None]]:
    async def check() -> None:
        if not before_send():
            raise _TooLate("the attempt took too long to connect")

    return check


def _with_method(request: TokenRequest, client: OAuthClient, method: AuthMethod) -> TokenRequest:
    return replace(request, client=replace(client, method=method))
