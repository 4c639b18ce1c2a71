"""An HTTP server on the loopback interface that answers as the test says, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client.configuration import Configuration

from tolstoy_operator.kube.client import KubeClient, OnRequest

TOKEN = "canary-bearer-token"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it arrived. `path` is the raw one."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)


@dataclass(slots=True)
class Scripted:
    """`body`: an object, or raw text. `hang`: no answer at all. `cut`: the connection ends instead."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    cut: bool = False


class ApiServer:
    """Answers from a script, the last one again and again. Use it as an asynchronous context manager."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.script: list[Scripted] = [Scripted()]
        self._released = asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._server = TestServer(app)

    async def __aenter__(self) -> ApiServer:
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._released.set()
        await self._server.close()

    def answer(self, *script: Scripted) -> None:
        """What comes next."""
        self.script = list(script)

    def client(self, *, on_request: OnRequest | None = None, path: str = "") -> KubeClient:
        """A client of this server."""
        configuration = Configuration(host=f"{str(self._server.make_url('')).rstrip('/')}{path}")
        configuration.api_key = {"BearerToken": TOKEN}
        configuration.api_key_prefix = {"BearerToken": "Bearer"}
        return KubeClient(configuration, on_request=on_request)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(
            Asked(
                request.method,
                request.raw_path.partition("?")[0],
                dict(request.query),
                request.headers,
                await request.text(),
            )
        )
        now = self.script[0]
        if len(self.script) > 1:
            self.script.pop(0)
        if now.hang:
            await self._released.wait()
        if now.cut:
            assert request.transport is not None
            request.transport.abort()
        text = now.body if isinstance(now.body, str) else json.dumps(now.body)
        return web.Response(status=now.status, text=text, headers=now.headers)
