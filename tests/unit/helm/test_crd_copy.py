"""The chart's copies of the CRDs are the CRDs."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev import chart


def test_the_chart_holds_each_crd_as_it_is() -> None:
    assert list(chart.SOURCES.glob("*.yaml"))
    assert chart.stale() == [], "run `python -m dev.chart sync`"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    source, copies = tmp_path / "crds", tmp_path / "chart" / "crds"
    source.mkdir()
    monkeypatch.setattr(chart, "SOURCES", source)
    monkeypatch.setattr(chart, "COPIES", copies)
    return source, copies


def test_sync_adds_changes_and_removes(elsewhere: tuple[Path, Path]) -> None:
    source, copies = elsewhere
    (source / "a.yaml").write_text("one")
    assert chart.sync() == ["a.yaml"]
    (source / "a.yaml").write_text("two")
    assert chart.stale() == ["a.yaml"]
    assert chart.sync() == ["a.yaml"]
    assert (copies / "a.yaml").read_text() == "two"
    (source / "a.yaml").unlink()
    assert chart.sync() == ["a.yaml"]
    assert list(copies.iterdir()) == []
    assert chart.sync() == []
