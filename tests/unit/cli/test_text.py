"""Durations, times and texts for people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tolstoy_operator.cli.text import both, clean, parse_span, span, stamp
from tolstoy_operator.domain.status import moment

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.9, "0s"),
        (59, "59s"),
        (60, "1m"),
        (270, "4m30s"),
        (3300, "55m"),
        (3605, "1h"),
        (5400, "1h30m"),
        (86400, "1d"),
        (86400 * 3 + 3600 * 4 + 59, "3d4h"),
        (-270, "4m30s"),
    ],
)
def test_a_span_has_two_units(seconds: float, text: str) -> None:
    assert span(timedelta(seconds=seconds)) == text


@given(st.integers(min_value=1, max_value=10**9))
def test_a_span_is_read_as_at_most_what_was_written(seconds: int) -> None:
    read = parse_span(span(timedelta(seconds=seconds)))
    assert read is not None
    assert 0 <= seconds - read.total_seconds() < max(60, seconds / 24)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("1h30m", 5400), ("7d", 604800), ("1d1h1m1s", 90061)]
)
def test_a_span_of_the_command_line(text: str, seconds: int) -> None:
    assert parse_span(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "h", "1m1h", "-1h", "1.5h", " 1h", "1h ", "0s", "99999999999d", "999999999d24h"]
)
def test_what_is_no_span(text: str) -> None:
    assert parse_span(text) is None


def test_times_are_shown_both_ways() -> None:
    assert both(NOW + timedelta(minutes=55), NOW) == "in 55m (2026-06-01T12:55:00Z)"
    assert both(NOW - timedelta(minutes=5), NOW) == "5m ago (2026-06-01T11:55:00Z)"
    assert both(None, NOW) == "-"


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("2026-06-01T12:00:00Z", "2026-06-01T12:00:00Z"),
        ("2026-06-01T14:00:00.5+02:00", "2026-06-01T12:00:00Z"),
        ("2026-06-01T12:00:00", "2026-06-01T12:00:00Z"),
        ("9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59Z"),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_a_time_in_an_object_is_read_or_is_none(text: str | None, result: str | None) -> None:
    assert stamp(moment(text)) == result


@given(st.text())
def test_nothing_that_others_wrote_steers_the_terminal(text: str) -> None:
    assert clean(text).isprintable()
    assert len(clean(text)) == len(text)


def test_an_escape_sequence_loses_its_escape() -> None:
    assert clean("a\x1b[2Jb\r\nc\x9b1m") == "a [2Jb  c 1m"
