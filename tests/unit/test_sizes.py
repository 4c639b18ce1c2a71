"""What CONTRIBUTING.md says about the length of functions and files."""

from __future__ import annotations

import ast
from pathlib import Path

FUNCTION, FILE = 50, 400
SOURCES = sorted((Path(__file__).resolve().parents[2] / "operator").rglob("*.py"))


def test_files_and_functions_are_short() -> None:
    long = []
    for path in SOURCES:
        text = path.read_text()
        if text.count("\n") > FILE:
            long.append(path.name)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _lines(node) > FUNCTION:
                long.append(f"{path.name}: {node.name}")
    assert SOURCES
    assert not long


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1
