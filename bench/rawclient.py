"""The least that a client can do: a session, a token, a JSON body, a fixed number of requests at a time.

It sets the benchmarks up, and it is what the operator is compared with: it decides nothing, watches nothing, checks
nothing, and writes what it is told as fast as the API server takes it.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Self, TypeVar

import aiohttp

Object = dict[str, Any]
T = TypeVar("T")

CONCURRENCY = 32
"""As many as the operator has workers, so that both put the same pressure on the API server."""


class RawClient:
    """Requests to one API server. An async context manager."""

    def __init__(self, url: str, ca_file: Path, token: str) -> None:
        self._url = url
        self._tls = ssl.create_default_context(cafile=ca_file)
        self._token = token

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._token}", "Accept": "application/json", "User-Agent": "raw"},
            connector=aiohttp.TCPConnector(ssl=self._tls, limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def send(self, method: str, path: str, body: Any = None, *, content_type: str = "application/json") -> Object:
        """One request and its answer. Raises `RuntimeError` for any status that is no success."""
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        headers = {"Content-Type": content_type}
        async with self._session.request(method, self._url + path, data=data, headers=headers) as response:
            answer = await response.read()
            if response.status >= 300:
                raise RuntimeError(f"{method} {path}: {response.status} {answer[:500]!r}")
            return json.loads(answer) if answer else {}

    async def merge(self, path: str, body: Any) -> Object:
        """A merge patch."""
        return await self.send("PATCH", path, body, content_type="application/merge-patch+json")

    async def items(self, path: str, *, selector: str = "") -> AsyncIterator[Object]:
        """All objects of a collection, in pages of 500."""
        token = ""
        while True:
            page = await self.send("GET", f"{path}?limit=500&labelSelector={selector}&continue={token}")
            for item in page["items"]:
                yield item
            token = page["metadata"].get("continue", "")
            if not token:
                return

    async def watch(self, path: str, *, selector: str = "") -> AsyncIterator[Object]:
        """Events of a collection from now on."""
        newest = (await self.send("GET", f"{path}?limit=1"))["metadata"]["resourceVersion"]
        url = f"{self._url}{path}?watch=true&resourceVersion={newest}&labelSelector={selector}"
        async with self._session.get(url) as response:
            async for line in response.content:
                yield json.loads(line)


async def each(items: Iterable[T], act: Callable[[T], Awaitable[object]], *, concurrency: int = CONCURRENCY) -> None:
    """Do something for each item, for `concurrency` of them at a time."""
    rest = iter(items)

    async def work() -> None:
        for item in rest:
            await act(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work())
