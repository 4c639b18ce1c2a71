"""Prometheus metrics, in a registry of their own.

Two ways in. What happens is counted by a method call where it happens. What *is* (how many credentials are in which
state, how long the queue is) is asked of a `FigureSource` when somebody scrapes, so that nothing ticks and nothing goes
stale. The number of series is bounded: reasons are the API's closed list, other labels hold a bounded number of short
words, and series per credential exist only where the installation asked for them and go with the object.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from tolstoy_operator.api.reasons import LOST_REASONS, Reason

OTHER = "other"
PENDING = "Pending"
"""The reason of a credential that has no status yet."""

_REASONS = frozenset({*(reason.value for reason in Reason), PENDING})
_OPENMETRICS = "application/openmetrics-text"
_MAX_WORDS = 100
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,63}")
_SYNC_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_REMAINING_SECONDS = (0, 15, 30, 60, 120, 180, 240, 300, 600, 1800, 3600, 86_400)
_CALL_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


@dataclass(frozen=True, slots=True)
class CacheTotals:
    """Look-ups since the start. `stale`: answered with a value past its time, because upstream could not be asked."""

    hits: int = 0
    misses: int = 0
    stale: int = 0


class FigureSource(Protocol):
    """Current figures, cheap to compute. Called on the event loop's thread, once a scrape."""

    def credentials_by_reason(self) -> Mapping[str, int]:
        """How many credentials have which reason (`PENDING` before the first sync)."""
        ...

    def queue_depth(self) -> int:
        """How many credentials wait for a worker."""
        ...

    def oldest_overdue_seconds(self) -> float:
        """For how long the most overdue credential has been due; 0 when none is."""
        ...

    def oldest_overdue_refresh_seconds(self) -> float:
        """For how long the most overdue refresh has been due that the operator is at; 0 when none is."""
        ...

    def refreshed_tools(self) -> Iterable[str]:
        """The tools whose tokens this process refreshes."""
        ...

    def withdrawals_held(self) -> bool:
        """Whether Secrets of unbound namespaces are kept, because too many bindings went at once."""
        ...

    def is_leader(self) -> bool:
        """Whether this replica acts."""
        ...

    def cache_totals(self) -> CacheTotals:
        """How the cache of secret values has answered so far."""
        ...


@dataclass(frozen=True, slots=True)
class _Sample:
    """One answer of a `FigureSource`, held so that rendering can happen on another thread."""

    by_reason: Mapping[str, int] = field(default_factory=dict)
    queue_depth: int = 0
    overdue: float = 0.0
    refresh_overdue: float = 0.0
    held: bool = False
    leader: bool = False
    cache: CacheTotals = field(default_factory=CacheTotals)


class Metrics:
    """Everything that `/metrics` shows. Thread-safe, except `sample()`, which belongs to the event loop's thread."""

    def __init__(self, *, version: str, per_credential: bool = False) -> None:
        self.registry = CollectorRegistry()
        self._per_credential = per_credential
        self._source: FigureSource | None = None
        self._sample = _Sample()
        self._words = {
            label: _Words() for label in ("operation", "sync", "outcome", "verb", "resource", "code", "kind", "tool")
        }
        self._register_process(version)
        self._register_work()
        self._register_traffic()
        self._register_tokens()
        self._register_pods()
        self._register_credentials()

    def bind(self, source: FigureSource) -> None:
        """Say whom to ask for current figures."""
        self._source = source

    def observe_sync(self, outcome: str, seconds: float) -> None:
        """One reconciliation of a credential. `outcome`: the reason it ended with, or an error class."""
        self._syncs.labels(self._words["sync"](outcome)).inc()
        self._sync_seconds.observe(seconds)

    def observe_upstream_call(self, operation: str, outcome: str, seconds: float) -> None:
        """One call to the secret store, as it went over the wire. `outcome`: "ok" or an error class."""
        operation = self._words["operation"](operation)
        self._upstream_calls.labels(operation, self._words["outcome"](outcome)).inc()
        self._upstream_seconds.labels(operation).observe(seconds)

    def observe_refresh(
        self, tool: str, outcome: str, *, sent: bool = True, remaining: float | None = None, lost: bool = False
    ) -> None:
        """One attempt to refresh a token, by the provider's tool and how it ended.

        `outcome`: "ok", "waiting", "InDoubt" or a reason. `sent`: whether there was a request. `remaining`: seconds
        that the replaced access token still had. `lost`: the attempt showed that the grant is lost.
        """
        tool, outcome = self._words["tool"](tool), self._words["outcome"](outcome)
        (self._refreshes if sent else self._unsent).labels(tool, outcome).inc()
        if remaining is not None:
            self._remaining.observe(max(remaining, 0.0))
        if lost:
            self._lost.labels(tool, outcome).inc()

    def observe_check(self, tool: str, outcome: str) -> None:
        """One question about a token, by the provider's tool and the answer ("ok", "dead", "unknown")."""
        self._checks.labels(self._words["tool"](tool), self._words["outcome"](outcome)).inc()

    def observe_revocation(self, tool: str, outcome: str) -> None:
        """One attempt to revoke a grant, by the provider's tool and how it ended ("ok", "later" or a reason)."""
        self._revocations.labels(self._words["tool"](tool), self._words["outcome"](outcome)).inc()

    def observe_pod_touch(self, outcome: str, seconds: float) -> None:
        """A pod was told of a changed Secret, so many seconds after the change. `outcome`: "ok" or an error class."""
        self._pod_touches.labels(self._words["outcome"](outcome)).inc()
        self._pod_touch_seconds.observe(seconds)

    def observe_restart(self, outcome: str) -> None:
        """A workload was to be restarted. `outcome`: "ok" or an error class."""
        self._restarts.labels(self._words["outcome"](outcome)).inc()

    def observe_kube_request(self, verb: str, resource: str, code: int) -> None:
        """One request to the API server. `verb`: GET, POST, PUT, PATCH, DELETE. `code` 0: no answer."""
        words = self._words
        self._kube_requests.labels(words["verb"](verb), words["resource"](resource), words["code"](str(code))).inc()

    def sweep_succeeded(self, kind: str, at: float) -> None:
        """A sweep of this kind (changed, full) has ended well. `at`: epoch seconds."""
        self._sweeps.labels(self._words["kind"](kind)).set(at)

    def observe_credential(self, namespace: str, name: str, *, ready: bool, expires_at: float | None) -> None:
        """State of one credential; does nothing unless series per credential are on. `expires_at`: epoch seconds."""
        if not self._per_credential:
            return
        self._ready.labels(namespace, name).set(ready)
        if expires_at is None:
            self._expiry.remove(namespace, name)
        else:
            self._expiry.labels(namespace, name).set(expires_at)

    def forget(self, namespace: str, name: str) -> None:
        """The credential is gone, and its series with it."""
        if self._per_credential:
            self._ready.remove(namespace, name)
            self._expiry.remove(namespace, name)

    def sample(self) -> None:
        """Ask the source for current figures, for the next `render()`."""
        source = self._source
        if source is not None:
            self._expect_losses(source.refreshed_tools())
            self._sample = _Sample(
                by_reason=dict(source.credentials_by_reason()),
                queue_depth=source.queue_depth(),
                overdue=source.oldest_overdue_seconds(),
                refresh_overdue=source.oldest_overdue_refresh_seconds(),
                held=source.withdrawals_held(),
                leader=source.is_leader(),
                cache=source.cache_totals(),
            )

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The exposition text and its content type: OpenMetrics where the `Accept` header asks for it, else plain."""
        encode, content_type = choose_encoder(_OPENMETRICS if _OPENMETRICS in accept else "")
        return encode(self.registry), content_type

    def _expect_losses(self, tools: Iterable[str]) -> None:
        """Begin their series at 0: the alert looks for an increase, and a series that begins with a loss shows none."""
        for tool in tools:
            for reason in LOST_REASONS:
                self._lost.labels(self._words["tool"](tool), self._words["outcome"](reason))

    def _register_process(self, version: str) -> None:
        Info("tolstoy_build", "The running version.", registry=self.registry).info({"version": version})
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.registry.register(_SampleCollector(self))

    def _register_work(self) -> None:
        registry = self.registry
        self._syncs = Counter("tolstoy_sync", "Syncs by the reason they ended with.", ["outcome"], registry=registry)
        self._sync_seconds = Histogram(
            "tolstoy_sync_duration_seconds", "Time that a sync took.", buckets=_SYNC_SECONDS, registry=registry
        )
        self._sweeps = Gauge(
            "tolstoy_sweep_last_success_timestamp_seconds",
            "When a sweep last ended well.",
            ["kind"],
            registry=registry,
        )

    def _register_traffic(self) -> None:
        registry = self.registry
        self._upstream_calls = Counter(
            "tolstoy_upstream_calls", "Calls to the secret store.", ["operation", "outcome"], registry=registry
        )
        self._upstream_seconds = Histogram(
            "tolstoy_upstream_call_duration_seconds",
            "Time that a call to the secret store took.",
            ["operation"],
            buckets=_CALL_SECONDS,
            registry=registry,
        )
        self._revocations = Counter(
            "tolstoy_revocations", "Revocations that were tried.", ["tool", "outcome"], registry=registry
        )
        self._kube_requests = Counter(
            "tolstoy_kube_requests",
            "Requests to the Kubernetes API, code 0 for those without an answer.",
            ["verb", "resource", "code"],
            registry=registry,
        )

    def _register_tokens(self) -> None:
        registry = self.registry
        self._refreshes = Counter(
            "tolstoy_token_refreshes",
            "Refreshes for which a request was sent.",
            ["tool", "outcome"],
            registry=registry,
        )
        self._unsent = Counter(
            "tolstoy_token_refreshes_unsent",
            "Looks at a token at which no request was sent, though one was wanted, by what was in the way.",
            ["tool", "outcome"],
            registry=registry,
        )
        self._checks = Counter(
            "tolstoy_token_checks",
            "Questions to providers whether an access token works.",
            ["tool", "outcome"],
            registry=registry,
        )
        self._remaining = Histogram(
            "tolstoy_token_refresh_remaining_seconds",
            "What was left of an access token when it was replaced, 0 once it had ended.",
            buckets=_REMAINING_SECONDS,
            registry=registry,
        )
        self._lost = Counter(
            "tolstoy_grants_lost",
            "Grants whose refresh token turned out to be dead, counted once, when that was found out.",
            ["tool", "reason"],
            registry=registry,
        )

    def _register_pods(self) -> None:
        self._pod_touches = Counter(
            "tolstoy_pod_touches",
            "Pods told that a Secret they mount has changed.",
            ["outcome"],
            registry=self.registry,
        )
        self._restarts = Counter(
            "tolstoy_workload_restarts", "Restarts of workloads that were tried.", ["outcome"], registry=self.registry
        )
        self._pod_touch_seconds = Histogram(
            "tolstoy_pod_touch_delay_seconds",
            "Time from the change of a Secret to the touch of a pod.",
            buckets=_CALL_SECONDS,
            registry=self.registry,
        )

    def _register_credentials(self) -> None:
        if not self._per_credential:
            return
        labels = ["namespace", "name"]
        self._ready = Gauge(
            "tolstoy_credential_ready", "1 while the credential is Ready.", labels, registry=self.registry
        )
        self._expiry = Gauge(
            "tolstoy_credential_expiry_timestamp_seconds",
            "When the credential's token expires; absent when it does not say.",
            labels,
            registry=self.registry,
        )


class _SampleCollector(Collector):
    """Shows the last sample. Every reason is there from the start, so that a rate over it never begins with a gap."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        sample = self._metrics._sample
        credentials = GaugeMetricFamily("tolstoy_credentials", "Credentials by reason.", labels=["reason"])
        counts = dict.fromkeys(sorted(_REASONS), 0)
        for reason, count in sample.by_reason.items():
            counts[_reason(reason)] = counts.get(_reason(reason), 0) + count
        for reason, count in counts.items():
            credentials.add_metric([reason], count)
        yield credentials
        yield GaugeMetricFamily("tolstoy_queue_depth", "Credentials that wait for a worker.", sample.queue_depth)
        yield GaugeMetricFamily(
            "tolstoy_queue_oldest_overdue_seconds", "For how long the most overdue credential is due.", sample.overdue
        )
        yield GaugeMetricFamily(
            "tolstoy_token_refresh_oldest_overdue_seconds",
            "For how long the most overdue refresh is due, without those that wait for a person.",
            sample.refresh_overdue,
        )
        yield GaugeMetricFamily(
            "tolstoy_withdrawals_held",
            "1 while so many bindings are gone at once that no Secret is withdrawn.",
            float(sample.held),
        )
        yield GaugeMetricFamily("tolstoy_leader", "1 while this replica acts.", float(sample.leader))
        cache = CounterMetricFamily("tolstoy_cache", "Look-ups of secret values.", labels=["result"])
        for result, count in (("hit", sample.cache.hits), ("miss", sample.cache.misses), ("stale", sample.cache.stale)):
            cache.add_metric([result], count)
        yield cache


class _Words:
    """Keeps one label to a bounded number of short words: a text, or one word too many, is "other"."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def __call__(self, word: str) -> str:
        if word in self._known:
            return word
        if len(self._known) >= _MAX_WORDS or not _WORD.fullmatch(word):
            return OTHER
        self._known.add(word)
        return word


def _reason(reason: str) -> str:
    return str(reason) if reason in _REASONS else OTHER
