"""A faulty network between a client and a server that works.

The faults that matter happen after the server has acted: it has rotated the refresh token, and the client does not
hear of it. So the proxy forwards a request, reads the whole reply, and only then does harm, as told by its control API:

    POST /_proxy/faults   {"action": "drop", "path": "/token", "times": 1}      a rule, behind those that are there
    POST /_proxy/clear    {}                                                    forget all rules
    GET  /_proxy/state    {"requests": …, "faults": {"drop": …}}

| action | what happens |
|---|---|
| refuse | the connection is cut before the request is forwarded |
| answer | `status` and `body` come from the proxy, nothing is forwarded |
| drop | forwarded; the reply is thrown away and the connection cut |
| hang | forwarded; the reply never comes, the connection stays |
| delay | forwarded; the reply comes after `seconds` |
| truncate | forwarded; the connection is cut after `bytes` of the body |
| duplicate | forwarded twice, as a network may; the first reply is passed on |

A rule with `probability` (0 to 1) is applied by chance, from a generator that `seed` starts. One process, one event
loop; `python -m dev.oauth.proxy --upstream http://127.0.0.1:1234` prints `READY <url>`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self
from urllib.parse import urlsplit

from dev.oauth.launch import Program


class Action(StrEnum):
    """What to do to one request."""

    REFUSE = "refuse"
    ANSWER = "answer"
    DROP = "drop"
    HANG = "hang"
    DELAY = "delay"
    TRUNCATE = "truncate"
    DUPLICATE = "duplicate"


@dataclass
class Fault:
    """A rule. `times`: how often it still applies, None for ever. `path`: beginning of the path it applies to."""

    action: Action
    path: str = "/token"
    times: int | None = 1
    probability: float = 1.0
    seconds: float = 1.0
    bytes: int = 10
    status: int = 503
    body: str = ""

    def __post_init__(self) -> None:
        self.action = Action(self.action)


@dataclass(frozen=True)
class Message:
    """A request or a reply: first line, header lines and body."""

    first: str
    headers: tuple[str, ...]
    body: bytes

    @property
    def path(self) -> str:
        """The path of a request."""
        return self.first.split(" ")[1]

    def encode(self) -> bytes:
        """As sent, one message a connection."""
        kept = [line for line in self.headers if line.partition(":")[0].lower() not in _REWRITTEN]
        lines = [self.first, *kept, f"Content-Length: {len(self.body)}", "Connection: close", "", ""]
        return "\r\n".join(lines).encode("latin-1") + self.body


_LINGER = 1.0
_REWRITTEN = {"content-length", "connection", "keep-alive", "transfer-encoding"}


async def read_message(reader: asyncio.StreamReader, *, is_reply: bool) -> Message:
    """A whole message. Raises asyncio.IncompleteReadError when it is cut."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *headers = head[:-4].split("\r\n")
    values = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in headers)}
    if "content-length" in values:
        body = await reader.readexactly(int(values["content-length"]))
    elif values.get("transfer-encoding") == "chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.read() if is_reply else b""
    return Message(first, tuple(headers), body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readline()
    return body


class FaultProxy:
    """The proxy within this event loop; see `ProxyProcess` for one of its own."""

    def __init__(self, upstream: str, *, seed: int | None = None) -> None:
        self._upstream = urlsplit(upstream)
        self._random = random.Random(seed)
        self._faults: list[Fault] = []
        self._counts: Counter[str] = Counter()
        self._requests = 0

    @contextlib.asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[str]:
        """Serve on 127.0.0.1; yields the URL."""
        tasks: set[asyncio.Task[None]] = set()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._serve(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(connected, "127.0.0.1", port)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await server.wait_closed()

    def add(self, fault: Fault) -> None:
        """Apply a rule from now on, behind those that are there."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Forget all rules."""
        self._faults.clear()

    def state(self) -> dict[str, Any]:
        """What was seen and done."""
        return {"requests": self._requests, "faults": dict(self._counts)}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                data = await self._reply_to(await read_message(reader, is_reply=False))
                if data is not None:
                    writer.write(data)
                    writer.write_eof()
                    # A reset could take back what the peer has not read yet: let it hang up first.
                    async with asyncio.timeout(_LINGER):
                        await reader.read()
        finally:
            # A reset instead of an orderly end: what a broken network looks like.
            writer.transport.abort()

    async def _reply_to(self, request: Message) -> bytes | None:
        """What goes back over the connection before it ends, None for nothing at all."""
        if request.path.startswith("/_proxy/"):
            return self._control(request).encode()
        self._requests += 1
        fault = self._pick(request.path)
        if fault is None:
            return (await self._forward(request)).encode()
        if fault.action is Action.ANSWER:
            return _reply(fault.status, fault.body).encode()
        return None if fault.action is Action.REFUSE else await self._harm(fault, request)

    def _control(self, request: Message) -> Message:
        try:
            body = json.loads(request.body or b"{}")
            match request.path:
                case "/_proxy/faults":
                    self.add(Fault(**body))
                case "/_proxy/clear":
                    self.clear()
            return _reply(200, json.dumps(self.state()))
        except (TypeError, ValueError) as error:
            return _reply(400, str(error))

    def _pick(self, path: str) -> Fault | None:
        for fault in self._faults:
            if path.startswith(fault.path) and self._random.random() < fault.probability:
                if fault.times is not None:
                    fault.times -= 1
                    if not fault.times:
                        self._faults.remove(fault)
                self._counts[fault.action] += 1
                return fault
        return None

    async def _harm(self, fault: Fault, request: Message) -> bytes | None:
        reply = await self._forward(request)
        data = reply.encode()
        match fault.action:
            case Action.DROP:
                return None
            case Action.HANG:
                await asyncio.Event().wait()
            case Action.DELAY:
                await asyncio.sleep(fault.seconds)
            case Action.TRUNCATE:
                return data[: len(data) - len(reply.body) + fault.bytes]
            case Action.DUPLICATE:
                await self._forward(request)
        return data

    async def _forward(self, request: Message) -> Message:
        reader, writer = await asyncio.open_connection(self._upstream.hostname, self._upstream.port)
        try:
            writer.write(request.encode())
            await writer.drain()
            return await read_message(reader, is_reply=True)
        finally:
            writer.transport.abort()


def _reply(status: int, body: str) -> Message:
    return Message(f"HTTP/1.1 {status} Proxy", ("Content-Type: application/json",), body.encode())


class ProxyProcess:
    """The proxy as a child process; a context manager."""

    def __init__(self, upstream: str, *, seed: int | None = None) -> None:
        command = [sys.executable, "-m", "dev.oauth.proxy", "--upstream", upstream]
        self._program = Program([*command, "--seed", str(seed)] if seed is not None else command)
        self.url = self._program.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the proxy."""
        self._program.stop()

    def add(self, action: Action, **options: object) -> None:
        """Apply a rule from now on; options as in `Fault`."""
        self._program.call("/_proxy/faults", {"action": action, **options})

    def clear(self) -> None:
        """Forget all rules."""
        self._program.call("/_proxy/clear", {})

    def state(self) -> dict[str, Any]:
        """What was seen and done."""
        found: dict[str, Any] = self._program.call("/_proxy/state")
        return found


async def _run(arguments: argparse.Namespace) -> None:
    async with FaultProxy(arguments.upstream, seed=arguments.seed).serving(arguments.port) as url:
        print(f"READY {url}", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m dev.oauth.proxy")
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
