"""JSON schemas for kubeconform, made from what an API server says about itself, so that no network is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LOOSE: dict[str, dict[str, Any]] = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["string", "integer"]},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]},
}
"""Types that OpenAPI v2 cannot say: it calls them strings."""


def write_schemas(openapi: dict[str, Any], directory: Path) -> None:
    """Write one strict schema a kind, under the name that kubeconform looks for by default, into `directory`."""
    definitions = {name: _strict(schema) for name, schema in openapi["definitions"].items()} | LOOSE
    (directory / "_definitions.json").write_text(json.dumps({"definitions": definitions}))
    for name, schema in definitions.items():
        kinds = schema.get("x-kubernetes-group-version-kind", [])
        for kind in kinds if len(kinds) == 1 else []:
            parts = (kind["kind"].lower(), kind["group"].split(".")[0], kind["version"])
            reference = {"$ref": f"_definitions.json#/definitions/{name}"}
            (directory / f"{'-'.join(filter(None, parts))}.json").write_text(json.dumps(reference))


def _strict(schema: dict[str, Any]) -> dict[str, Any]:
    if "properties" not in schema:
        return schema
    return {"additionalProperties": False, **schema}
