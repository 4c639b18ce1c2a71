"""Random specs: what the CRD allows, the models read, and nothing is lost or changed on the way."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.support import crd, specs
from tolstoy_operator.api.v1 import ToolCredentialSpec


@given(specs.specs())
def test_models_read_every_legal_spec_as_it_is(spec: specs.Spec) -> None:
    if specs.problems(spec):
        return
    read = ToolCredentialSpec.model_validate(spec)

    assert read.model_dump(mode="json", by_alias=True, exclude_unset=True) == spec


@given(specs.specs())
def test_what_the_models_refuse_the_crd_refuses(spec: specs.Spec) -> None:
    found = specs.problems(spec)
    try:
        ToolCredentialSpec.model_validate(spec)
    except ValidationError:
        assert found


@pytest.mark.parametrize("field", sorted(specs.NAMES))
@given(data=st.data())
def test_names_are_judged_alike_by_the_model_and_the_rule(field: str, data: st.DataObject) -> None:
    name = data.draw(specs.NAMES[field])
    node = crd.schema("spec", field)
    pattern = crd.pattern(node)
    assert pattern is not None
    legal = len(name) <= node["maxLength"] and re.search(pattern.replace("$", r"\Z"), name) is not None

    assert legal is (f"spec.{field}" not in specs.problems({field: name}))
    try:
        ToolCredentialSpec.model_validate({field: name})
        accepted = True
    except ValidationError:
        accepted = False
    assert accepted is legal
