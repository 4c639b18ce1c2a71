"""A provider over TLS that a test scripts to the byte, certificates made on the spot, and a proxy in front of it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Behaviour = Callable[["Request", asyncio.StreamWriter], Awaitable[None]]


class Authority:
    """A certificate authority in a directory of its own: `ca_file`, and contexts for servers it vouches for."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.ca_file = directory / "ca.pem"
        certificate = self._certificate(self._name, self._key.public_key(), [], is_authority=True)
        self.ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def server_context(self, *names: str) -> ssl.SSLContext:
        """TLS settings of a server that may call itself by these names."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        certificate = self._certificate(subject, key.public_key(), names, is_authority=False)
        file = self._directory / f"{names[0]}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, names: Iterable[str], *, is_authority: bool
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        alternative = [x509.DNSName(name) for name in names]
        if alternative:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternative), critical=False)
        return builder.sign(self._key, hashes.SHA256())


@dataclass(frozen=True)
class Request:
    """One request as it arrived. `sni`: the name that the client asked for in the handshake."""

    line: str
    headers: dict[str, str]
    body: str
    sni: str | None


def answer(status: int, body: bytes | str, **headers: str) -> Behaviour:
    """A complete, well-behaved answer. Underscores in header names stand for hyphens."""
    payload = body.encode() if isinstance(body, str) else body

    async def behave(_: Request, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(payload)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + payload)
        await writer.drain()

    return behave


def raw(data: bytes) -> Behaviour:
    """Exactly these bytes, then the end of the connection."""

    async def behave(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return behave


@dataclass
class FakeProvider:
    """What was seen: handshakes that ended well, requests. `behave` answers the next request."""

    behave: Behaviour = field(default_factory=lambda: answer(200, '{"access_token":"at-1"}'))
    handshakes: int = 0
    requests: list[Request] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection."""
        self.handshakes += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            request = await _read_request(reader, writer)
            self.requests.append(request)
            await self.behave(request, writer)
        writer.transport.abort()


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    line, *rest = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in rest)}
    body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
    tls = writer.get_extra_info("ssl_object")
    return Request(line, headers, body, getattr(tls, "asked_for", None))


@contextlib.asynccontextmanager
async def provider(context: ssl.SSLContext | None) -> AsyncIterator[FakeProvider]:
    """A provider on a free port of 127.0.0.1; without a context it speaks plain HTTP."""
    fake = FakeProvider()
    if context is not None:
        context.sni_callback = _remember_name
    writers: set[asyncio.StreamWriter] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            await fake.serve(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()


def _remember_name(tls: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
    tls.asked_for = name  # type: ignore[attr-defined]


@contextlib.asynccontextmanager
async def connect_proxy(*, refuse: bool = False) -> AsyncIterator[list[str]]:
    """A proxy that tunnels everything to 127.0.0.1. Yields its log; the first entry is its own URL."""
    log: list[str] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        log.append(head.split("\r\n")[0])
        if refuse:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            writer.transport.abort()
            return
        port = int(head.split()[1].rpartition(":")[2])
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await asyncio.gather(_pump(reader, to_writer), _pump(to_reader, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    log.append(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield log
    finally:
        server.close()
        await server.wait_closed()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()
