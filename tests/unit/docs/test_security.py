"""The page about security: every threat has its control, and a test that shows it and exists."""

from __future__ import annotations

import re
from functools import cache

import pytest

from tests.support import docs
from tests.support.crd import ROOT

THREATS = docs.table("security.md", "who")
NOTHING = "nothing here"


@cache
def names_in(stem: str) -> frozenset[str]:
    """Tests and classes of tests in the files of that name."""
    texts = [path.read_text() for path in (ROOT / "tests").rglob(f"{stem}.py")]
    return frozenset(
        name for text in texts for name in re.findall(r"^ *(?:async )?(?:def|class) ([tT]est\w+)", text, re.M)
    )


@pytest.mark.parametrize("threat", THREATS, ids=lambda cells: cells[1])
def test_a_threat_has_a_control_and_tests_that_exist(threat: list[str]) -> None:
    _, tries, control, _, shown = threat
    named = re.findall(r"`(\w+)::(\w+)`", shown)
    assert tries
    assert control
    assert named or control == NOTHING
    assert shown.count("`") == 2 * len(named)
    assert [f"{stem}::{name}" for stem, name in named if name not in names_in(stem)] == []


def test_every_file_of_attacks_is_told() -> None:
    told = set(re.findall(r"`(\w+)::", docs.text("security.md")))
    assert {path.stem for path in (ROOT / "tests" / "integration" / "attacks").glob("test_*.py")} <= told
