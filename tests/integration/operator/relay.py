"""A relay between an operator and its API server that a test can cut: connections die, as a load balancer lets them."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from dev.testbed import Testbed


class Relay:
    """Forwards bytes, TLS and all, to the API server. `cut` ends every connection that is open."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        assert target.hostname is not None
        assert target.port is not None
        self._target = (target.hostname, target.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._start(self._accept)

    def cut(self) -> int:
        """End all connections; new ones are welcome. Returns how many there were."""
        with self._lock:
            ends = list(self._open)
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        return len(ends) // 2

    def close(self) -> None:
        """Listen no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                with self._lock:
                    self._open |= {client, server}
                self._start(self._pump, client, server)
                self._start(self._pump, server, client)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                sink.sendall(chunk)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open.discard(source)
        source.close()

    def _start(self, work: object, *args: socket.socket) -> None:
        threading.Thread(target=work, args=args, daemon=True).start()  # type: ignore[arg-type]


@contextlib.contextmanager
def relayed(testbed: Testbed, directory: Path) -> Iterator[tuple[Relay, Path]]:
    """A relay to the testbed's API server, and the operator's kubeconfig that goes through it."""
    relay = Relay(testbed.plane.url)
    config = yaml.safe_load(testbed.kubeconfig.read_text())
    for cluster in config["clusters"]:
        cluster["cluster"]["server"] = relay.url
    path = directory / "relayed.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    try:
        yield relay, path
    finally:
        relay.close()
