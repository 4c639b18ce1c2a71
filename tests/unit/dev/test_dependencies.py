"""Nothing comes into the product, or onto a developer's machine, that nobody has looked at."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dev.dependencies import TABLE, Dependency, current, is_fine, licence_of, pinned, problems, read, written

KNOWN = read(TABLE.read_text())
ONE = Dependency("left-pad", "image", "MIT", "kopf", approved=True)
PINNED = """\
aiohttp==3.14.5 \\
    --hash=sha256:00 \\
    --hash=sha256:01
    # via
    #   tolstoy-operator (pyproject.toml)
    #   kopf
coverage[toml]==7.6 ; python_full_version < '3.12' \\
    --hash=sha256:02
    # via pytest-cov
"""


def test_everything_that_is_pinned_is_approved_under_its_licence() -> None:
    assert problems(KNOWN, current(KNOWN)) == []


def test_the_table_is_what_the_command_writes() -> None:
    assert written(current(KNOWN)) == TABLE.read_text()


def test_pinned_requirements_are_read_with_those_who_ask_for_them() -> None:
    assert pinned(PINNED) == {"aiohttp": "kopf, tolstoy-operator", "coverage": "pytest-cov"}


@pytest.mark.parametrize(
    ("before", "now", "says"),
    [
        (None, ONE, "left-pad (MIT, for kopf): new"),
        (ONE, None, "left-pad: in the table, and not in the requirements"),
        (replace(ONE, approved=False), ONE, "nobody has approved it"),
        (ONE, replace(ONE, licence="Apache-2.0"), "was MIT (image), is Apache-2.0 (image)"),
        (replace(ONE, where="development"), ONE, "was MIT (development), is MIT (image)"),
    ],
)
def test_what_is_new_or_another_has_to_be_looked_at(
    before: Dependency | None, now: Dependency | None, says: str
) -> None:
    known = {"left-pad": before} if before else {}
    (problem,) = problems(known, [now] if now else [])
    assert says in problem


@pytest.mark.parametrize(
    ("licence", "fine"),
    [
        ("MIT", True),
        ("Apache-2.0 AND MIT", True),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only", False),
        ("MIT AND LGPL-2.1", False),
        ("unknown", False),
    ],
)
def test_copyleft_takes_a_decision(licence: str, fine: bool) -> None:
    row = replace(ONE, licence=licence)
    assert is_fine(row) is fine
    assert (problems({"left-pad": row}, [row]) == []) is fine


def test_a_licence_is_told_in_the_words_of_spdx() -> None:
    assert licence_of("pydantic") == "MIT"
    assert licence_of("s3transfer") == "Apache-2.0"
    assert licence_of("python-dateutil") == "Apache-2.0 OR BSD"
    assert licence_of("no-such-package") == "not installed here"
