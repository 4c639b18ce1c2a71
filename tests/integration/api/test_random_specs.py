"""The API server, the restated rules and the models agree on random specs."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from tests.integration.api.conftest import Credentials, causes
from tests.support import specs
from tolstoy_operator.api.v1 import ToolCredentialSpec

pytestmark = pytest.mark.integration


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spec=specs.specs())
def test_they_agree(credentials: Credentials, spec: specs.Spec) -> None:
    found = specs.problems(spec)

    answer = credentials.create(spec, dry_run=True)

    assert answer.ok is (not found), (spec, answer.message)
    if answer.ok:
        assert ToolCredentialSpec.model_validate(answer.body["spec"]) == ToolCredentialSpec.model_validate(spec)
        return
    assert answer.status == 422
    for field in causes(answer):
        assert any(field == path or field.startswith((f"{path}[", f"{path}.")) for path in found), (field, found)
