"""A stand-in as a process, for tests, demo and benchmarks.

It can be stopped and started again on the same port: clients then see refused connections, as in an outage, and find
their secrets when it is back.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import boto3
from botocore.config import Config

from dev.controlplane import processes

_ROOT = Path(__file__).resolve().parents[2]
_START_TIMEOUT = 60.0


class SecretsManagerServer:
    """Context manager around one stand-in. `mode`: "strict" (correct) or "fast" (for many calls).

    `region` is where `seed` puts secrets and where `env` and `client` point. `host`: the address of this machine to
    listen on, for clients elsewhere; strict mode only.
    """

    def __init__(
        self, mode: Literal["strict", "fast"] = "strict", *, region: str = "us-east-1", host: str = "127.0.0.1"
    ) -> None:
        self.region = region
        self._host = host
        self._mode = mode
        self._port = 0
        self._child: processes.Child | None = None
        self._state: list[Any] | None = None
        self._directory = tempfile.TemporaryDirectory(prefix="secretsmanager-")
        self._log = Path(self._directory.name) / "log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, _type: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self.stop(keep=False)
        self._directory.cleanup()

    def start(self) -> None:
        """Start, on the same port as before if there was one, with the state that `stop` kept."""
        command = [sys.executable, "-m", "dev.secretsmanager", "--port", str(self._port), "--region", self.region]
        if self._mode == "fast":
            command.append("--fast")
        else:
            command += ["--host", self._host]
        self._log.write_bytes(b"")
        # Warnings in that process are about moto's insides; they would only fill its log.
        environment = {**os.environ, "PYTHONPATH": str(_ROOT), "PYTHONWARNINGS": "ignore"}
        self._child = processes.spawn(command, log=self._log, env=environment, cwd=_ROOT)
        self._port = self._await_ready()
        if self._state is not None:
            self._control("PUT", "state", {"secrets": self._state})

    def stop(self, *, keep: bool = True) -> None:
        """End the process; with `keep` the secrets are there again after `start`."""
        if self._child is None:
            return
        if keep:
            self._state = self._control("GET", "state")["secrets"]
        processes.stop(self._child, grace=0)
        self._child = None

    def _await_ready(self) -> int:
        assert self._child is not None
        deadline = time.monotonic() + _START_TIMEOUT
        while time.monotonic() < deadline and self._child.poll() is None:
            for line in self._log.read_text().splitlines():
                if line.startswith("READY "):
                    return int(line.rpartition(":")[2])
            time.sleep(0.02)
        processes.stop(self._child, grace=0)
        raise RuntimeError(f"the Secrets Manager stand-in did not start:\n{self._log.read_text()}")

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return f"http://{self._host}:{self._port}"

    @property
    def port(self) -> int:
        """Where it listens; the same after a restart."""
        return self._port

    def env(self) -> dict[str, str]:
        """Environment variables that point any AWS client at it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "example",
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str = "secretsmanager", **config: Any) -> Any:
        """A boto3 client for it, without retries unless `config` says otherwise."""
        options = {"retries": {"total_max_attempts": 1}, "read_timeout": 30, **config}
        session = boto3.Session(
            aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key="example", region_name=self.region
        )
        return session.client(service, endpoint_url=self.endpoint, config=Config(**options))

    def calls(self) -> Counter[str]:
        """How often each operation was called since the start or `reset_calls`."""
        return Counter(self._control("GET", "calls")["calls"])

    def reset_calls(self) -> None:
        """Count from zero."""
        self._control("DELETE", "calls")

    def fault(
        self, kind: str, *, operation: str = "*", secret: str = "*", seconds: float = 0.0, count: int | None = None
    ) -> None:
        """Let matching calls go wrong: see `control`. `count` None: until `clear_faults`."""
        rule = {"kind": kind, "operation": operation, "secret": secret, "seconds": seconds, "count": count}
        self._control("POST", "faults", rule)

    def clear_faults(self) -> None:
        """Everything works again."""
        self._control("DELETE", "faults")

    def set_list_lag(self, seconds: float) -> None:
        """ListSecrets shows what was true so long ago."""
        self._control("PUT", "list-lag", {"seconds": seconds})

    def seed(self, secrets: Mapping[str, str] | Iterable[tuple[str, str]]) -> None:
        """Create or overwrite many secrets, uncounted. Name to value."""
        pairs = secrets.items() if isinstance(secrets, Mapping) else secrets
        self._control("POST", "seed", {"secrets": [{"name": name, "value": value} for name, value in pairs]})

    def spread(self, seconds: float) -> None:
        """Have the secrets been created and changed one after another in the time before they were. Fast mode only."""
        stored = self._control("GET", "state")["secrets"]
        for number, secret in enumerate(stored, start=1):
            earlier = seconds * number / len(stored)
            secret["created"] -= earlier
            secret["changed"] -= earlier
        self._control("PUT", "state", {"secrets": stored})

    def _control(self, method: str, what: str, body: Mapping[str, Any] | None = None) -> Any:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, f"/_control/{what}", json.dumps(body or {}))
            response = connection.getresponse()
            document = json.loads(response.read())
        if response.status != http.client.OK:
            raise RuntimeError(f"{method} {what}: {document}")
        return document
