"""The CRD as data, and the few ways in which tests walk through it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CRD_FILE = ROOT / "crds" / "toolcredentials.tolstoy.dev.yaml"

Schema = dict[str, Any]

_MATCHES = re.compile(r"self\.matches\('([^']+)'\)")


@cache
def crd() -> dict[str, Any]:
    """The whole CustomResourceDefinition, read once; copy it before you change it."""
    loaded: dict[str, Any] = yaml.safe_load(CRD_FILE.read_text())
    return loaded


def version() -> dict[str, Any]:
    """Its only version."""
    (only,) = crd()["spec"]["versions"]
    return dict(only)


def schema(*path: str) -> Schema:
    """The schema of the field at `path`, such as `schema("spec", "target")`; the whole object's without a path."""
    node: Schema = version()["schema"]["openAPIV3Schema"]
    for name in path:
        node = node["properties"][name]
    return node


def walk(node: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Each schema inside `node` and `node` itself, with its path: `spec.target.keys[]`, `spec.target.labels{}`."""
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}".lstrip("."))
    if "items" in node:
        yield from walk(node["items"], f"{path}[]")
    if isinstance(node.get("additionalProperties"), dict):
        yield from walk(node["additionalProperties"], f"{path}{{}}")


def rules(node: Schema) -> list[dict[str, str]]:
    """The CEL rules of one field."""
    return list(node.get("x-kubernetes-validations", []))


def pattern(node: Schema) -> str | None:
    """The regular expression that a string has to match, which a rule carries so that it can have a message."""
    found = [match[1] for rule in rules(node) for match in _MATCHES.finditer(rule["rule"])]
    if "pattern" in node:
        found.append(node["pattern"])
    assert len(found) <= 1, f"two patterns for one string: {found}"
    return found[0] if found else None
