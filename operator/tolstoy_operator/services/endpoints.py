"""The provider of one grant, as the refresh protocol sees it: joins a stored document with what the catalogue knows.

The document says where its tokens come from; the catalogue, or the platform's settings, say whether a secret may go
there. What concerns a whole client (a refused client secret, a provider that asks for a pause) is remembered for all
its grants, so that ten thousand of them do not each find out.
"""

from __future__ import annotations

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
from tolstoy_operator.domain.tokenoutcome import Accepted, NotSent, NotSentCause, Outcome, Rejected, Rejection
from tolstoy_operator.domain.tokentypes import unusable
from tolstoy_operator.oauth.client import ProbeRequest, TokenClient, TokenQuery
from tolstoy_operator.oauth.clientauth import AuthMethod, OAuthClient, next_authentication
from tolstoy_operator.oauth.tokenrequest import BodyFormat, TokenRequest
from tolstoy_operator.services.means import Means, identity, means_of, signing_key

_STANDARD_METHODS = (ClientAuthentication.BASIC, ClientAuthentication.POST)
BREAKER_S: Final = 300.0
"""Seconds for which a client whose own credentials were refused sends nothing more."""
_FIRST_AGAIN_S: Final = 60.0
"""For so long the first request after such a pause goes alone: it may meet the same answer."""

_CLIENT_REFUSED: Final = frozenset({"invalid_client", "http_401"})

_ClientKey = tuple[str, str]


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
class _ClientState:
    """What one client (of one tool) has met.

    `method`: the client authentication that worked. `why`: what stopped it, until `until` (monotonic seconds), or None.
    `secret`: the client secret, or key, that was refused; documents with another one are not concerned.
    """

    method: AuthMethod | None = None
    why: Rejected | None = None
    until: float = 0.0
    secret: SecretValue | None = None

    def concerns(self, document: OAuthDocument) -> bool:
        """Whether what stopped the client would stop a request for this document, too."""
        if self.why is None:
            return False
        return self.why.rejection is Rejection.THROTTLED or self.secret == document.proof


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
        rest = state.until - self.endpoints.clock()
        if state.why is not None and state.concerns(document) and rest > 0:
            return replace(state.why, retry_after=rest)
        return None

    def unusable(self, document: OAuthDocument) -> str:
        """Why a workload cannot use the access token: see `domain.tokentypes`. Empty when it can."""
        return unusable(document, (self.provider.reply if self.provider else STANDARD).bearer_types)

    async def send(self, document: OAuthDocument, *, before_send: Callable[[], bool]) -> Outcome:
        """One token request. More only while the provider refuses how the client authenticates: that spends nothing."""
        state = self.endpoints.state(self._key(document))
        request = self._request(document, state)
        if isinstance(request, NotSent):
            return request
        if state.concerns(document):
            state.until = self.endpoints.clock() + _FIRST_AGAIN_S
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
        self._remember(state, document, client, outcome)
        return self.means.received(outcome) if isinstance(outcome, Accepted) else outcome

    async def alive(self, document: OAuthDocument) -> bool | None:
        """Ask the provider about the access token in use; None when it cannot be asked."""
        health = await self.health(document)
        return None if health.liveness is Liveness.UNKNOWN else health.liveness is Liveness.ALIVE

    @property
    def checks_health(self) -> bool:
        """Whether the provider can be asked about an access token."""
        introspect = self.provider.introspect if self.provider else None
        probe = self.provider.probe if self.provider else None
        return probe is not None or (introspect is not None and introspect.parameter == "token")

    async def health(self, document: OAuthDocument) -> Health:
        """Introspection where the provider has it, else its free probe."""
        token, url = document.access_token, self._token_url(document)
        if token is None or url is None or self.provider is None:
            return Health(Liveness.UNKNOWN, "no_probe")
        client = self._client(document, self._methods(document, self.endpoints.state(self._key(document)))[0])
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
            body=BodyFormat.JSON if self.provider.probe.body is Body.JSON else BodyFormat.FORM,
            fields=self.provider.probe.fields,
        )
        return await self.endpoints.client.probe(probe)

    @property
    def revocable(self) -> tuple[TokenKind, ...]:
        """Which tokens the provider ends on request."""
        call = self.provider.revoke if self.provider else None
        return tuple(TokenKind(token) for token in call.tokens) if call else ()

    async def revoke(self, document: OAuthDocument, kind: TokenKind) -> Revocation:
        """Have the provider end one token of the document. More requests only while the client is refused."""
        token = document.refresh_token if kind is TokenKind.REFRESH else document.access_token
        url, call = self._token_url(document), self.provider.revoke if self.provider else None
        if token is None or url is None or call is None:
            return Revocation(RevocationResult.UNSUPPORTED, "no_revocation")
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
            if reply.result is not RevocationResult.REFUSED or reply.code not in _CLIENT_REFUSED:
                break
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

    def _request(self, document: OAuthDocument, state: _ClientState) -> TokenRequest | NotSent:
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

    def _methods(self, document: OAuthDocument, state: _ClientState) -> list[AuthMethod]:
        """How the client may authenticate, the likeliest way first."""
        allowed = (self.provider.authentication if self.provider else ()) or _STANDARD_METHODS
        usable = [AuthMethod(each.value) for each in allowed if _can(document, each)]
        if not usable and ClientAuthentication.PRIVATE_KEY_JWT in allowed and document.client_secret is not None:
            usable = [AuthMethod.PRIVATE_KEY_JWT]  # it only says what is missing
        return ([state.method] if state.method else usable) or [AuthMethod.NONE]

    def _client(self, document: OAuthDocument, method: AuthMethod) -> OAuthClient:
        return OAuthClient(
            client_id=document.client_id or "",
            method=method,
            secret=document.client_secret,
            key=signing_key(document) if method is AuthMethod.PRIVATE_KEY_JWT else None,
        )

    def _token_url(self, document: OAuthDocument) -> str | None:
        return document.token_endpoint or (self.provider.token_url if self.provider else None)

    def _policy(self) -> EndpointPolicy:
        hosts = self.provider.hosts if self.provider and self.provider.hosts else self.endpoints.reach.hosts
        reach = self.endpoints.reach
        return EndpointPolicy(hosts=hosts, networks=reach.networks, origins=reach.origins)

    def _key(self, document: OAuthDocument) -> _ClientKey:
        return self.tool, identity(document)

    def _remember(self, state: _ClientState, document: OAuthDocument, client: OAuthClient, outcome: Outcome) -> None:
        now = self.endpoints.clock()
        match outcome:
            case Accepted():
                state.method, state.why = client.method, None
            case Rejected(rejection=Rejection.CLIENT_MISCONFIGURED):
                state.why, state.until, state.secret = outcome, now + BREAKER_S, document.proof
            case Rejected(rejection=Rejection.THROTTLED, retry_after=pause) if pause:
                state.why, state.until = outcome, now + pause
            case Rejected():
                state.why = None


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


def _client_refused(outcome: Outcome) -> bool:
    return isinstance(outcome, Rejected) and outcome.rejection is Rejection.CLIENT_MISCONFIGURED
