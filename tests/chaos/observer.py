"""Who looks from outside: at what the Secrets hold second by second, and at what the statuses tell.

Where a status asks for a new consent, the organisation gives it, so that the run goes on; whether that was asked for
rightly is found out afterwards.
"""

from __future__ import annotations

import base64
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.chaos.world import NAMESPACE, Cluster, World
from tests.support.kubeapi import CREDENTIALS

_SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets?labelSelector=tolstoy.dev/managed"
_ASKS = ("RotationResponseLost", "ReauthorizationRequired")


@dataclass
class Seen:
    """What was seen. `invalid`: moments at which a Secret held no valid token, by cluster and organisation's secret.

    `asked`: each status that asked for a new consent: secret, reason, moment. `looks`: how often a Secret was judged.
    """

    looks: int = 0
    invalid: list[tuple[str, str, float]] = field(default_factory=list)
    asked: list[tuple[str, str, float]] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)


class Observer:
    """Looks once a second, in a thread of its own."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="observer")
        self._names = {name.rpartition("/")[2]: name for name in world.consents}
        self._ends: dict[tuple[str, str], float] = {}
        self._answered: dict[str, float] = {}
        self.error: BaseException | None = None
        self.seen = Seen()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End. Raises what ended the thread before."""
        self._end.set()
        self._thread.join()
        if self.error is not None:
            raise self.error

    def settled(self) -> bool:
        """Whether all Secrets of all clusters hold valid tokens, and all statuses say so."""
        return all(self._is_settled(cluster) for cluster in self._world.clusters)

    def unwell(self) -> str:
        """What is not well, for people."""
        found: Counter[str] = Counter()
        for cluster in self._world.clusters:
            for item in _items(cluster, CREDENTIALS.format(NAMESPACE)):
                if _ready(item).get("reason") != "Synced":
                    found[
                        str(_ready(item).get("message"))[len(str(item["status"].get("upstream", {}).get("name"))) :]
                    ] += 1
            found[f"{cluster.name}: Secrets with an ended token"] = sum(
                ends <= time.time() for _, ends in self._tokens(cluster)
            )
        return "\n".join(f"{count:4} {what}" for what, count in found.most_common())

    def _is_settled(self, cluster: Cluster) -> bool:
        items = _items(cluster, CREDENTIALS.format(NAMESPACE))
        ready = [_ready(item).get("reason") == "Synced" for item in items]
        held = dict(self._tokens(cluster))
        return len(ready) == len(held) == len(self._world.consents) and all(ready) and min(held.values()) > time.time()

    def _run(self) -> None:
        try:
            while not self._end.wait(1.0):
                for cluster in self._world.clusters:
                    self._look_at(cluster)
        except BaseException as error:  # the main thread raises it
            self.error = error

    def _look_at(self, cluster: Cluster) -> None:
        if not cluster.api_down.is_set():
            try:
                self._ends.update({(cluster.name, name): ends for name, ends in self._tokens(cluster)})
                for item in _items(cluster, CREDENTIALS.format(NAMESPACE)):
                    self._hear(item)
            except httpx.HTTPError:
                pass  # the API server is going down; the Secrets are what they were
        now = time.time()
        for (where, name), ends in self._ends.items():
            if where == cluster.name:
                self.seen.looks += 1
                if ends <= now:
                    self.seen.invalid.append((where, name, now))

    def _tokens(self, cluster: Cluster) -> list[tuple[str, float]]:
        found = []
        for item in _items(cluster, _SECRETS):
            expires = base64.b64decode(item["data"]["expiresAt"]).decode()
            found.append((self._names[item["metadata"]["name"]], float(expires) / 1000))
        return found

    def _hear(self, item: dict[str, Any]) -> None:
        ready, upstream = _ready(item), (item.get("status") or {}).get("upstream") or {}
        reason, name = ready.get("reason"), upstream.get("name")
        if reason not in _ASKS or name is None:
            return
        since = (item["status"].get("grant") or {}).get("lastError") or {}
        mark = f"{upstream.get('versionId')} {reason}"
        if self._answered.get(mark) or not since:
            return
        self._answered[mark] = time.time()
        given = self._world.consents[name][-1].given
        if time.time() - given < 5:  # told of the version before
            return
        self.seen.asked.append((name, reason, time.time()))
        try:
            self._world.consent(name)
        except Exception:  # Secrets Manager is away: asked again at the next look
            self._answered.pop(mark)
            self.seen.asked.pop()


def _items(cluster: Cluster, path: str) -> list[dict[str, Any]]:
    answer = cluster.admin.get(path)
    items: list[dict[str, Any]] = answer.body.get("items", []) if answer.ok else []
    return items


def _ready(item: dict[str, Any]) -> dict[str, Any]:
    conditions = (item.get("status") or {}).get("conditions") or []
    return next((condition for condition in conditions if condition["type"] == "Ready"), {})
