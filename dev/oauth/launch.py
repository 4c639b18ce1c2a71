"""Start a program that says `READY <url>` when it serves, and wait for that line."""

from __future__ import annotations

import json
import os
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dev.controlplane.files import tail
from dev.controlplane.processes import Child, spawn, stop

START_TIMEOUT = 60.0
_STOP_GRACE = 2.0
_CALL_TIMEOUT = 60.0


class StartError(RuntimeError):
    """The program ended or was silent; the message holds the end of its log."""


class Program:
    """A running program with a JSON control API. It stops with this process, however that ends."""

    def __init__(self, command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
        """Start it and wait until it serves. Raises `StartError`."""
        self._directory = tempfile.TemporaryDirectory(prefix="tolstoy-oauth-")
        self.log = Path(self._directory.name) / "log"
        self._child: Child = spawn(command, log=self.log, env={**os.environ, **(env or {})})
        try:
            self.url = self._await_url()
        except BaseException:
            self.stop()
            raise

    def call(self, path: str, body: object = None) -> Any:
        """Ask the control API: a POST with a JSON body, a GET without."""
        data = None if body is None else json.dumps(body).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(urllib.request.Request(self.url + path, data=data), timeout=_CALL_TIMEOUT) as reply:
            return json.load(reply)

    @property
    def pid(self) -> int:
        """Process id, for signals."""
        return self._child.pid

    def stop(self) -> None:
        """End it. Harmless when it has ended."""
        stop(self._child, grace=_STOP_GRACE)
        self._directory.cleanup()

    def _await_url(self) -> str:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            for line in self.log.read_text(errors="replace").splitlines() if self.log.exists() else ():
                if line.startswith("READY "):
                    return line.removeprefix("READY ").strip()
            if self._child.poll() is not None:
                raise StartError(f"it ended with code {self._child.returncode}:\n{tail(self.log)}")
            time.sleep(0.02)
        raise StartError(f"not ready after {START_TIMEOUT:.0f} s:\n{tail(self.log)}")
