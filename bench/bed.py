"""The testbed as benchmarks need it: the fast stand-in, the audit log, the settings of a production installation."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from bench.fleet import Fleet
from bench.machine import cpu_seconds
from bench.rawclient import RawClient
from bench.writes import STATUS, Log
from dev.helmcli import NAMESPACE, RELEASE
from dev.testbed import OperatorProcess, Testbed, eventually
from tolstoy_operator.settings import Settings

_CHOSEN = ("secrets_sweep_interval_s", "secrets_cache_duration_ms", "unbind_grace_s", "stall_after_s")
PRODUCTION = {name.upper(): str(Settings.model_fields[name].default) for name in _CHOSEN}
"""The defaults, where the testbed has settings for people who watch."""


class Bed:
    """One control plane, one stand-in, and clients with the administrator's and with the operator's own rights."""

    def __init__(self, testbed: Testbed, admin: RawClient, peer: RawClient) -> None:
        self.testbed = testbed
        self.admin = admin
        self.peer = peer
        """With the operator's ServiceAccount, so that the API server checks the same things for it."""
        self._running: OperatorProcess | None = None

    @property
    def server_pid(self) -> int:
        """The API server's process."""
        return self.testbed.plane.pid("kube-apiserver")

    @contextmanager
    def operator(self, **settings: str) -> Iterator[OperatorProcess]:
        """An operator with production settings. It is told to stop, so that the next one has not to wait."""
        with self.testbed.operator(**{**PRODUCTION, **settings}) as process:
            self._running = process
            yield process
            self._running = None
            process.terminate()

    def log(self) -> Log:
        """The operator's requests from now on."""
        return Log(self.testbed.plane, self._check)

    def _check(self) -> None:
        if self._running is not None and self._running.returncode is not None:
            raise RuntimeError(f"the operator ended with {self._running.returncode}:\n{self._running.tail()}")

    async def set_up(self, fleet: Fleet) -> None:
        """Everything that a fleet is, but for the operator's work."""
        fleet.seed(self.testbed.aws)
        await fleet.bind(self.admin)
        await fleet.apply(self.admin)


@asynccontextmanager
async def open_bed() -> AsyncIterator[Bed]:
    """Start everything but the operator, and stop it again."""
    with Testbed(mode="fast", audit=True, progress=say) as testbed:
        plane = testbed.plane
        token = plane.kubectl("create", "token", RELEASE, "--namespace", NAMESPACE, "--duration=24h").stdout.strip()
        async with (
            RawClient(plane.url, plane.ca_file, plane.token) as admin,
            RawClient(plane.url, plane.ca_file, token) as peer,
        ):
            yield Bed(testbed, admin, peer)


async def synced(log: Log, count: int, *, timeout: float = 600.0) -> None:
    """Wait until `count` statuses have been written."""
    await log.until(lambda seen: len(seen.of(STATUS)) >= count, what=f"{count} statuses", timeout=timeout)


def summary(operator: OperatorProcess) -> dict[str, Any]:
    """What it says about itself."""
    answer: dict[str, Any] = json.loads(operator.get("/status/detailed")[1])
    return answer


def settle(operator: OperatorProcess, *, timeout: float = 120.0) -> float:
    """Wait until nothing is queued and the process rests. Returns the CPU seconds that it has used by then."""

    def resting() -> bool:
        queue = summary(operator)["queue"]
        before = cpu_seconds(operator.pid)
        time.sleep(0.5)
        return queue["depth"] == queue["running"] == 0 and cpu_seconds(operator.pid) - before < 0.05

    eventually(resting, what="the operator rests", timeout=timeout)
    return cpu_seconds(operator.pid)


def say(line: str) -> None:
    """One line of progress."""
    print(f"  [{time.strftime('%H:%M:%S')}] {line}", flush=True)
