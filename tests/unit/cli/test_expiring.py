"""Which tokens end soon without anybody who renews them."""

from __future__ import annotations

from datetime import timedelta

import click

from tests.unit.cli.objects import NOW, active, at, seen
from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.cli.expiring import as_table, ending
from tolstoy_operator.cli.view import CredentialView

HOUR = timedelta(hours=1)


def lost(name: str, ends: timedelta) -> CredentialView:
    return seen(name, Reason.REAUTHORIZATION_REQUIRED, grant={**active(ends), "nextRefreshTime": None})


def found(*items: CredentialView, refreshed_too: bool = False) -> list[str]:
    return [item.name for item in ending(items, NOW, HOUR, refreshed_too=refreshed_too)]


def test_only_those_that_end_within_the_time_soonest_first() -> None:
    items = [
        lost("later", HOUR + timedelta(seconds=1)),
        lost("edge", HOUR),
        lost("past", -HOUR),
        lost("soon", HOUR / 2),
    ]
    assert found(*items) == ["past", "soon", "edge"]


def test_a_token_that_is_refreshed_in_time_is_shown_on_request() -> None:
    items = [seen("kept", grant=active(HOUR / 2)), lost("lost", HOUR / 2)]
    assert found(*items) == ["lost"]
    assert found(*items, refreshed_too=True) == ["kept", "lost"]


def test_what_never_ends_does_not_end() -> None:
    assert found(seen("key"), seen("unknown", grant={"state": "Unknown"}), refreshed_too=True) == []


def test_the_table() -> None:
    head, row = (click.unstyle(line) for line in as_table([lost("github", timedelta(minutes=5))], NOW))
    assert head.split() == ["NAMESPACE", "NAME", "TOOL", "ORG", "EXPIRES", "REFRESH", "WHY"]
    why = "ReauthorizationRequired: the organisation must give its consent again"
    assert row == f"shop        github   github   org-abc123   in 5m ({at(minutes=5)})   -         {why}"
