"""The CRD keeps its promises: every field explained, everything bounded, every rule with a sentence a person reads."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support import crd
from tolstoy_operator.api import names, reasons

NODES = [(path, node) for path, node in crd.walk(crd.schema()) if path.startswith(("spec", "status"))]
FIELDS = [(path, node) for path, node in NODES if not path.endswith(("[]", "{}"))]
RULES = [(path, node, rule) for path, node in NODES for rule in crd.rules(node)]


def node_id(value: object) -> str | None:
    return value if isinstance(value, str) else ""


def test_it_is_named_as_the_code_names_it() -> None:
    spec = crd.crd()["spec"]

    assert crd.crd()["metadata"]["name"] == f"{names.PLURAL}.{names.GROUP}"
    assert (spec["group"], crd.version()["name"]) == (names.GROUP, names.VERSION)
    assert (spec["names"]["kind"], spec["names"]["plural"]) == (names.KIND, names.PLURAL)
    assert spec["names"]["shortNames"] == ["tc"]
    assert spec["scope"] == "Namespaced"
    assert crd.version()["subresources"] == {"status": {}}


@pytest.mark.parametrize(("path", "node"), FIELDS, ids=node_id)
def test_every_field_is_explained(path: str, node: crd.Schema) -> None:
    assert re.fullmatch(r"[^\n]{8,}\.", node["description"])


@pytest.mark.parametrize(("path", "node"), NODES, ids=node_id)
def test_everything_is_bounded(path: str, node: crd.Schema) -> None:
    bound = {"string": "maxLength", "array": "maxItems"}.get(node["type"])
    if "additionalProperties" in node:
        bound = "maxProperties"
    if bound and "enum" not in node:
        assert node[bound] > 0, path


def test_unknown_fields_are_never_kept() -> None:
    for path, node in crd.walk(crd.schema()):
        assert "x-kubernetes-preserve-unknown-fields" not in node, path
        assert "x-kubernetes-int-or-string" not in node, path
        assert node.get("additionalProperties") != {}, path


@pytest.mark.parametrize(("path", "node"), NODES, ids=node_id)
def test_every_list_says_how_it_merges(path: str, node: crd.Schema) -> None:
    if node["type"] == "array":
        assert node["x-kubernetes-list-type"] in {"set", "map", "atomic"}, path


@pytest.mark.parametrize(("path", "node", "rule"), RULES, ids=node_id)
def test_every_rule_says_what_is_wrong(path: str, node: crd.Schema, rule: dict[str, str]) -> None:
    message = rule["message"]

    assert re.fullmatch(r"[^\n\\^$]{20,160}", message), "one line, and no regular expression"
    assert not message.endswith(".")


@pytest.mark.parametrize(("path", "node", "rule"), RULES, ids=node_id)
def test_rules_speak_of_fields_that_exist(path: str, node: crd.Schema, rule: dict[str, str]) -> None:
    mentioned = set(re.findall(r"\b(?:self|oldSelf)\.\??(\w+)\b(?!\()", rule["rule"]))

    assert mentioned <= node.get("properties", {}).keys()


def test_rules_and_patterns_are_not_mixed_in_the_spec() -> None:
    """A pattern has no message, so a person would get a regular expression."""
    assert [path for path, node in NODES if path.startswith("spec") and "pattern" in node] == []


def test_columns_show_fields_that_exist() -> None:
    columns = crd.version()["additionalPrinterColumns"]

    for column in columns:
        path = re.sub(r"\[\?\(@\.type==\"(\w+)\"\)\]", "[]", column["jsonPath"])
        if not path.startswith(".metadata."):
            assert field_at(path)["type"] == "string", column
            assert column["type"] == "string", "a date column prints <invalid> for a time that lies ahead"
    shown = [column["name"].upper() for column in columns if not column.get("priority")]
    assert shown == ["TOOL", "ORG", "TYPE", "READY", "REASON", "EXPIRES", "AGE"]
    wide = [column["name"].upper() for column in columns if column.get("priority")]
    assert wide == ["STATE", "SECRET", "UPSTREAM", "UPSTREAM VERSION", "NEXT REFRESH"]


def test_credentials_can_be_selected_by_what_they_name() -> None:
    fields = [selectable["jsonPath"] for selectable in crd.version()["selectableFields"]]

    assert fields == [".spec.tool", ".spec.orgId", ".spec.secretName"]


def test_every_message_of_the_operator_fits_into_a_condition() -> None:
    condition = crd.schema("status", "conditions")["items"]["properties"]

    assert condition["message"]["maxLength"] >= reasons.MESSAGE_LIMIT
    for reason in reasons.Reason:
        assert re.fullmatch(condition["reason"]["pattern"], reason)


def test_the_status_has_room_for_whatever_the_spec_asks_for() -> None:
    target = crd.schema("spec", "target")["properties"]
    written = crd.schema("status", "target")["properties"]

    assert written["keys"]["maxItems"] >= target["keys"]["maxItems"] + target["template"]["maxProperties"]
    assert written["keys"]["items"]["maxLength"] == target["keys"]["items"]["maxLength"]
    assert written["name"]["maxLength"] == target["name"]["maxLength"]
    spec = crd.schema("spec")["properties"]
    composed = len(f"{names.UPSTREAM_PREFIX}//") + spec["tool"]["maxLength"] + spec["orgId"]["maxLength"]
    assert crd.schema("status", "upstream", "name")["maxLength"] >= max(composed, spec["secretName"]["maxLength"])


def field_at(path: str) -> dict[str, Any]:
    return next(node for found, node in NODES if found == path.lstrip("."))
