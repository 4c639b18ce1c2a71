"""The page for people on call knows every reason, alert and operation, and says the same as the status."""

from __future__ import annotations

import re

import pytest
import yaml

from dev.chart import CHART
from tests.support import docs
from tolstoy_operator.api.reasons import MEANINGS, Progress, Reason
from tolstoy_operator.observability.audit import Operation
from tolstoy_operator.settings import Settings

PAGE = "on-call.md"
ROWS = {Reason(cells[0].strip("`")): cells[1] for cells in docs.table(PAGE, "reason")}
WORDS = {
    "nobody": "nobody",
    "platform": "platform team",
    "tenant": r"owner of this object|spec\.|initialTokensFrom",
    "consent": "consent application|whoever wrote",
    "organisation": "organisation",
}
"""How a status speaks of those whose turn it is."""


def test_every_reason_has_its_row() -> None:
    assert ROWS.keys() == MEANINGS.keys()


@pytest.mark.parametrize("reason", ROWS)
def test_it_is_the_turn_of_the_one_whom_the_status_names(reason: Reason) -> None:
    assert re.search(WORDS[ROWS[reason]], MEANINGS[reason].who_acts)


@pytest.mark.parametrize("reason", [reason for reason in ROWS if ROWS[reason] == "nobody"])
def test_it_is_nobodys_turn_only_while_the_operator_is_at_it(reason: Reason) -> None:
    assert MEANINGS[reason].progress in (Progress.DONE, Progress.RECONCILING)


def test_every_alert_has_its_row() -> None:
    groups = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())["groups"]
    alerts = [rule["alert"] for group in groups for rule in group["rules"]]
    assert [cells[0].strip("`") for cells in docs.table(PAGE, "alert")] == alerts


@pytest.mark.parametrize("cells", docs.table(PAGE, "alert"), ids=lambda cells: cells[0])
def test_an_alert_leads_to_a_runbook_that_exists(cells: list[str]) -> None:
    for title in re.findall(r"\*([^*]+)\*", cells[2]):
        assert f"**{title}.**" in docs.text(PAGE)


def test_operations_exist() -> None:
    told = {word for cells in docs.table(PAGE, "operation") for word in re.findall(r"`(\w+)`", cells[0])}
    assert told <= set(Operation)


def test_settings_exist() -> None:
    spoken = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)*)(?:=\w+)?`", docs.text(PAGE)))
    assert spoken - {"NAME", "EXPIRES"} <= {name.upper() for name in Settings.model_fields}
