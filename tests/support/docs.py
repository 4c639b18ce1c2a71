"""The documentation as data: its YAML examples and its tables."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tests.support.crd import ROOT


def text(page: str) -> str:
    """A page of `docs/`."""
    return (ROOT / "docs" / page).read_text()


def credentials(page: str) -> list[dict[str, Any]]:
    """Every ToolCredential among the YAML examples of a page."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", text(page), re.DOTALL | re.MULTILINE)
    objects = [item for block in blocks for item in yaml.safe_load_all(block)]
    return [item for item in objects if item.get("kind") == "ToolCredential"]


def table(page: str, first_column: str) -> list[list[str]]:
    """The rows of the table whose first column is called so, cell by cell, without its header."""
    lines = text(page).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first_column} |"))
    rows: list[list[str]] = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows
