"""The operator as a process: with the rights of a ServiceAccount, its own log, and its own HTTP port."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from dev.controlplane import processes
from dev.testbed.waiting import eventually

_ROOT = Path(__file__).resolve().parents[2]
_START_TIMEOUT = 60.0
_NOT_BEYOND = {
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1,localhost",
}
"""A proxy that is not there: the catalogue holds real providers, and no operator here may reach one."""


class OperatorProcess:
    """One replica. Use it as a context manager, or call `start`, and `close` in the end. `module`: what to run."""

    def __init__(
        self,
        kubeconfig: Path,
        environment: Mapping[str, str],
        *,
        name: str = "operator",
        module: str = "tolstoy_operator",
    ) -> None:
        self._module = module
        self._directory = tempfile.TemporaryDirectory(prefix="tolstoy-operator-")
        self.log = Path(self._directory.name) / f"{name}.log"
        self._child: processes.Child | None = None
        self._environment = {
            **{key: value for key, value in os.environ.items() if key in {"PATH", "HOME", "TMPDIR", "LANG"}},
            "PYTHONPATH": str(_ROOT / "operator"),
            "KUBECONFIG": str(kubeconfig),
            "POD_NAME": name,
            "HTTP_HOST": "127.0.0.1",
            "HTTP_PORT": "0",
            **_NOT_BEYOND,
            **environment,
        }

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it at once, and remove what it wrote."""
        self.kill()
        self._directory.cleanup()

    def start(self, *, wait: bool = True) -> Self:
        """Start the process and, with `wait`, return when it says that it is ready."""
        self.log.write_bytes(b"")
        command = [sys.executable, "-m", self._module]
        self._child = processes.spawn(command, log=self.log, env=self._environment, cwd=_ROOT)
        if wait:
            eventually(self._is_ready, what=f"operator is ready\n{self.tail()}", timeout=_START_TIMEOUT)
        return self

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._child is not None
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        """The exit code; None while it runs."""
        assert self._child is not None
        return self._child.poll()

    def terminate(self, timeout: float = 15.0) -> tuple[int, float]:
        """SIGTERM, as Kubernetes sends it. Returns the exit code and the seconds that it took to leave."""
        assert self._child is not None
        started = time.monotonic()
        self._child.terminate()
        return self._child.wait(timeout), time.monotonic() - started

    def kill(self) -> None:
        """End it at once."""
        if self._child is not None:
            processes.stop(self._child, grace=0)

    def signal(self, number: signal.Signals) -> None:
        """Send any other signal."""
        os.kill(self.pid, number)

    def wait_exit(self, timeout: float = 30.0) -> int:
        """The exit code, once it has ended by itself."""
        assert self._child is not None
        return self._child.wait(timeout)

    def records(self) -> list[dict[str, Any]]:
        """Its log so far, one dictionary a line; a line that is not JSON is a failure."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.strip()]

    def tail(self, lines: int = 15) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text().splitlines()[-lines:])

    def get(self, path: str, *, token: str | None = None) -> tuple[int, str]:
        """Ask its HTTP server. Returns status and body."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        with contextlib.closing(connection):
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def metric(self, series: str) -> float:
        """The value of one series, as it stands in /metrics (`name{label="x"}`); 0 when it is not there."""
        _, text = self.get("/metrics")
        for line in text.splitlines():
            if line.startswith(f"{series} "):
                return float(line.rpartition(" ")[2])
        return 0.0

    @property
    def port(self) -> int:
        """Where its HTTP server listens."""
        for line in self.log.read_text().splitlines():
            with contextlib.suppress(ValueError):
                record = json.loads(line)
                if "http_port" in record:
                    return int(record["http_port"])
        raise AssertionError("it has not said where it listens")

    def _is_ready(self) -> bool:
        if self.returncode is not None:
            raise RuntimeError(f"the operator ended with {self.returncode}:\n{self.tail()}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.get("/readyz")[0] == http.client.OK
        return False
