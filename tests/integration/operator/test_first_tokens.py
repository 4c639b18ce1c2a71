"""First tokens of a consent application: stored upstream once, never over a newer grant, then gone from the cluster."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.operator.conftest import NewTenant
from tests.integration.operator.tenant import TOKEN_ENDS_MS, Tenant, oauth, value

pytestmark = pytest.mark.integration

SOURCE = {"secretRef": {"name": "consent"}}
IMPORT = {"labels": {"tolstoy.dev/managed": "import"}}


def handed_over(token: str = "t1", **members: str) -> dict[str, str]:
    return {
        "accessToken": value(token),
        "refreshToken": value(f"refresh-{token}"),
        "expiresAt": str(TOKEN_ENDS_MS),
        **members,
    }


def stored(tenant: Tenant) -> dict[str, Any]:
    answer = tenant.testbed.aws.client().get_secret_value(SecretId=tenant.upstream())
    document: dict[str, Any] = json.loads(answer["SecretString"])
    return document


@pytest.fixture
def granted(new_tenant: NewTenant) -> Tenant:
    return new_tenant(allow_import="true")


def test_first_tokens_are_stored_mirrored_and_gone(granted: Tenant) -> None:
    granted.create(initialTokensFrom=SOURCE)
    granted.await_reason("SecretNotFound")
    granted.add_secret("consent", metadata=IMPORT, data=handed_over())
    granted.await_reason("Synced")
    granted.await_no_secret("consent")
    assert (granted.data() or {})["accessToken"] == value("t1")
    document = stored(granted)
    assert document["refreshToken"] == value("refresh-t1")
    assert document["expiresAt"] == TOKEN_ENDS_MS
    assert document["lastUpdated"]


def test_a_later_consent_replaces_the_grant_and_keeps_other_members(granted: Tenant) -> None:
    granted.store({**oauth("old"), "custom": "kept", "lastUpdated": "2020-01-01T00:00:00Z"})
    granted.synced(initialTokensFrom=SOURCE)
    granted.add_secret("consent", metadata=IMPORT, data=handed_over("new"))
    granted.await_data({**(granted.data() or {}), "accessToken": value("new")})
    granted.await_no_secret("consent")
    assert stored(granted)["custom"] == "kept"


def test_a_newer_grant_upstream_stays(granted: Tenant) -> None:
    granted.store({**oauth("newer"), "lastUpdated": "2029-01-01T00:00:00Z"})
    granted.synced(initialTokensFrom=SOURCE)
    granted.add_secret("consent", metadata=IMPORT, data=handed_over("older"))
    granted.await_no_secret("consent")
    assert stored(granted)["accessToken"] == value("newer")


def test_without_the_grant_nothing_is_stored(tenant: Tenant) -> None:
    theirs = tenant.add_secret("consent", metadata=IMPORT, data=handed_over())
    tenant.create(initialTokensFrom=SOURCE)
    tenant.await_reason("ImportNotGranted")
    assert tenant.secret("consent") == theirs
    tenant.annotate(allow_import="true")
    tenant.await_reason("Synced")


def test_what_cannot_be_read_is_left_alone_and_named(granted: Tenant) -> None:
    theirs = granted.add_secret("consent", metadata=IMPORT, data=handed_over(expiresAt="soon"))
    granted.create(initialTokensFrom=SOURCE)
    granted.await_reason("SecretMalformed")
    message = (granted.condition("Ready") or {})["message"]
    assert 'Secret consent of initialTokensFrom: key "expiresAt"' in message
    assert granted.secret("consent") == theirs


def test_a_secret_without_the_label_is_never_touched(granted: Tenant) -> None:
    theirs = granted.add_secret("consent", data=handed_over())
    granted.create(initialTokensFrom=SOURCE)
    granted.await_reason("SecretNotFound")
    granted.force_sync()
    assert granted.secret("consent") == theirs
