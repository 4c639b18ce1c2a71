"""The chart's files as data, and Helm's way of laying one set of values over another."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from dev.chart import CHART

Values = dict[str, Any]

EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))


def default_values() -> Values:
    values: Values = yaml.load((CHART / "values.yaml").read_text(), yaml.CSafeLoader)
    return values


def values_schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
    return schema


def with_overrides(base: Values, overrides: Mapping[str, Any]) -> Values:
    merged = dict(base)
    for key, value in overrides.items():
        below = merged.get(key)
        nested = isinstance(below, dict) and isinstance(value, Mapping)
        merged[key] = with_overrides(below, value) if nested and isinstance(below, dict) else value
    return merged


def settings_table() -> dict[str, str]:
    """Environment variable -> dotted path of the value that sets it, from the chart's one table."""
    text = (CHART / "templates" / "_settings.tpl").read_text()
    body = text.split('{{- define "tolstoy-operator.settings" -}}')[1].split("{{- end -}}")[0]
    rows = re.findall(r"^([A-Z_]+): \{\{ .*?\.Values\.([A-Za-z.]+).*\}\}$", body, flags=re.MULTILINE)
    assert len(rows) == len(body.strip().splitlines()), "a row of the table has a form that this test cannot read"
    return dict(rows)


def at(tree: Mapping[str, Any], path: str) -> Any:
    """The member at a dotted path. Raises KeyError."""
    found: Any = tree
    for name in path.split("."):
        found = found[name]
    return found


def schema_at(path: str) -> dict[str, Any]:
    """The schema of the value at a dotted path, with its reference followed."""
    schema = values_schema()
    node = at(schema, "properties." + path.replace(".", ".properties."))
    if reference := node.get("$ref"):
        node = at(schema, reference.removeprefix("#/").replace("/", "."))
    found: dict[str, Any] = node
    return found


def nested(path: str, value: object) -> Values:
    """`{"a": {"b": value}}` from `a.b`."""
    for name in reversed(path.split(".")):
        value = {name: value}
    assert isinstance(value, dict)
    return value
