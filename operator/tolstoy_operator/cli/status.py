"""`kubectl tolstoy status`: what there is, tool by tool and organisation by organisation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby

from tolstoy_operator.api.v1 import ConditionStatus
from tolstoy_operator.cli.cluster import Surroundings
from tolstoy_operator.cli.readers import brief_lines
from tolstoy_operator.cli.table import Cell, Row, aligned, table
from tolstoy_operator.cli.text import both, clean, lifetime
from tolstoy_operator.cli.view import CredentialView

_BY_NAME = "(by secret name)"
_HEADER = ("NAMESPACE", "NAME", "TOOL", "ORG", "READY", "REASON", "STATE", "EXPIRES", "WHO ACTS")


def in_order(credentials: Sequence[CredentialView]) -> list[CredentialView]:
    """By tool, organisation, namespace and name; those that name a secret come last."""
    return sorted(credentials, key=lambda item: (item.tool is None, *_place(item), item.namespace, item.name))


def as_tree(
    credentials: Sequence[CredentialView],
    now: datetime,
    *,
    all_namespaces: bool,
    around: Mapping[str, Surroundings] | None = None,
) -> list[str]:
    """The tree: a line for each tool, organisation and credential, and what to do under those that are not fine.

    `around`: by namespace, what is there; then those who read a Secret stand under its credential.
    """
    rows: list[Row] = []
    for tool, of_tool in _groups(in_order(credentials), 0):
        rows.append((tool,))
        organisations = _groups(of_tool, 1)
        for org, members in organisations:
            last_org = org == organisations[-1][0]
            rows.append((f"{'└─' if last_org else '├─'} {org}",))
            for item in members:
                indent, last = "   " if last_org else "│  ", item is members[-1]
                rows.extend(_leaf(item, now, indent, last=last, all_namespaces=all_namespaces))
                if around is not None:
                    more = f"{indent}{'   ' if last else '│  '}   "
                    rows.extend((f"{more}{line}",) for line in brief_lines(item, around[item.namespace]))
    return _aligned_leaves(rows)


def as_table(credentials: Sequence[CredentialView], now: datetime) -> list[str]:
    """One line for each credential."""
    return table(
        _HEADER,
        [
            (
                item.namespace,
                item.name,
                item.tool or "",
                item.org_id or item.secret_name or "",
                ready_cell(item),
                item.reason,
                item.state,
                both(item.expires_at, now),
                item.to_do,
            )
            for item in in_order(credentials)
        ],
    )


def ready_cell(item: CredentialView) -> Cell:
    """The Ready condition in its colour: green, yellow when something is the matter all the same, red."""
    if item.fine:
        return Cell(item.ready, "green")
    return Cell(item.ready, "red" if item.ready is ConditionStatus.FALSE else "yellow")


def _place(item: CredentialView) -> tuple[str, str]:
    return (item.tool, item.org_id or "") if item.tool else (_BY_NAME, item.secret_name or "")


def _leaf(item: CredentialView, now: datetime, indent: str, *, last: bool, all_namespaces: bool) -> Iterator[Row]:
    name = f"{item.namespace}/{item.name}" if all_namespaces else item.name
    ready = Cell(_readiness(item), ready_cell(item).colour)
    yield (f"{indent}{'└─' if last else '├─'} {name}", ready, item.reason, item.state, _ending(item, now))
    if not item.fine:
        more = f"{indent}{'   ' if last else '│  '}   "
        if not item.observed and item.status.observed_generation is not None:
            yield (f"{more}the spec has changed since; the operator has not looked at it yet",)
        if item.to_do:
            yield (f"{more}who acts: {item.to_do}",)


def _readiness(item: CredentialView) -> str:
    return {ConditionStatus.TRUE: "Ready", ConditionStatus.FALSE: "NotReady"}.get(item.ready, "Unknown")


def _ending(item: CredentialView, now: datetime) -> str:
    return f"token {lifetime(item.expires_at, now)}" if item.expires_at else ""


def _aligned_leaves(rows: Sequence[Row]) -> list[str]:
    # Only the lines of credentials have columns; the others must not make the first one wider.
    leaves = iter(aligned([row for row in rows if len(row) > 1]))
    return [next(leaves) if len(row) > 1 else clean(str(row[0])) for row in rows]


def _groups(items: Sequence[CredentialView], part: int) -> list[tuple[str, list[CredentialView]]]:
    return [(key, list(group)) for key, group in groupby(items, key=lambda item: _place(item)[part])]
