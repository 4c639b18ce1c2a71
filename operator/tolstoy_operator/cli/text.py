"""Times and texts for people."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_LONGEST_DIGITS = 9


def clean(text: str) -> str:
    """One line without control characters: what others wrote must not steer the terminal of who reads it."""
    return "".join(char if char.isprintable() else " " for char in text)


def stamp(at: datetime | None) -> str | None:
    """RFC 3339 in UTC and whole seconds."""
    if at is None:
        return None
    try:
        at = at.astimezone(UTC)
    except OverflowError:
        at = at.replace(tzinfo=UTC)  # at the very end of the calendar an hour more or less is no matter
    return f"{at.replace(tzinfo=None, microsecond=0).isoformat()}Z"


def span(length: timedelta) -> str:
    """The two largest units of a duration, such as `3d4h`, `55m` or `4m30s`; the sign is dropped."""
    left = abs(int(length.total_seconds()))
    parts: list[str] = []
    for unit, seconds in _UNITS:
        count, left = divmod(left, seconds)
        if count:
            parts.append(f"{count}{unit}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return "".join(parts) or "0s"


def relative(at: datetime, now: datetime) -> str:
    """`in 55m` or `5m ago`."""
    return f"in {span(at - now)}" if at > now else f"{span(now - at)} ago"


def both(at: datetime | None, now: datetime) -> str:
    """Relative and absolute: `in 55m (2026-01-01T00:55:00Z)`; `-` when there is none."""
    return "-" if at is None else f"{relative(at, now)} ({stamp(at)})"


def lifetime(at: datetime | None, now: datetime) -> str:
    """`ends in 55m (…)` or `ended 5m ago (…)`; empty when nobody knows."""
    return "" if at is None else f"{'ends' if at > now else 'ended'} {both(at, now)}"


def parse_span(text: str) -> timedelta | None:
    """The inverse: `1h`, `1h30m`, `90s`, `7d`; None when it is not of that form, or nothing, or beyond all times."""
    match = _DURATION.fullmatch(text)
    if match is None or not text or any(part and len(part) > _LONGEST_DIGITS for part in match.groups()):
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    try:
        length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        return None
    return length or None
