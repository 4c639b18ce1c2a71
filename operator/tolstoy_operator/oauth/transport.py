"""One request over HTTP/1.1, with the two things known that an HTTP library hides: where it goes, and how far it got.

*Where.* The host is resolved here, every address is checked, and the connection goes to exactly the address that was
checked, with the host's name in SNI, certificate check and Host header. So a name that answers differently the second
time (DNS rebinding) is never asked a second time. Behind a proxy the proxy resolves: then the URL's text is all that
can be checked here, and the proxy has to keep private addresses closed.

*How far.* The caller's `before_send` runs when the connection stands, right before the first byte. Whatever fails
before that has not been sent; whatever fails after it is in doubt. There is nothing between. What came of a reply is
handed on even when its end did not come.

Nothing is sent twice, no redirect is followed, no cookie kept, no connection shared between two requests.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tolstoy_operator.domain.endpointpolicy import EndpointNotAllowed, check_address
from tolstoy_operator.domain.replyfields import lowered
from tolstoy_operator.domain.tokenoutcome import DoubtCause, InDoubt, NotSent, NotSentCause
from tolstoy_operator.domain.tokenreply import REPLY_LIMIT
from tolstoy_operator.oauth.proxies import Proxies
from tolstoy_operator.oauth.wire import Wire, WireReply

log = logging.getLogger(__name__)

BeforeSend = Callable[[], Awaitable[None]]
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
WireOutcome = WireReply | NotSent | InDoubt

DEADLINE = 30.0
"""Seconds for everything from the first DNS packet to the last byte of the reply."""
CONNECT_TIMEOUT = 5.0
_MOST_ADDRESSES = 4
_GZIP_OR_ZLIB = 47
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=0)


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host by the system's resolver, best first. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class _Fence(Exception):
    """The caller's `before_send` raised."""


@dataclass(slots=True)
class _Progress:
    """How far one request got. `sent`: the first byte may have left."""

    before_send: BeforeSend | None
    stage: NotSentCause = NotSentCause.REQUEST
    sent: bool = False
    response: httpx.Response | None = None
    body: bytearray = field(default_factory=bytearray)
    stream: Any = None

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        """Told by the HTTP library at each step; raising here ends the request before the step."""
        if event.endswith("connect_tcp.complete"):
            self.stream = info["return_value"]
        elif event.endswith("start_tls.started"):
            self.stage = NotSentCause.TLS
        elif event.endswith("send_request_headers.started") and not _to_proxy(info):
            await self._pass_fence()

    async def _pass_fence(self) -> None:
        self.stage = NotSentCause.FENCE
        if self.before_send is not None:
            try:
                await self.before_send()
            except Exception as error:
                raise _Fence(type(error).__name__) from None
        self.sent = True

    async def close(self) -> None:
        """Close the connection: the HTTP library forgets it when a handshake is cancelled."""
        if self.stream is not None:
            await self.stream.aclose()

    def failed(self, cause: DoubtCause, not_sent: NotSent) -> WireOutcome:
        """What a failure now means. What has come of a reply may hold the only copy of new tokens."""
        if not self.sent:
            return not_sent
        return InDoubt(cause) if self.response is None else self.reply(self.response, whole=False)

    def reply(self, response: httpx.Response, *, whole: bool) -> WireReply:
        """The reply as far as it has come."""
        headers = lowered(response.headers)
        return WireReply(response.status_code, headers, decoded(bytes(self.body), headers), whole)


def _to_proxy(info: dict[str, Any]) -> bool:
    return bytes(info["request"].method) == b"CONNECT"


class Transport:
    """Sends requests. Holds no connection between them, only TLS settings: one instance serves the whole process.

    `deadline` in seconds. The certificate authorities are those of `SSL_CERT_FILE` or `SSL_CERT_DIR` when set.
    """

    def __init__(
        self, *, proxies: Proxies | None = None, resolver: Resolver = resolve, deadline: float = DEADLINE
    ) -> None:
        self._proxies = Proxies.from_environment() if proxies is None else proxies
        self._resolve = resolver
        self._deadline = deadline
        self._tls = httpx.create_ssl_context()

    async def send(self, wire: Wire, before_send: BeforeSend | None = None) -> WireOutcome:
        """Send once. Never raises but for cancellation, which after the fence leaves the request in doubt."""
        progress = _Progress(before_send)
        try:
            async with asyncio.timeout(self._deadline):
                return await self._send(wire, progress)
        except TimeoutError:
            return progress.failed(DoubtCause.TIMEOUT, NotSent(progress.stage, "the deadline passed"))
        except EndpointNotAllowed as error:
            return NotSent(NotSentCause.POLICY, str(error))
        except _Fence as error:
            return NotSent(NotSentCause.FENCE, str(error))
        except Exception as error:
            # Whatever a library raises, only one thing counts: had the first byte left?
            log.debug("request failed at stage %s: %s", progress.stage, type(error).__name__)
            cause = DoubtCause.TIMEOUT if isinstance(error, httpx.TimeoutException) else DoubtCause.CONNECTION_LOST
            return progress.failed(cause, _not_sent(progress.stage, error))

    async def _send(self, wire: Wire, progress: _Progress) -> WireOutcome:
        endpoint = wire.endpoint
        progress.stage = NotSentCause.PROXY
        proxy = self._proxies.for_endpoint(endpoint, self._tls)
        if proxy is not None:
            return await self._exchange(wire, endpoint.origin, proxy, progress)
        progress.stage = NotSentCause.DNS
        try:
            found = await self._resolve(endpoint.host, endpoint.port)
        except OSError as error:
            return NotSent(NotSentCause.DNS, f"{endpoint.host} does not resolve: {type(error).__name__}")
        addresses = [check_address(address, endpoint, wire.policy) for address in found][:_MOST_ADDRESSES]
        failure: Exception = OSError("no address")
        for address in addresses:
            progress.stage = NotSentCause.CONNECT
            host = f"[{address}]" if address.version == 6 else str(address)
            try:
                return await self._exchange(wire, f"{endpoint.scheme}://{host}:{endpoint.port}", None, progress)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if progress.sent:
                    raise
                failure = error
        raise failure

    async def _exchange(self, wire: Wire, origin: str, proxy: httpx.Proxy | None, progress: _Progress) -> WireReply:
        request = httpx.Request(
            wire.method,
            origin + wire.endpoint.target,
            headers={"Host": wire.endpoint.authority, **{name: value.reveal() for name, value in wire.headers.items()}},
            content=wire.body.reveal().encode(),
            extensions={
                "trace": progress.trace,
                "sni_hostname": wire.endpoint.host,
                "timeout": {
                    "connect": CONNECT_TIMEOUT,
                    "pool": CONNECT_TIMEOUT,
                    "read": self._deadline,
                    "write": self._deadline,
                },
            },
        )
        async with httpx.AsyncHTTPTransport(
            verify=self._tls, trust_env=False, http1=True, http2=False, limits=_LIMITS, proxy=proxy
        ) as transport:
            try:
                response = progress.response = await transport.handle_async_request(request)
                try:
                    await _read(response, progress.body)
                finally:
                    await response.aclose()
            finally:
                await progress.close()
        return progress.reply(response, whole=True)


async def _read(response: httpx.Response, body: bytearray) -> None:
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > REPLY_LIMIT:
            del body[REPLY_LIMIT + 1 :]
            return


def decoded(body: bytes, headers: dict[str, str]) -> bytes:
    """The body unpacked when a provider packed it without being asked, never beyond the limit."""
    if headers.get("content-encoding", "").strip().lower() not in {"gzip", "x-gzip", "deflate"}:
        return body
    try:
        return zlib.decompressobj(_GZIP_OR_ZLIB).decompress(body, REPLY_LIMIT + 1)
    except zlib.error:
        return body


def _not_sent(stage: NotSentCause, error: Exception) -> NotSent:
    match error:
        case httpx.ProxyError():
            return NotSent(NotSentCause.PROXY, "the proxy refused the connection")
        case httpx.ConnectTimeout():
            return NotSent(stage, f"no connection in {CONNECT_TIMEOUT:.0f} s")
        case httpx.ConnectError():
            return NotSent(stage, "the handshake failed" if stage is NotSentCause.TLS else "the connection failed")
        case OSError():
            return NotSent(stage, "the host has no address")
        case _:
            return NotSent(stage if stage is NotSentCause.PROXY else NotSentCause.REQUEST, type(error).__name__)
