"""Tables that the code dictates are what the code says."""

from __future__ import annotations

import pytest

from tests.support import generated


@pytest.mark.parametrize("name", generated.PAGES)
def test_the_table_is_up_to_date(name: str) -> None:
    assert generated.part(name) == generated.PAGES[name][1](), "run `python -m tests.support.generated`"


def test_a_range_is_told_as_the_code_checks_it() -> None:
    table = generated.settings()

    assert "| `WORKERS` | `32` | from 1, to 256 | `sync.workers` |" in table
    assert "| `LOG_LEVEL` | `INFO` | `DEBUG`, `INFO`, `WARNING`, `ERROR` | `logLevel` |" in table
    assert "| `REFRESH_TIME_SCALE` | `1` | above 0, to 1 |" in table


def test_every_setting_has_a_meaning() -> None:
    assert all(row.rstrip("| ").count("|") == 5 for row in generated.settings().splitlines()[2:])


def test_a_series_is_told_under_the_name_that_prometheus_stores() -> None:
    table = generated.metrics()

    assert "| `tolstoy_sync_total` | counter | `outcome` |" in table
    assert "| `tolstoy_sync_duration_seconds` | histogram |  |" in table
    assert "python_" not in table
