"""What goes wrong, and when: drawn from a seed, one thing after another."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from dev.controlplane.cluster import ControlPlaneError
from dev.oauth.proxy import Action
from dev.testbed import OperatorProcess
from tests.chaos.world import Cluster, World

REPLIES: dict[Action, dict[str, object]] = {
    Action.DROP: {"probability": 0.012},
    Action.TRUNCATE: {"probability": 0.008},
    Action.HANG: {"probability": 0.004},
    Action.DELAY: {"probability": 0.05, "seconds": 0.3},
    Action.REFUSE: {"probability": 0.03},
    Action.ANSWER: {"probability": 0.03, "status": 503, "body": "<html>busy</html>"},
}
"""What the network and the provider do to token requests all the time."""
_AWS = ("throttle", "500", "blackhole", "lost", "delay")


class Monkey:
    """Breaks things in a world, and has them come back. `done` counts what it did."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = random.Random(world.plan.seed)
        self._wake: dict[int, float] = {}
        self._revive: dict[int, tuple[float, OperatorProcess]] = {}
        self._later: list[tuple[float, Callable[[], None]]] = []
        self.done: Counter[str] = Counter()

    def begin(self) -> None:
        """Make the network a bad one, and the operators mortal."""
        self._world.unsettle()
        for action, options in REPLIES.items():
            self._world.proxy.add(action, times=None, **options)

    def tick(self) -> None:
        """Break one thing, perhaps. Call it twice a second."""
        self.tend()
        if self._random.random() < self._world.plan.fault_rate:
            weights = {
                self._kill: 4,
                self._stop: 3,
                self._break_aws: 3,
                self._restart_aws: 1,
                self._restart_api: 1,
                self._freeze_api: 1,
            }
            self._random.choices(list(weights), list(weights.values()))[0]()

    def tend(self) -> None:
        """Have come back what is due to."""
        now = time.monotonic()
        due = [item for item in self._later if item[0] <= now]
        self._later = [item for item in self._later if item[0] > now]
        for _, act in due:
            act()
        for cluster in self._world.clusters:
            for operator in cluster.operators:
                self._tend(operator, now)

    def end(self) -> None:
        """Break nothing more, and have everything back."""
        self._world.calm()
        self._world.proxy.clear()
        for _, act in self._later:
            act()
        self._later.clear()
        self._world.aws.clear_faults()
        for cluster in self._world.clusters:
            for operator in cluster.operators:
                if operator.returncode is not None:
                    operator.start(wait=False)
                else:
                    operator.signal(signal.SIGCONT)

    def _tend(self, operator: OperatorProcess, now: float) -> None:
        if operator.returncode is not None:
            at, _ = self._revive.setdefault(id(operator), (now + self._random.uniform(0.5, 3), operator))
            if now >= at:
                self._revive.pop(id(operator))
                self.done["operators started again"] += 1
                operator.start(wait=False)
        elif _is_stopped(operator.pid):
            longest = 2 * self._world.plan.ttl
            at = self._wake.setdefault(operator.pid, now + self._random.uniform(0.5, longest))
            if now >= at:
                self._wake.pop(operator.pid)
                operator.signal(signal.SIGCONT)

    def _any_operator(self) -> OperatorProcess:
        return self._random.choice(self._any_cluster().operators)

    def _any_cluster(self) -> Cluster:
        return self._random.choice(self._world.clusters)

    def _kill(self) -> None:
        operator = self._any_operator()
        if operator.returncode is None:
            self.done["kill -9"] += 1
            operator.signal(signal.SIGKILL)

    def _stop(self) -> None:
        operator = self._any_operator()
        if operator.returncode is None:
            self.done["SIGSTOP"] += 1
            operator.signal(signal.SIGSTOP)

    def _break_aws(self) -> None:
        kind = self._random.choice(_AWS)
        self.done[f"Secrets Manager: {kind}"] += 1
        options = {"seconds": 1.0} if kind == "delay" else {}
        count = self._random.randint(1, 30) if kind in ("lost", "delay") else None
        self._world.aws.fault(kind, count=count, **options)  # type: ignore[arg-type]  # seconds only
        self._in(self._random.uniform(0.5, 4), self._world.aws.clear_faults)

    def _restart_aws(self) -> None:
        self.done["Secrets Manager restarted"] += 1
        self._world.aws.fault("500")  # nothing is accepted between the snapshot and the end
        time.sleep(1.5)
        self._world.aws.stop()
        time.sleep(self._random.uniform(0.2, 2))
        self._world.aws.start()

    def _take_api(self, fault: str) -> Cluster | None:
        """A cluster whose API server counts as down from here on; None when that of the one drawn is down already."""
        cluster = self._any_cluster()
        if cluster.api_down.is_set():
            return None
        self.done[fault] += 1
        cluster.api_down.set()
        return cluster

    def _restart_api(self) -> None:
        cluster = self._take_api("API server restarted")
        if cluster is None:
            return
        with contextlib.suppress(ControlPlaneError):
            cluster.testbed.plane.stop_apiserver()
        self._in(self._random.uniform(0.5, 8), lambda: self._start_api(cluster))

    def _freeze_api(self) -> None:
        """Connections stay open, and nobody answers."""
        cluster = self._take_api("API server silent")
        if cluster is None:
            return
        pid = cluster.testbed.plane.pid("kube-apiserver")
        os.kill(pid, signal.SIGSTOP)
        self._in(self._random.uniform(0.5, 12), lambda: self._thaw_api(cluster, pid))

    def _thaw_api(self, cluster: Cluster, pid: int) -> None:
        os.kill(pid, signal.SIGCONT)
        cluster.api_down.clear()

    def _start_api(self, cluster: Cluster) -> None:
        cluster.testbed.plane.start_apiserver()
        cluster.api_down.clear()

    def _in(self, seconds: float, act: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + seconds, act))


def _is_stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False
