"""`kubectl tolstoy expiring`: tokens that end soon and that nobody renews before they do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from tolstoy_operator.cli.table import Cell, table
from tolstoy_operator.cli.text import both, relative
from tolstoy_operator.cli.view import CredentialView

_HEADER = ("NAMESPACE", "NAME", "TOOL", "ORG", "EXPIRES", "REFRESH", "WHY")
_FAR = datetime.max.replace(tzinfo=UTC)


def ending(
    credentials: Sequence[CredentialView], now: datetime, within: timedelta, *, refreshed_too: bool
) -> list[CredentialView]:
    """Those whose token ends within that time, or has ended, soonest first.

    Those that the operator refreshes in time are left out unless `refreshed_too`.
    """
    found = [item for item in credentials if (ends := item.expires_at) is not None and ends - now <= within]
    kept = [item for item in found if refreshed_too or item.neglect(now) is not None]
    return sorted(kept, key=lambda item: (item.expires_at or _FAR, item.namespace, item.name))


def as_table(credentials: Sequence[CredentialView], now: datetime) -> list[str]:
    """One line for each, as `kubectl get` prints them."""
    rows = [
        (
            item.namespace,
            item.name,
            item.tool or "",
            item.org_id or item.secret_name or "",
            Cell(both(item.expires_at, now), _colour(item, now)),
            relative(item.next_refresh, now) if item.next_refresh else "",
            item.neglect(now) or "",
        )
        for item in credentials
    ]
    return table(_HEADER, rows)


def _colour(item: CredentialView, now: datetime) -> str | None:
    if item.neglect(now) is None:
        return None
    return "red" if item.expires_at is not None and item.expires_at <= now else "yellow"
