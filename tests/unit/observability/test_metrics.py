from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.observability.metrics import PENDING, CacheTotals, Metrics


class FakeSource:
    def __init__(self, **figures: Any) -> None:
        self.figures = figures
        self.asked = 0

    def credentials_by_reason(self) -> Mapping[str, int]:
        self.asked += 1
        reasons: Mapping[str, int] = self.figures.get("reasons", {})
        return reasons

    def queue_depth(self) -> int:
        return int(self.figures.get("depth", 0))

    def oldest_overdue_seconds(self) -> float:
        return float(self.figures.get("overdue", 0.0))

    def oldest_overdue_refresh_seconds(self) -> float:
        return float(self.figures.get("refresh_overdue", 0.0))

    def refreshed_tools(self) -> Iterable[str]:
        tools: Iterable[str] = self.figures.get("tools", ())
        return tools

    def withdrawals_held(self) -> bool:
        return bool(self.figures.get("held", False))

    def is_leader(self) -> bool:
        return bool(self.figures.get("leader", False))

    def cache_totals(self) -> CacheTotals:
        return CacheTotals(hits=10, misses=5, stale=1)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(version="1.2.3", per_credential=True)


def value(metrics: Metrics, series_name: str, /, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(series_name, labels)


def series(metrics: Metrics, prefix: str) -> int:
    names = [sample.name for family in metrics.registry.collect() for sample in family.samples]
    return sum(name.startswith(prefix) for name in names)


def test_figures_are_asked_for_at_the_scrape_only(metrics: Metrics) -> None:
    source = FakeSource(
        reasons={"Synced": 7, PENDING: 2}, depth=3, overdue=4.5, refresh_overdue=60, leader=True, held=True
    )
    metrics.bind(source)
    metrics.render()
    assert source.asked == 0
    metrics.sample()
    assert source.asked == 1
    assert value(metrics, "tolstoy_credentials", reason="Synced") == 7
    assert value(metrics, "tolstoy_credentials", reason="Pending") == 2
    assert value(metrics, "tolstoy_credentials", reason="AccessDenied") == 0
    assert value(metrics, "tolstoy_queue_depth") == 3
    assert value(metrics, "tolstoy_queue_oldest_overdue_seconds") == 4.5
    assert value(metrics, "tolstoy_token_refresh_oldest_overdue_seconds") == 60
    assert value(metrics, "tolstoy_leader") == 1
    assert value(metrics, "tolstoy_withdrawals_held") == 1
    assert value(metrics, "tolstoy_cache_total", result="hit") == 10
    assert value(metrics, "tolstoy_cache_total", result="miss") == 5
    assert value(metrics, "tolstoy_cache_total", result="stale") == 1


def test_without_a_source_there_is_an_answer_too(metrics: Metrics) -> None:
    metrics.sample()
    assert value(metrics, "tolstoy_leader") == 0


def test_the_reasons_are_a_closed_list(metrics: Metrics) -> None:
    metrics.bind(FakeSource(reasons={"Synced": 1, "Nonsense": 2, "more\nnonsense": 3}))
    metrics.sample()
    assert value(metrics, "tolstoy_credentials", reason="other") == 5
    assert series(metrics, "tolstoy_credentials") == len(Reason) + 2


def test_syncs_are_counted_by_reason_and_timed(metrics: Metrics) -> None:
    metrics.observe_sync(Reason.SYNCED, 0.02)
    metrics.observe_sync("Synced", 0.2)
    metrics.observe_sync("what it said", 2)
    metrics.observe_sync("KubeUnavailable", 0)
    assert value(metrics, "tolstoy_sync_total", outcome="Synced") == 2
    assert value(metrics, "tolstoy_sync_total", outcome="KubeUnavailable") == 1
    assert value(metrics, "tolstoy_sync_total", outcome="other") == 1
    assert value(metrics, "tolstoy_sync_duration_seconds_count") == 4
    assert value(metrics, "tolstoy_sync_duration_seconds_sum") == pytest.approx(2.22)


def test_upstream_calls_and_kube_requests(metrics: Metrics) -> None:
    metrics.observe_upstream_call("BatchGetSecretValue", "ok", 0.1)
    metrics.observe_upstream_call("BatchGetSecretValue", "Throttled", 0.3)
    metrics.observe_kube_request("patch", "secrets", 200)
    metrics.observe_kube_request("patch", "secrets", 0)
    assert value(metrics, "tolstoy_upstream_calls_total", operation="BatchGetSecretValue", outcome="Throttled") == 1
    assert value(metrics, "tolstoy_upstream_call_duration_seconds_count", operation="BatchGetSecretValue") == 2
    assert value(metrics, "tolstoy_kube_requests_total", verb="patch", resource="secrets", code="200") == 1
    assert value(metrics, "tolstoy_kube_requests_total", verb="patch", resource="secrets", code="0") == 1


def test_refreshes_say_how_late_they_were_and_what_was_lost(metrics: Metrics) -> None:
    metrics.observe_refresh("github", "ok", remaining=250)
    metrics.observe_refresh("github", "ok", remaining=-30)
    metrics.observe_refresh("github", "InDoubt")
    metrics.observe_refresh("github", "RotationResponseLost", lost=True)
    metrics.observe_refresh("github", "InDoubt", sent=False)
    assert value(metrics, "tolstoy_token_refreshes_total", tool="github", outcome="ok") == 2
    assert value(metrics, "tolstoy_token_refreshes_total", tool="github", outcome="InDoubt") == 1
    assert value(metrics, "tolstoy_token_refreshes_unsent_total", tool="github", outcome="InDoubt") == 1
    assert value(metrics, "tolstoy_token_refresh_remaining_seconds_bucket", le="0.0") == 1
    assert value(metrics, "tolstoy_token_refresh_remaining_seconds_bucket", le="240.0") == 1
    assert value(metrics, "tolstoy_token_refresh_remaining_seconds_bucket", le="300.0") == 2
    assert value(metrics, "tolstoy_grants_lost_total", tool="github", reason="RotationResponseLost") == 1


def test_the_first_lost_grant_of_a_tool_is_an_increase(metrics: Metrics) -> None:
    """What Prometheus makes of a series that begins with its first loss is nothing."""
    metrics.bind(FakeSource(tools=["github"]))
    metrics.sample()
    reasons = ("RotationResponseLost", "ReauthorizationRequired")
    assert [value(metrics, "tolstoy_grants_lost_total", tool="github", reason=reason) for reason in reasons] == [0, 0]
    metrics.observe_refresh("github", "RotationResponseLost", lost=True)
    metrics.sample()
    assert [value(metrics, "tolstoy_grants_lost_total", tool="github", reason=reason) for reason in reasons] == [1, 0]


def test_labels_hold_short_words_and_not_too_many(metrics: Metrics) -> None:
    for number in range(1000):
        metrics.observe_upstream_call(f"Operation{number}", "ok", 0.1)
    metrics.observe_upstream_call("Operation0", "an error with a text: secret", 0.1)
    metrics.observe_upstream_call("Operation0", "x" * 65, 0.1)
    assert series(metrics, "tolstoy_upstream_calls_total") <= 102
    assert value(metrics, "tolstoy_upstream_calls_total", operation="other", outcome="ok") == 900
    assert value(metrics, "tolstoy_upstream_calls_total", operation="Operation0", outcome="other") == 2


def test_sweeps_say_when_they_last_ended_well(metrics: Metrics) -> None:
    metrics.sweep_succeeded("full", 1000.0)
    metrics.sweep_succeeded("full", 2000.0)
    assert value(metrics, "tolstoy_sweep_last_success_timestamp_seconds", kind="full") == 2000


def test_series_of_a_credential_come_and_go_with_it(metrics: Metrics) -> None:
    labels = {"namespace": "team-a", "name": "github"}
    metrics.observe_credential(**labels, ready=True, expires_at=123.0)
    assert value(metrics, "tolstoy_credential_ready", **labels) == 1
    assert value(metrics, "tolstoy_credential_expiry_timestamp_seconds", **labels) == 123
    metrics.observe_credential(**labels, ready=False, expires_at=None)
    assert value(metrics, "tolstoy_credential_ready", **labels) == 0
    assert value(metrics, "tolstoy_credential_expiry_timestamp_seconds", **labels) is None
    metrics.forget(**labels)
    metrics.forget(**labels)
    assert series(metrics, "tolstoy_credential_") == 0


def test_series_of_credentials_are_opt_in() -> None:
    metrics = Metrics(version="1")
    metrics.observe_credential("team-a", "github", ready=True, expires_at=123.0)
    metrics.forget("team-a", "github")
    assert series(metrics, "tolstoy_credential_") == 0


def test_two_instances_share_nothing(metrics: Metrics) -> None:
    metrics.observe_sync(Reason.SYNCED, 0.1)
    assert value(Metrics(version="2"), "tolstoy_sync_total", outcome="Synced") is None
    assert value(metrics, "tolstoy_build_info", version="1.2.3") == 1


@pytest.mark.parametrize(
    "accept", ["", "*/*", "text/plain;version=bad", "application/openmetrics-text;version=../\u20ac"]
)
def test_any_accept_header_gets_an_answer(metrics: Metrics, accept: str) -> None:
    text, content_type = metrics.render(accept)
    assert b"tolstoy_leader 0.0" in text
    assert content_type.isascii()
