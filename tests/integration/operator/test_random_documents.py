"""Whatever is stored upstream: the operator says what it makes of it, mirrors nothing else, and goes on.

The inputs are random. That no exception came out of them is looked up in the operator's log when the file is done.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dev.testbed import OperatorProcess, Testbed, eventually
from tests.integration.operator.tenant import Tenant
from tests.support.kubeapi import KubeApi

pytestmark = pytest.mark.integration

# What a document alone can bring about.
REASONS = {"Synced", "SecretMalformed", "InvalidTargetKey", "InvalidSpec", "TokenExpired", "ReauthorizationRequired"}

# No refresh token: a random grant that can be refreshed would be tried at its provider.
OURS = ["accessToken", "expiresAt", "scope", "tokenType", "clientId", "clientSecret", "apiKey", "DATABASE_URL"]
OTHERS = ["private_key", "a", "a.b", "a b", "..", "", "ключ"]
NAMES = st.sampled_from([*OURS, *OTHERS])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)
DOCUMENTS = st.one_of(
    st.dictionaries(NAMES, SCALARS, max_size=6).map(json.dumps),
    st.dictionaries(NAMES, VALUES, max_size=6).map(json.dumps),
    VALUES.map(json.dumps),
    st.text(min_size=1, max_size=200),
    st.text(alphabet='{}[]":,\\u0d8', min_size=1, max_size=40),
)

_numbers = itertools.count()


@pytest.fixture(scope="module")
def tenant(testbed: Testbed, admin: KubeApi, operator: OperatorProcess) -> Iterator[Tenant]:
    tenant = Tenant(testbed, admin)
    yield tenant
    tenant.close()


@given(texts=st.lists(DOCUMENTS, min_size=10, max_size=20))
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_a_random_document_is_mirrored_or_told(tenant: Tenant, texts: list[str]) -> None:
    named = {f"random-{next(_numbers)}": text for text in texts}
    for name, text in named.items():
        tenant.store(text, name)
        tenant.create(name, name)
    for name, text in named.items():
        reason = eventually(lambda name=name: _reason(tenant, name), what=f"{name} has a reason")  # type: ignore[misc]
        assert reason in REASONS, text
        data = tenant.data(name)
        if reason == "SecretMalformed":
            assert data is None, text
        elif data is not None:
            _check(text, data)


def _reason(tenant: Tenant, name: str) -> str | None:
    ready = tenant.condition("Ready", name)
    return ready["reason"] if ready else None


def _check(text: str, data: Mapping[str, str]) -> None:
    """Each key is a member of the document with its own value, and none of them is sensitive."""
    document = json.loads(text)
    for key, value in data.items():
        member = document[key]
        assert value == member if isinstance(member, str) else json.loads(value) == member
    assert data.keys().isdisjoint({"clientSecret", "private_key"})
