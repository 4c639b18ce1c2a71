"""The client of token endpoints: one request, one outcome, no retry, no opinion about what to do next.

Everything that decides (claims, fences, backoff, what an outcome allows) lives above; everything that interprets (what
a reply means, where a request may go) lives in the domain. In between there is little to do, and little to get wrong.
No method raises but for cancellation, and no result or log line holds a token, a secret or a provider's own words.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from tolstoy_operator.domain.endpointpolicy import Endpoint, EndpointNotAllowed, EndpointPolicy, check_url
from tolstoy_operator.domain.replyfields import http_date
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.domain.tokenhealth import (
    Health,
    Liveness,
    ProbeRules,
    Revocation,
    RevocationResult,
    parse_introspection,
    parse_probe,
    parse_revocation,
)
from tolstoy_operator.domain.tokenoutcome import (
    Accepted,
    DoubtCause,
    InDoubt,
    Note,
    NotSent,
    NotSentCause,
    Outcome,
    Rejected,
)
from tolstoy_operator.domain.tokenreply import Sent, kept, parse_reply
from tolstoy_operator.oauth.assertions import UnusableKey
from tolstoy_operator.oauth.clientauth import OAuthClient, Proof, UnusableClient, prove
from tolstoy_operator.oauth.tokenrequest import BodyFormat, RefreshTokenGrant, TokenRequest, encode, headers, token_wire
from tolstoy_operator.oauth.transport import BeforeSend, Transport, WireOutcome
from tolstoy_operator.oauth.wire import UnsendableHeader, Wire, WireReply

log = logging.getLogger(__name__)

SKEW_LIMIT = 30.0
"""Seconds that a provider's clock may differ from ours before it is said, and statements are dated by its clock."""
_SKEWS_KEPT = 1024
_TELLTALE = 6
"""Characters from which on a common part is no coincidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenQuery:
    """A question about one token, or its revocation.

    `hint`: `access_token` or `refresh_token`; the standard's `token_type_hint`, sent only beside its `token`.
    `parameter`: the member that carries the token; None: the token itself is what authenticates the request, which then
    has neither a body nor the client's credentials.
    """

    endpoint: str = field(repr=False)
    policy: EndpointPolicy
    client: OAuthClient
    token: SecretValue
    hint: str
    method: str = "POST"
    parameter: str | None = "token"
    body: BodyFormat = BodyFormat.FORM
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRequest:
    """A harmless request that shows whether an access token works. `fields`: of its body; none: it has no body."""

    endpoint: str = field(repr=False)
    policy: EndpointPolicy
    token: SecretValue
    method: str = "GET"
    rules: ProbeRules = field(default_factory=ProbeRules)
    body: BodyFormat = BodyFormat.FORM
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class TokenClient:
    """Talks to providers. `clock`: Unix seconds."""

    def __init__(self, transport: Transport, *, clock: Callable[[], float] = time.time) -> None:
        self._transport = transport
        self._clock = clock
        self._skews: dict[str, float] = {}

    async def send(self, request: TokenRequest, *, before_send: BeforeSend | None = None) -> Outcome:
        """Ask for tokens once.

        `before_send` is awaited when the connection stands, right before the first byte; when it raises, nothing is
        sent and the outcome is `NotSent(FENCE)`. A cancellation after it has returned leaves the request in doubt.
        """
        wire = self._build(request, partial(token_wire, request))
        if isinstance(wire, NotSent):
            return wire
        sent = Sent(at=self._clock(), grant=request.kind, access_token=request.used_access_token)
        reply = await self._exchange(wire, before_send)
        if not isinstance(reply, WireReply):
            return reply
        outcome = parse_reply(
            reply.status, reply.headers, reply.body, rules=request.rules, sent=sent, whole=reply.whole
        )
        if isinstance(outcome, Rejected) and outcome.raced:
            log.warning("two refreshes of one grant overlapped: %s refused one of them", wire.endpoint.origin)
        return _without_echo(_whole(outcome, reply), request)

    async def introspect(self, query: TokenQuery) -> Health:
        """Ask the provider about a token (RFC 7662)."""
        reply = await self._ask(self._build(query, partial(_query_wire, query)))
        if not isinstance(reply, WireReply):
            return Health(Liveness.UNKNOWN, reply.cause.value)
        return parse_introspection(reply.status, reply.headers, reply.body, now=self._clock())

    async def revoke(self, query: TokenQuery, *, before_send: BeforeSend | None = None) -> Revocation:
        """Ask the provider to end a token (RFC 7009). Repeating it is harmless."""
        reply = await self._ask(self._build(query, partial(_query_wire, query)), before_send)
        if isinstance(reply, WireReply):
            return parse_revocation(reply.status, reply.headers, reply.body, now=self._clock())
        refused = isinstance(reply, NotSent) and reply.cause in {NotSentCause.POLICY, NotSentCause.REQUEST}
        return Revocation(RevocationResult.REFUSED if refused else RevocationResult.RETRY, reply.cause.value)

    async def probe(self, request: ProbeRequest) -> Health:
        """Use an access token for a harmless request and see."""
        reply = await self._ask(self._build(request, partial(_probe_wire, request)))
        if not isinstance(reply, WireReply):
            return Health(Liveness.UNKNOWN, reply.cause.value)
        return parse_probe(reply.status, reply.headers, reply.body, rules=request.rules, now=self._clock())

    async def _ask(self, wire: Wire | NotSent, before_send: BeforeSend | None = None) -> WireOutcome:
        """For what can be asked again: a reply without its end is none."""
        outcome = wire if isinstance(wire, NotSent) else await self._exchange(wire, before_send)
        if isinstance(outcome, WireReply) and not outcome.whole:
            return InDoubt(DoubtCause.TRUNCATED, outcome.status)
        return outcome

    def _build(
        self, request: TokenRequest | TokenQuery | ProbeRequest, make: Callable[[Endpoint, float], Wire]
    ) -> Wire | NotSent:
        try:
            endpoint = check_url(request.endpoint, request.policy)
            return make(endpoint, self._clock() + self._skews.get(endpoint.origin, 0.0))
        except EndpointNotAllowed as error:
            return NotSent(NotSentCause.POLICY, str(error))
        except (UnusableKey, UnusableClient, UnsendableHeader) as error:
            return NotSent(NotSentCause.REQUEST, str(error))
        except UnicodeEncodeError:
            return NotSent(NotSentCause.REQUEST, "a value of the request holds half a character")

    async def _exchange(self, wire: Wire, before_send: BeforeSend | None = None) -> WireOutcome:
        outcome = await self._transport.send(wire, before_send)
        if isinstance(outcome, WireReply):
            self._note_skew(wire, outcome)
        return outcome

    def _note_skew(self, wire: Wire, reply: WireReply) -> None:
        theirs = http_date(reply.headers.get("date"))
        if theirs is None:
            return
        skew = theirs - self._clock()
        origin = wire.endpoint.origin
        if abs(skew) <= SKEW_LIMIT:
            self._skews.pop(origin, None)
        elif len(self._skews) < _SKEWS_KEPT or origin in self._skews:
            if origin not in self._skews:
                log.warning("clock of %s differs from ours by %.0f s", origin, skew)
            self._skews[origin] = skew


def _query_wire(query: TokenQuery, endpoint: Endpoint, now: float) -> Wire:
    if query.parameter is None:
        return Wire(query.method, endpoint, query.policy, headers(_bearer(query.token), None, query.headers))
    proof = prove(query.client, query.endpoint, now)
    fields = {name: SecretValue(value) for name, value in query.extra.items()}
    fields[query.parameter] = query.token
    if query.parameter == "token":
        fields["token_type_hint"] = SecretValue(query.hint)
    body = encode({**fields, **proof.fields}, query.body)
    return Wire(query.method, endpoint, query.policy, headers(proof, query.body, query.headers), body)


def _probe_wire(request: ProbeRequest, endpoint: Endpoint, _: float) -> Wire:
    proof, policy = _bearer(request.token), request.policy
    if not request.fields:
        return Wire(request.method, endpoint, policy, headers(proof, None, request.headers))
    body = encode({name: SecretValue(value) for name, value in request.fields.items()}, request.body)
    return Wire(request.method, endpoint, policy, headers(proof, request.body, request.headers), body)


def _bearer(token: SecretValue) -> Proof:
    return Proof(SecretValue(f"Bearer {token.reveal()}"))


def _whole(outcome: Outcome, reply: WireReply) -> Outcome:
    """Only a body of stated length is known to be whole. Cut JSON shows by itself, a cut form does not."""
    stated = "content-length" in reply.headers or "transfer-encoding" in reply.headers
    if stated or not isinstance(outcome, Accepted) or Note.FORM_ENCODED not in outcome.notes:
        return outcome
    return InDoubt(DoubtCause.TRUNCATED, reply.status, raw=kept(reply.body))


def _without_echo(outcome: Outcome, request: TokenRequest) -> Outcome:
    """An error code that repeats a part of a secret is no code."""
    if isinstance(outcome, Rejected | InDoubt):
        parts = {outcome.code, *re.split("[.:]", outcome.code)}  # a redirect's code holds the labels of a host
        if any(_overlap(part.lower(), text.lower()) for part in parts for text in _secrets(request)):
            return replace(outcome, code=f"http_{outcome.status}")
    return outcome


def _secrets(request: TokenRequest) -> list[str]:
    values = [request.used_access_token]
    if isinstance(request.grant, RefreshTokenGrant):
        values.append(request.grant.refresh_token)
    if request.client is not None:
        values.append(request.client.secret)
    return [value.reveal() for value in values if value is not None]


def _overlap(code: str, secret: str) -> bool:
    return min(len(code), len(secret)) >= _TELLTALE and (code in secret or secret in code)
