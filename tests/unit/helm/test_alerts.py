"""Alerts ask for series that the operator has, and for reasons that the API knows."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from dev.chart import CHART
from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.observability.metrics import Metrics

GROUPS = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())["groups"]
ALERTS: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
each_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])


@pytest.fixture(scope="module")
def series() -> set[str]:
    """Names as Prometheus stores them."""
    families = Metrics(version="0").registry.collect()
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
    return {family.name + suffix for family in families for suffix in suffixes.get(family.type, ("",))}


@each_alert
def test_its_series_exist(alert: dict[str, Any], series: set[str]) -> None:
    asked = set(re.findall(r"tolstoy_\w+", alert["expr"]))
    assert asked
    assert asked <= series


@each_alert
def test_its_reasons_exist(alert: dict[str, Any]) -> None:
    for reasons in re.findall(r'reason=~?"([^"]+)"', alert["expr"]):
        assert set(reasons.split("|")) <= set(Reason)


@each_alert
def test_it_says_whose_turn_it_is_and_what_to_look_at(alert: dict[str, Any], series: set[str]) -> None:
    assert re.match(r"(Platform team|Organisations): ", alert["annotations"]["action"])
    pointed_at = set(re.findall(r"tolstoy_\w+", alert["annotations"]["action"]))
    assert pointed_at <= series | {name.removesuffix("_count") for name in series}
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert alert["for"]
