"""The tree and the table of `status`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click

from tests.unit.cli.objects import NOW, active, seen
from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.cli.status import as_table, as_tree
from tolstoy_operator.cli.view import CredentialView


def org(name: str) -> dict[str, str]:
    return {"tool": "github", "orgId": name}


def several() -> list[CredentialView]:
    return [
        seen("database", spec={"secretName": "conductor-db-secret"}),
        seen("ci", spec=org("org-b"), grant=active(timedelta(minutes=-5))),
        seen("github", Reason.REAUTHORIZATION_REQUIRED, spec=org("org-a"), grant=active()),
        seen("slack", spec={"tool": "slack", "orgId": "org-a"}, generation=2),
        seen("bot", spec=org("org-a"), grant=active()),
    ]


def plain(lines: list[str]) -> list[str]:
    return [click.unstyle(line) for line in lines]


def test_the_tree() -> None:
    assert plain(as_tree(several(), NOW, all_namespaces=False)) == [
        "github",
        "├─ org-a",
        "│  ├─ bot        Ready      Synced                    Active   token ends in 1h (2026-06-01T13:00:00Z)",
        "│  └─ github     NotReady   ReauthorizationRequired   Active   token ends in 1h (2026-06-01T13:00:00Z)",
        "│        who acts: the organisation must give its consent again",
        "└─ org-b",
        "   └─ ci         Ready      Synced                    Active   token ended 5m ago (2026-06-01T11:55:00Z)",
        "slack",
        "└─ org-a",
        "   └─ slack      Ready      Synced",
        "         the spec has changed since; the operator has not looked at it yet",
        "(by secret name)",
        "└─ conductor-db-secret",
        "   └─ database   Ready      Synced",
    ]


def test_in_all_namespaces_the_tree_names_them() -> None:
    lines = plain(as_tree([seen("a", namespace="b"), seen("b", namespace="a")], NOW, all_namespaces=True))
    assert [line.split()[1] for line in lines[2:]] == ["a/b", "b/a"]


def test_the_table() -> None:
    lines = plain(as_table([seen(grant=active()), seen("other", Reason.SECRET_NOT_FOUND)], NOW))
    columns = [line.split("   ") for line in lines]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in columns]
    assert cells == [
        ["NAMESPACE", "NAME", "TOOL", "ORG", "READY", "REASON", "STATE", "EXPIRES", "WHO ACTS"],
        ["shop", "github", "github", "org-abc123", "True", "Synced", "Active", "in 1h (2026-06-01T13:00:00Z)", "-"],
        [
            "shop",
            "other",
            "github",
            "org-abc123",
            "False",
            "SecretNotFound",
            "-",
            "-",
            "the consent application or the platform team must store the secret",
        ],
    ]


def test_colours_say_how_it_stands_and_take_no_room() -> None:
    items = [
        seen("fine"),
        seen("kept", Reason.REFRESH_FAILING, ready=True),
        seen("lost", Reason.REVOKED),
    ]
    lines = as_tree(items, NOW, all_namespaces=False)
    colours = {name: _colour(lines, name) for name in ("fine", "kept", "lost")}
    assert colours == {"fine": "\x1b[32m", "kept": "\x1b[33m", "lost": "\x1b[31m"}
    ready = [line for line in plain(lines) if "Ready" in line]
    assert len({line.index("Ready") - (3 if "NotReady" in line else 0) for line in ready}) == 1


def test_what_a_status_says_cannot_steer_the_terminal() -> None:
    forged: Any = {"conditions": [], "grant": {"state": "Active", "scopes": "\x1b]0;x\x07"}}
    item = seen("github", status=forged, spec={"tool": "git\x1b[2Jhub", "orgId": "a\nb"})
    for line in as_tree([item], NOW, all_namespaces=True) + as_table([item], NOW):
        assert click.unstyle(line).isprintable()


def _colour(lines: list[str], name: str) -> str:
    line = next(line for line in lines if f" {name} " in line)
    return line[line.index("\x1b[") :][:5]
