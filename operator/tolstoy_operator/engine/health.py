"""Whether this process does its work, and what it has to say to those who ask.

Alive: the loop answers (it is what answers), work that is due gets done, and lists are tried. Ready: the inventory is
filled. Neither asks the API server or the store, so an outage of theirs restarts nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from pydantic.alias_generators import to_camel

from tolstoy_operator.api.v1 import ConditionStatus, ConditionType, ToolCredentialStatus
from tolstoy_operator.domain.status import condition, parse_time
from tolstoy_operator.engine.bindings import Unbound
from tolstoy_operator.engine.dispatcher import Dispatcher
from tolstoy_operator.engine.grants import Grants
from tolstoy_operator.engine.inventory import Inventory
from tolstoy_operator.engine.records import Credential, Key
from tolstoy_operator.engine.upstream import UpstreamHealth
from tolstoy_operator.engine.workqueue import WorkQueue
from tolstoy_operator.observability.http import Check
from tolstoy_operator.observability.metrics import CacheTotals, Metrics
from tolstoy_operator.services.secrets import SecretsService

STUCK_AFTER = 120.0
"""Seconds for which due work may wait while nothing at all gets finished."""
_MISSED_LISTS = 3
_SILENT_LISTS = 2


class Health:
    """Figures of one process. `clock`: monotonic seconds; `resync_interval`: seconds."""

    def __init__(
        self,
        *,
        inventory: Inventory,
        queue: WorkQueue,
        dispatcher: Dispatcher,
        grants: Grants,
        secrets: SecretsService,
        upstream: UpstreamHealth,
        unbound: Unbound,
        is_leader: Callable[[], bool],
        clock: Callable[[], float],
        resync_interval: float,
    ) -> None:
        self._inventory = inventory
        self._queue = queue
        self._dispatcher = dispatcher
        self._grants = grants
        self._secrets = secrets
        self._upstream = upstream
        self._unbound = unbound
        self._is_leader = is_leader
        self._clock = clock
        self._resync_interval = resync_interval
        self._filled = False
        self._listed_at = clock()
        self._complete_at = clock()
        self._silent = 0

    def filled(self) -> None:
        """The first list is complete."""
        self._filled = True
        self.list_tried()

    def list_tried(self) -> None:
        """A list was taken, or the API server did not answer: either way the loop that lists is alive."""
        self._listed_at = self._clock()

    def listed(self, *, news: bool) -> None:
        """A list is complete. `news`: it showed something that nobody had told."""
        silent = self._dispatcher.last_observed < self._complete_at
        self._silent = self._silent + 1 if news and silent else 0
        self._complete_at = self._clock()

    def liveness(self) -> list[Check]:
        """A check that fails means that only a restart helps."""
        overdue = self._queue.oldest_overdue()
        idle = self._clock() - self._dispatcher.last_finished
        listed = self._clock() - self._listed_at
        limit = _MISSED_LISTS * self._resync_interval
        return [
            Check("queue", overdue <= STUCK_AFTER or idle <= STUCK_AFTER, f"oldest work waits {overdue:.0f} s"),
            Check("lists", not self._filled or listed <= limit, f"last list tried {listed:.0f} s ago"),
            Check(
                "watches", self._silent < _SILENT_LISTS, f"lists in a row with news, and no watch told: {self._silent}"
            ),
        ]

    def readiness(self) -> list[Check]:
        """A replica that stands by is ready, too: it can take over at once."""
        return [Check("inventory", self._filled, "filled" if self._filled else "the first list is not complete")]

    def credentials_by_reason(self) -> dict[str, int]:
        """How many credentials have which reason; `Pending` before the first sync."""
        return dict(Counter(map(_reason, self._inventory.credentials())))

    def queue_depth(self) -> int:
        """How many credentials wait for a worker."""
        return self._queue.depth

    def oldest_overdue_seconds(self) -> float:
        """For how long the longest waiting one has waited."""
        return self._queue.oldest_overdue()

    def oldest_overdue_refresh_seconds(self) -> float:
        """For how long the most overdue refresh has been due that the operator is at."""
        return self._grants.oldest_overdue()

    def refreshed_tools(self) -> set[str]:
        """The tools whose tokens this process refreshes."""
        return self._grants.tools()

    def withdrawals_held(self) -> bool:
        """Whether so many bindings went at once that no Secret is withdrawn."""
        return self._unbound.held()

    def is_leader(self) -> bool:
        """Whether this replica acts."""
        return self._is_leader()

    def cache_totals(self) -> CacheTotals:
        """How the cache of secret values has answered so far."""
        stats = self._secrets.stats()
        return CacheTotals(hits=stats.hits, misses=stats.reads, stale=stats.stale_served)

    def summary(self) -> dict[str, Any]:
        """Figures without names of tenants."""
        by_reason = self.credentials_by_reason()
        down = self._upstream.unavailable_since
        return {
            "leader": self._is_leader(),
            "secrets": {
                "connected": False if down else True if self._upstream.last_success else None,
                "unavailableSince": down.isoformat() if down else None,
                "lastAnswer": self._upstream.last_success,
                "cache": {to_camel(name): count for name, count in asdict(self._secrets.stats()).items()},
            },
            "credentials": {"total": sum(by_reason.values()), "byReason": by_reason},
            "withdrawalsHeld": self._unbound.held(),
            "queue": {
                "depth": self._queue.depth,
                "running": self._queue.running,
                "oldestOverdueSeconds": round(self._queue.oldest_overdue(), 1),
            },
        }

    def detail(self, namespace: str | None) -> list[dict[str, Any]]:
        """One entry for each credential of the namespace, or of all; for those who may read them."""
        return [
            self._describe(item)
            for item in sorted(self._inventory.credentials(), key=lambda item: item.key)
            if namespace is None or item.key[0] == namespace
        ]

    def _describe(self, item: Credential) -> dict[str, Any]:
        ready = condition(item.status, ConditionType.READY)
        grant = item.status.grant
        return {
            "namespace": item.key[0],
            "name": item.key[1],
            "ready": ready.status.value if ready else "Unknown",
            "reason": _reason(item),
            "expiresAt": grant.expires_at if grant else None,
            "failuresInARow": self._dispatcher.failures(item.key),
        }


def _reason(item: Credential) -> str:
    return str(item.reason or "Pending")


def observe(metrics: Metrics, key: Key, status: ToolCredentialStatus) -> None:
    """Show the state of one credential, where the installation asked for that."""
    ready = condition(status, ConditionType.READY)
    ends = status.grant.expires_at if status.grant else None
    metrics.observe_credential(
        *key,
        ready=ready is not None and ready.status is ConditionStatus.TRUE,
        expires_at=parse_time(ends).timestamp() if ends else None,
    )
