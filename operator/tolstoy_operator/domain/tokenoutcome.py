"""What one token request led to, and what follows for the refresh token that it carried.

The whole refresh protocol turns on one question: did the provider consume the refresh token? Four classes answer it.

* `NotSent`   no byte of the request left: try again freely
* `Rejected`  the provider read the request and refused it: nothing was consumed, the class says who can help
* `Accepted`  new tokens: store them before anything else
* `InDoubt`   bytes left and no readable answer came: it may have been consumed, so nobody may simply send again

No object here shows a token or a provider's words: tokens and kept replies are `SecretValue`, an error code is a short
word from a safe alphabet.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tolstoy_operator.domain.secretvalue import SecretValue

RETRY_AFTER_LIMIT = 900.0
"""Longest pause in seconds that a provider can ask for; a longer one is cut to this."""

TOKEN_LIMIT = 16 * 1024
"""Largest token in characters that is accepted: two of them and the rest of a document fit a 64 KiB secret."""

RAW_LIMIT = 16 * 1024
"""How much of an unreadable reply is kept, in characters."""


class NotSentCause(StrEnum):
    """Why no byte of the request left."""

    POLICY = "policy"
    """The URL or the resolved address is not allowed. Nothing is tried until configuration or secret change."""
    DNS = "dns"
    CONNECT = "connect"
    """Refused, unreachable, or no connection in time."""
    TLS = "tls"
    """The handshake failed, such as a certificate that does not verify."""
    PROXY = "proxy"
    FENCE = "fence"
    """The caller's `before_send` said no."""
    REQUEST = "request"
    """The request cannot be built: a key that does not parse, a client id with control characters."""


class Rejection(StrEnum):
    """Who can help after a refusal."""

    REAUTHORIZE = "reauthorize"
    """The grant itself is refused: only a new consent helps, after the checks that the protocol makes first."""
    CLIENT_MISCONFIGURED = "client-misconfigured"
    """The client's own credentials are refused. True for every grant of this client: one breaker, one alert."""
    REQUEST_MISCONFIGURED = "request-misconfigured"
    """The provider understood who asks but not what: wrong endpoint, scope, grant type, a redirect."""
    NETWORK_REFUSED = "network-refused"
    """Something in front of the provider refused: an IP allow-list, a firewall page. Holds every request of the client
    for a quarter of an hour: it is not about the grant, and asking often makes it worse."""
    THROTTLED = "throttled"
    """Too many requests of this client. Holds every request of the (provider, client id)."""
    TRANSIENT = "transient"
    """The provider asks to try again later; for how long, if it says so, holds for the whole client."""
    UNKNOWN = "unknown"
    """A refusal that no table knows. Back off to an hour."""


class DoubtCause(StrEnum):
    """Why nobody knows whether the request was processed."""

    TIMEOUT = "timeout"
    CONNECTION_LOST = "connection-lost"
    """Reset or closed after bytes had left and before an answer began."""
    TRUNCATED = "truncated"
    """The answer began and did not end, and what came of it is not whole."""
    SERVER_ERROR = "server-error"
    """5xx, 408 or `server_error`, with or without an OAuth body."""
    UNREADABLE = "unreadable"
    """2xx, but no format that we know, or a token that is no token."""
    NO_ACCESS_TOKEN = "no-access-token"  # noqa: S105 - a cause, not a token
    """2xx, readable, neither an access token nor an error."""
    CONTRADICTORY = "contradictory"
    """A token together with an error or with a status that refuses."""
    OVERSIZE = "oversize"


class Note(StrEnum):
    """Something odd about accepted tokens. They are stored all the same: losing them would be worse."""

    TOKEN_TYPE_REFUSED = "token-type-refused"  # noqa: S105
    """Not a bearer token (DPoP, mac): stored, but a workload cannot use it, so it must not be mirrored."""
    EXPIRY_IN_PAST = "expiry-in-past"
    """The stated expiry had passed already. It is dropped; wait a minute at least before another refresh."""
    EXPIRY_UNUSABLE = "expiry-unusable"
    """The stated expiry is no number or date, or is more than ten years ahead. It is dropped."""
    SAME_ACCESS_TOKEN = "same-access-token"  # noqa: S105
    """The provider answered with the access token that we had. Wait a minute at least before another refresh."""
    FORM_ENCODED = "form-encoded"
    """The reply came form-encoded instead of JSON."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a provider issued.

    `refresh_token` None: none was issued, keep the one in use. `scope` None: unchanged. Times are Unix seconds on our
    own clock, counted from before the request was sent; None = not stated (or dropped, see `Note`).
    """

    access_token: SecretValue
    refresh_token: SecretValue | None = None
    token_type: str | None = None
    scope: str | None = None
    expires_at: float | None = None
    refresh_expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class NotSent:
    """No byte of the request left. `detail` is a short text of ours, free of values."""

    cause: NotSentCause
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A complete refusal.

    `code`: the provider's error code in a safe alphabet, or `http_<status>` when it gave none, of a redirect with the
    host that it leads to (`http_307:elsewhere.example.com`). `retry_after`: seconds the provider asks to wait, at most
    `RETRY_AFTER_LIMIT`. `raced`: it says that another request with the same refresh token was under way.
    """

    rejection: Rejection
    code: str
    status: int
    retry_after: float | None = None
    raced: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """New tokens."""

    tokens: Tokens
    status: int = 200
    notes: frozenset[Note] = frozenset()


@dataclass(frozen=True, slots=True)
class InDoubt:
    """Perhaps processed. `raw`: the beginning of an unreadable reply, to be journalled: it may hold the only copy."""

    cause: DoubtCause
    status: int | None = None
    code: str = ""
    retry_after: float | None = None
    raw: SecretValue | None = None


Outcome = NotSent | Rejected | Accepted | InDoubt
