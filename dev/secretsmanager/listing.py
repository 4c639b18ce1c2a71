"""Listing as Secrets Manager does it: sorted, in pages, and some time behind the writes.

`History` keeps how a secret looked after each change, so that a listing can be served as of some seconds ago: the
service documents a lag of up to five minutes, and a sweep that forgets it loses changes.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dev.secretsmanager.errors import AwsError, validation

Entry = Mapping[str, Any]

MAX_PAGE = 100
MAX_BATCH = 20
_SORT_KEYS = {
    "name": "Name",
    "created-date": "CreatedDate",
    "last-changed-date": "LastChangedDate",
    "last-accessed-date": "LastAccessedDate",
}
_NAME = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")


class History:
    """How one secret looked, and since when."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, Entry]] = deque(maxlen=64)

    def record(self, now: float, entry: Entry) -> None:
        """The secret looks like `entry` from `now` on."""
        self._looks.append((now, entry))

    def as_of(self, when: float) -> Entry | None:
        """The look at time `when`, or None if the secret did not exist then."""
        return next((entry for since, entry in reversed(self._looks) if since <= when), None)


def check_name(name: str | None) -> str:
    """The name of a new secret."""
    if not name or not _NAME.fullmatch(name):
        raise validation("name", "be 1-512 characters of letters, digits and /_+=.@-")
    return name


def sort(entries: Iterable[Entry], sort_by: str | None, sort_order: str | None) -> list[Entry]:
    """In the order asked for; by creation, newest first, when nothing is asked."""
    key = _SORT_KEYS.get(sort_by or "created-date")
    if key is None:
        raise validation("sortBy", f"satisfy enum value set: {sorted(_SORT_KEYS)}")
    if sort_order not in (None, "asc", "desc"):
        raise validation("sortOrder", "satisfy enum value set: [asc, desc]")
    return sorted(entries, key=lambda entry: entry.get(key) or 0, reverse=sort_order != "asc")


def page(entries: Sequence[Any], size: int | None, token: str | None, *, limit: int) -> tuple[list[Any], str | None]:
    """One page, and the token of the next (None at the end)."""
    if size is not None and not 1 <= size <= limit:
        raise validation("maxResults", f"have value between 1 and {limit}")
    try:
        start = int(token or 0)
    except ValueError:
        raise AwsError("InvalidNextTokenException", "The NextToken value is invalid.") from None
    end = start + (size or limit)
    return list(entries[start:end]), (str(end) if end < len(entries) else None)
