"""The HTTP server for probes, people and Prometheus.

| path | for | answers |
|---|---|---|
| `/healthz` | the kubelet | 200, or 500 when the process should be restarted |
| `/readyz` | the kubelet | 200, or 503 while this replica should not be counted on |
| `/health` | callers of the application that was here before | healthy, degraded or unhealthy, and figures |
| `/status/detailed` | on-call | counts for everybody; single credentials for callers whom the cluster lets see them |
| `/metrics` | Prometheus | the exposition text |

Anybody in the cluster can reach this port, so: only GET and HEAD, no body is read, every request has a time limit, an
error is told without its text, and what names tenants' objects needs a token that the API server vouches for.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

from aiohttp import web

from tolstoy_operator.observability.metrics import Metrics

_log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REQUEST_SECONDS: Final = 10.0
_SHUTDOWN_SECONDS: Final = 2.0
_IDLE_SECONDS: Final = 75.0
_MAX_TOKEN: Final = 8192
_REVIEWS_AT_A_TIME: Final = 4
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Server": "tolstoy-operator",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold. `detail` is shown to anybody: no names of tenants' objects, no texts of exceptions."""

    name: str
    ok: bool
    detail: str = ""


class HealthSource(Protocol):
    """What the operator knows of itself. Answers from memory, on the event loop's thread."""

    def liveness(self) -> Sequence[Check]:
        """What a restart would mend: a stuck loop, dead watches, a queue that does not move."""
        ...

    def readiness(self) -> Sequence[Check]:
        """What must hold before this replica counts: the inventory is filled, the servers were reached once."""
        ...

    def summary(self) -> Mapping[str, Any]:
        """Figures without names, ready for JSON.

        `secrets: {connected, …}` tells of the secret store: true, false, or null on a replica that has not asked. The
        members `status`, `checks` and `items` are added by the server.
        """
        ...

    def detail(self, namespace: str | None) -> Sequence[Mapping[str, Any]]:
        """One mapping a credential, ready for JSON, of one namespace or of all. Never a value."""
        ...


class Authorizer(Protocol):
    """Asks the API server about a caller."""

    async def allowed(self, token: str, namespace: str | None) -> bool:
        """Whether the token's owner may list ToolCredentials in the namespace (None: in all). False for a bad token."""
        ...


class HttpServer:
    """`start()` it, read `port`, `stop()` it. `port` 0 takes any free one."""

    def __init__(
        self,
        *,
        health: HealthSource,
        metrics: Metrics,
        authorizer: Authorizer,
        host: str,
        port: int,
        request_seconds: float = REQUEST_SECONDS,
    ) -> None:
        self._health = health
        self._metrics = metrics
        self._authorizer = authorizer
        self._host = host
        self._port = port
        self._request_seconds = request_seconds
        self._reviews = asyncio.Semaphore(_REVIEWS_AT_A_TIME)
        self._rendering = asyncio.Lock()
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The bound TCP port; before `start()` the one that was asked for."""
        addresses = self._runner.addresses if self._runner else []
        return int(addresses[0][1]) if addresses else self._port

    async def start(self) -> None:
        """Listen. Raises `OSError` when the address cannot be bound."""
        app = web.Application(middlewares=[self._guard])
        app.on_response_prepare.append(_add_headers)
        for path, handler in (
            ("/healthz", self._healthz),
            ("/readyz", self._readyz),
            ("/health", self._overall),
            ("/status/detailed", self._status),
            ("/metrics", self._exposition),
        ):
            app.router.add_get(path, handler)
        runner = web.AppRunner(
            app,
            access_log=None,  # a line for every probe would drown the rest
            keepalive_timeout=_IDLE_SECONDS,
            lingering_time=0.0,  # the bodies that we do not read are not drained either
            shutdown_timeout=_SHUTDOWN_SECONDS,
        )
        await runner.setup()
        await web.TCPSite(runner, self._host, self._port).start()
        self._runner = runner
        _log.info("health and metrics are served", extra={"http_port": self.port})

    async def stop(self) -> None:
        """Close the port and end the requests underway, within two seconds."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            async with asyncio.timeout(self._request_seconds):
                return await handler(request)
        except web.HTTPException as refusal:  # an unknown path, another method
            headers = {"Allow": refusal.headers["Allow"]} if "Allow" in refusal.headers else None
            return _error(refusal.status, refusal.reason, headers)
        except TimeoutError:
            return _error(503, "timeout")
        except Exception:
            _log.exception("request for %s failed", request.match_info.route.resource)
            return _error(500, "internal error")

    async def _healthz(self, _: web.Request) -> web.Response:
        return _checks(self._health.liveness(), failed=500)

    async def _readyz(self, _: web.Request) -> web.Response:
        return _checks(self._health.readiness(), failed=503)

    async def _overall(self, _: web.Request) -> web.Response:
        status, body = self._state()
        return _json(body, 503 if status == "unhealthy" else 200)

    async def _status(self, request: web.Request) -> web.Response:
        namespaces = request.query.getall("namespace", [])
        if len(namespaces) > 1 or not all(_NAMESPACE.fullmatch(one) for one in namespaces):
            return _error(400, "bad namespace")
        namespace = namespaces[0] if namespaces else None
        body = self._state()[1]
        body["checks"] = [asdict(check) for check in (*self._health.liveness(), *self._health.readiness())]
        if namespace is None and "Authorization" not in request.headers:
            return _json(body)
        if (refusal := await self._refusal(request, namespace)) is not None:
            return refusal
        body["items"] = [dict(one) for one in self._health.detail(namespace)]
        return _response(await asyncio.to_thread(_dump, body))  # thousands of credentials take a while

    async def _exposition(self, request: web.Request) -> web.Response:
        async with self._rendering:  # one thread, however many scrape
            self._metrics.sample()
            accept = request.headers.get("Accept", "")
            text, content_type = await asyncio.to_thread(self._metrics.render, accept)
        return web.Response(body=text, headers={"Content-Type": content_type})

    def _state(self) -> tuple[str, dict[str, Any]]:
        summary = dict(self._health.summary())
        alive = all(check.ok for check in self._health.liveness())
        ready = all(check.ok for check in self._health.readiness())
        cut_off = summary.get("secrets", {}).get("connected") is False
        status = "unhealthy" if not alive else "healthy" if ready and not cut_off else "degraded"
        return status, {"status": status, **summary}

    async def _refusal(self, request: web.Request, namespace: str | None) -> web.Response | None:
        """None when the caller may see the credentials of the namespace, else the response that says no."""
        token = _bearer(request)
        if token is None:
            return _error(401, "a bearer token is needed", {"WWW-Authenticate": "Bearer"})
        async with self._reviews:
            if await self._authorizer.allowed(token, namespace):
                return None
        return _error(403, "forbidden")


def _bearer(request: web.Request) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > _MAX_TOKEN:
        return None
    return token


def _checks(checks: Sequence[Check], *, failed: int) -> web.Response:
    ok = all(check.ok for check in checks)
    body = {"status": "ok" if ok else "failed", "checks": [asdict(check) for check in checks]}
    return _json(body, 200 if ok else failed)


def _error(status: int, text: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return _json({"error": text}, status, headers)


def _json(body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return _response(_dump(body), status, headers)


def _dump(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def _response(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        body=body, status=status, headers={"Content-Type": "application/json; charset=utf-8", **(headers or {})}
    )


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
