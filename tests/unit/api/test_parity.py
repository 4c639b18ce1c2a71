"""The pydantic models and the CRD say the same: same fields, types, enums, defaults, patterns and required fields."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from tests.support import crd
from tolstoy_operator.api.v1 import ToolCredentialSpec, ToolCredentialStatus

Json = dict[str, Any]


def model_schema(model: type[BaseModel]) -> Json:
    """The model's JSON schema without references, and with "X or None" as an optional X."""
    root = model.model_json_schema(by_alias=True)
    definitions = root.get("$defs", {})

    def plain(node: Json) -> Json:
        options = [option for option in node.get("anyOf", []) if option != {"type": "null"}]
        assert len(options) <= 1, f"the CRD has no unions: {node}"
        for source in [*options, *([definitions[node["$ref"].rsplit("/", 1)[1]]] if "$ref" in node else [])]:
            node = {**plain(source), **{k: v for k, v in node.items() if k not in {"anyOf", "$ref"}}}
        node = dict(node)
        if "properties" in node:
            node["properties"] = {name: plain(child) for name, child in node["properties"].items()}
        for inner in ("items", "additionalProperties"):
            if isinstance(node.get(inner), dict):
                node[inner] = plain(node[inner])
        return node

    return plain(root)


PAIRS = [
    pytest.param(model_schema(ToolCredentialSpec), crd.schema("spec"), id="spec"),
    pytest.param(model_schema(ToolCredentialStatus), crd.schema("status"), id="status"),
]


def paired(model: Json, field: Json) -> list[tuple[str, Json, Json]]:
    """The fields of both, side by side. Fails where one has a field that the other lacks."""
    ours, theirs = dict(crd.walk(model)), dict(crd.walk(field))
    assert ours.keys() == theirs.keys()
    return [(path, ours[path], theirs[path]) for path in ours]


@pytest.mark.parametrize(("model", "field"), PAIRS)
def test_types_and_enums(model: Json, field: Json) -> None:
    for path, ours, theirs in paired(model, field):
        assert ours["type"] == theirs["type"], path
        assert ours.get("enum") == theirs.get("enum"), path


@pytest.mark.parametrize(("model", "field"), PAIRS)
def test_required_fields(model: Json, field: Json) -> None:
    for path, ours, theirs in paired(model, field):
        assert sorted(ours.get("required", [])) == sorted(theirs.get("required", [])), path


@pytest.mark.parametrize(("model", "field"), PAIRS)
def test_defaults(model: Json, field: Json) -> None:
    """An empty default (None, [] and {}) in a model stands for a field that may be absent."""
    for path, ours, theirs in paired(model, field):
        if path == "target" and theirs["type"] == "object" and "default" in theirs:
            continue  # an object's default is that of its fields, see below
        assert (ours.get("default") or None) == (theirs.get("default") or None), path


def test_an_absent_target_and_an_empty_one_are_the_same() -> None:
    default = crd.schema("spec", "target")["default"]
    fields = crd.schema("spec", "target")["properties"]

    assert default == {name: field["default"] for name, field in fields.items() if "default" in field}
    read = ToolCredentialSpec.model_validate({"tool": "github", "orgId": "o"})
    assert read.target.model_dump(by_alias=True, exclude_unset=True) == {}
    assert read == ToolCredentialSpec.model_validate({"tool": "github", "orgId": "o", "target": default})


@pytest.mark.parametrize(("model", "field"), PAIRS)
def test_patterns_and_bounds(model: Json, field: Json) -> None:
    """A model may leave a check to the API server, but what it checks is what the API server checks."""
    for path, ours, theirs in paired(model, field):
        if "pattern" in ours:
            assert ours["pattern"] == crd.pattern(theirs), path
        for bound in ("maxLength", "minLength", "maxItems", "minItems"):
            if bound in ours:
                assert ours[bound] == theirs[bound], path


def test_names_of_upstream_secrets_are_checked_by_the_models_too() -> None:
    """They become part of a request to Secrets Manager."""
    properties = model_schema(ToolCredentialSpec)["properties"]

    assert {name for name, node in properties.items() if "pattern" in node} == {"tool", "orgId", "secretName"}
