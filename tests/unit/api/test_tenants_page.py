"""What the page for tenants says of fields, reasons and examples is what the code says."""

from __future__ import annotations

import re

import pytest

from tests.support import crd, docs, specs
from tolstoy_operator.api import names
from tolstoy_operator.api.reasons import GRANT_REASONS, MEANINGS, SOUND_REASONS, Meaning, Progress, Reason
from tolstoy_operator.api.v1 import ConditionType

PAGE = "tenants.md"

PACE = {
    Progress.DONE: "",
    Progress.RECONCILING: "waits",
    Progress.STALLED: "stalls",
    Progress.PATIENT: "waits, stalls after 10 min",
}


def ready(reason: Reason, meaning: Meaning) -> str:
    if meaning.keeps_ready:
        return "as before"
    if reason in GRANT_REASONS - {Reason.TOKEN_EXPIRED}:
        return "until the token ends"
    return str(reason in SOUND_REASONS)


def test_every_reason_is_explained_as_the_conditions_explain_it() -> None:
    assert docs.table(PAGE, "reason") == [
        [f"`{reason}`", ready(reason, meaning), PACE[meaning.progress], meaning.who_acts]
        for reason, meaning in MEANINGS.items()
    ]
    assert MEANINGS.keys() == set(Reason)


def test_every_condition_is_explained_on_the_page_and_to_kubectl_explain() -> None:
    explained = crd.schema("status")["properties"]["conditions"]["description"]
    page = docs.text(PAGE)
    for condition in ConditionType:
        assert f"`{condition}`" in page
        assert f"{condition}: " in explained


def test_every_field_is_listed_with_its_default() -> None:
    listed: dict[str, str] = {}
    for cell, _, default in docs.table(PAGE, "field of `spec`"):
        listed.update(dict.fromkeys(re.findall(r"`([\w.]+)`", cell), default))
    spec = crd.schema("spec")["properties"]
    parts = ("target", "oauth")
    fields = {name: node for name, node in spec.items() if name not in parts}
    fields |= {f"{part}.{name}": node for part in parts for name, node in spec[part]["properties"].items()}

    assert listed.keys() == fields.keys()
    for name, node in fields.items():
        if "default" in node:
            assert listed[name] == f"`{str(node['default']).lower() if node['type'] == 'boolean' else node['default']}`"


def test_every_choice_is_named() -> None:
    page = docs.text(PAGE)

    for path, node in crd.walk(crd.schema("spec")):
        for choice in node.get("enum", []):
            assert f"`{choice}`" in page, path


@pytest.mark.parametrize("example", docs.credentials(PAGE), ids=lambda example: example["metadata"]["name"])
def test_examples_are_legal(example: dict[str, dict[str, object]]) -> None:
    assert specs.problems(example["spec"]) == set()


def test_names_are_spelled_as_the_code_spells_them() -> None:
    page = docs.text(PAGE)

    for name in (names.FORCE_SYNC, names.ALLOW_MERGE, f"apiVersion: {names.API_VERSION}", f"kind: {names.KIND}"):
        assert name in page
    assert f"`{names.UPSTREAM_PREFIX}/<tool>/<orgId>`" in page


@pytest.mark.parametrize(
    ("path", "bound"),
    [
        ("keys", "maxItems"),
        ("template", "maxProperties"),
        ("labels", "maxProperties"),
        ("annotations", "maxProperties"),
    ],
)
def test_bounds_are_told(path: str, bound: str) -> None:
    row = next(cells for cells in docs.table(PAGE, "field of `spec`") if f"`target.{path}`" in cells[0])

    assert str(crd.schema("spec", "target", path)[bound]) in row[1]


def test_bounds_of_templates_are_told() -> None:
    template = crd.schema("spec", "target", "template")
    (total,) = re.findall(r"sum\(\) <= (\d+)", " ".join(rule["rule"] for rule in crd.rules(template)))

    assert f"{template['additionalProperties']['maxLength']} characters at most, all of them together {total}" in (
        docs.text(PAGE)
    )
