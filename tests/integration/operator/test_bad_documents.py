"""Upstream secrets that are not what they should be: each has its reason, and nothing that was good gets lost.

All of them are damaged at once, next to a neighbour that is not: what one test sees of its own case, it sees while all
the others are broken.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from dev.testbed import OperatorProcess, Testbed
from tests.integration.operator.tenant import CANARY, Tenant, api_key, oauth, value
from tests.support.kubeapi import KubeApi

pytestmark = pytest.mark.integration

Damage = Callable[[Tenant, str], None]

MALFORMED = "SecretMalformed"


@dataclass(frozen=True)
class Case:
    """`good` is mirrored first, then `bad` is stored, or `damage` done; `says` is part of the message."""

    name: str
    bad: str | Mapping[str, object] = ""
    reason: str = MALFORMED
    says: str = ""
    ready: str = "False"
    good: Mapping[str, object] = field(default_factory=oauth)
    spec: Mapping[str, Any] = field(default_factory=dict)
    damage: Damage | None = None

    def strike(self, tenant: Tenant) -> None:
        if self.damage is not None:
            self.damage(tenant, tenant.upstream(self.name))
        else:
            tenant.store(self.bad, self.name)


def binary(content: bytes) -> Damage:
    return lambda tenant, name: tenant.testbed.aws.client().put_secret_value(SecretId=name, SecretBinary=content)


def delete(tenant: Tenant, name: str) -> None:
    tenant.testbed.aws.client().delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)


def schedule_deletion(tenant: Tenant, name: str) -> None:
    tenant.testbed.aws.client().delete_secret(SecretId=name, RecoveryWindowInDays=7)


def recreate_without_value(tenant: Tenant, name: str) -> None:
    delete(tenant, name)
    tenant.testbed.aws.client().create_secret(Name=name)


def refuse(kind: str) -> Damage:
    """A new version that cannot be read."""

    def damage(tenant: Tenant, name: str) -> None:
        tenant.testbed.aws.fault(kind, operation="GetSecretValue", secret=name)
        tenant.testbed.aws.seed({name: json.dumps(oauth("unreadable"))})

    return damage


def key_case(name: str, bad: Mapping[str, object], says: str) -> Case:
    """An API key that is asked for as one."""
    return Case(name, bad, says=says, good=api_key(), spec={"type": "ApiKey"})


OPAQUE = {"a": value("a"), "b": value("b")}

CASES = [
    # no JSON object
    Case("text", f"{CANARY} is not json", says="line 1, column 1"),
    Case("truncated", json.dumps(oauth())[:-20], says="not JSON"),
    Case("list", json.dumps([value("x")]), says="JSON list"),
    Case("number", "31337", says="JSON number"),
    Case("string", json.dumps(value("x")), says="JSON string"),
    Case("null", "null", says="JSON null"),
    Case("blank", "  \n ", says="empty"),
    Case("no-members", "{}", says="without members"),
    Case("nested", {"a": {"b": value("x")}}, says='member "a" is nested', good=OPAQUE),
    Case("deep", "[" * 20_000, says="nests deeper"),
    Case("twice", f'{{"apiKey":"{CANARY}1","apiKey":"{CANARY}2"}}', says="occurs twice"),
    Case("nan", '{"apiKey":"x","n":NaN}', says="NaN"),
    Case("huge-number", f'{{"apiKey":"x","n":{"9" * 5000}}}', says="too large"),
    Case("surrogate", '{"accessToken":"\\ud800"}', says="surrogate"),
    Case("byte-order-mark", "\ufeff{}", says="not JSON"),
    # bytes
    Case("binary", says="binary", damage=binary(b"\x00\x01\x02" + CANARY.encode())),
    Case("invalid-utf8", says="binary", damage=binary(b'{"apiKey":"\xff\xfe"}')),
    Case("binary-json", says="binary", damage=binary(json.dumps(oauth()).encode())),
    # members
    Case("no-tokens", {"scope": "repo"}, says="accessToken", spec={"type": "OAuth2"}),
    Case(
        "empty-token",
        oauth(accessToken="", refreshToken=None),
        reason="ReauthorizationRequired",
        says="no refresh token",
    ),
    Case("token-number", oauth(accessToken=31337), says='"accessToken" must be a string'),
    key_case("no-api-key", {"other": value("x")}, '"apiKey" is missing'),
    key_case("empty-api-key", {"apiKey": ""}, '"apiKey" is empty'),
    key_case("null-api-key", {"apiKey": None}, '"apiKey" is empty'),
    key_case("list-api-key", {"apiKey": [value("x")]}, '"apiKey" must be a string'),
    Case(
        "no-url",
        {"DATABASE_URL": f"host={CANARY}"},
        says='"DATABASE_URL" must be a URL',
        good={"DATABASE_URL": "postgres://u@h/d"},
    ),
    Case("expires-text", oauth(expiresAt="tomorrow"), says='"expiresAt" must be a number'),
    Case("expires-iso", oauth(expiresAt="2030-01-01T00:00:00Z"), says='"expiresAt" must be a number'),
    Case("expires-digits", oauth(expiresAt="1893456000000"), says='"expiresAt" must be a number'),
    Case("expires-seconds", oauth(expiresAt=1_893_456_000), says="as if it were seconds"),
    Case("expires-negative", oauth(expiresAt=-1), says="out of range"),
    Case("another-type", api_key(), says="was of type OAuth2 and is now ApiKey"),
    Case("member-gone", {"a": value("a")}, says='no member "b"', good=OPAQUE, spec={"target": {"keys": ["a", "b"]}}),
    Case("bad-key", {"a b": value("x")}, "InvalidTargetKey", "letters, digits", good=OPAQUE),
    # the secret itself
    Case("absent", reason="SecretNotFound", says="no current value", damage=delete),
    Case("no-version", reason="SecretNotFound", says="no current value", damage=recreate_without_value),
    Case("pending", reason="SecretPendingDeletion", says="scheduled for deletion", damage=schedule_deletion),
    Case("kms", reason="DecryptionFailed", says="KMS key", ready="True", damage=refuse("kms")),
    Case("denied", reason="AccessDenied", says="denies", ready="True", damage=refuse("access_denied")),
    # a grant without a token yet
    Case("no-access-token", oauth(accessToken=None), reason="TokenEndpointNotAllowed", says="token endpoint"),
]


@dataclass(frozen=True)
class Damaged:
    tenant: Tenant
    before: dict[str, dict[str, Any]]
    """The Secrets by case, as they were before the damage."""


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    return {"SECRETS_FULL_SWEEP_INTERVAL_S": "1"}  # only a full sweep notices that a secret is gone


@pytest.fixture(scope="module")
def damaged(testbed: Testbed, admin: KubeApi, operator: OperatorProcess) -> Iterator[Damaged]:
    tenant = Tenant(testbed, admin)
    for case in CASES:
        tenant.store(case.good, case.name)
        tenant.create(case.name, case.name, **case.spec)
    before = {}
    for case in CASES:
        tenant.await_reason("Synced", case.name)
        body = tenant.secret(case.name)
        assert body is not None
        before[case.name] = body
    for case in CASES:
        case.strike(tenant)
    yield Damaged(tenant, before)
    testbed.aws.clear_faults()
    tenant.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_has_its_reason_and_the_last_good_secret_stays(damaged: Damaged, case: Case) -> None:
    tenant = damaged.tenant
    tenant.await_reason(case.reason, case.name)
    ready = tenant.condition("Ready", case.name)
    assert ready is not None
    assert case.says in ready["message"]
    assert CANARY not in ready["message"]
    assert ready["status"] == case.ready
    assert tenant.secret(case.name) == damaged.before[case.name]


def test_a_neighbour_is_unharmed(damaged: Damaged) -> None:
    tenant = damaged.tenant
    tenant.store(api_key("n1"), "neighbour")
    tenant.synced("neighbour", "neighbour")
    tenant.await_data(api_key("n1"), "neighbour")
    tenant.store(api_key("n2"), "neighbour")
    tenant.await_data(api_key("n2"), "neighbour")


def test_a_secret_that_is_deleted_while_access_is_denied_is_not_ready(damaged: Damaged) -> None:
    """A refusal is not an outage: no older value stands in for what the operator may not read any more."""
    tenant = damaged.tenant
    tenant.store(oauth(), "again")
    tenant.synced("again", "again")
    tenant.testbed.aws.fault("access_denied", operation="GetSecretValue", secret=tenant.upstream("again"))
    tenant.store(oauth("unreadable"), "again")
    tenant.await_reason("AccessDenied", "again")
    tenant.delete_secret("again")
    status = tenant.force_sync("again")
    ready = next(item for item in status["conditions"] if item["type"] == "Ready")
    assert (ready["reason"], ready["status"]) == ("AccessDenied", "False")


def test_once_it_is_corrected_it_is_mirrored(tenant: Tenant) -> None:
    tenant.store(oauth())
    tenant.synced()
    tenant.store("not json")
    tenant.await_reason("SecretMalformed")
    tenant.store(api_key("k2"))
    tenant.await_reason("SecretMalformed")
    tenant.edit(type="ApiKey")
    tenant.await_data(api_key("k2"))


def test_a_secret_that_is_restored_is_mirrored_again(tenant: Tenant) -> None:
    tenant.store(oauth())
    tenant.synced()
    aws = tenant.testbed.aws.client()
    aws.delete_secret(SecretId=tenant.upstream(), RecoveryWindowInDays=7)
    tenant.await_reason("SecretPendingDeletion")
    aws.restore_secret(SecretId=tenant.upstream())
    tenant.await_reason("Synced")


def test_the_largest_secret_there_is(tenant: Tenant) -> None:
    text = json.dumps({"apiKey": ""})
    filler = "x" * (65_536 - len(text))
    tenant.store({"apiKey": filler})
    tenant.synced()
    tenant.await_data({"apiKey": filler})


def test_an_expired_token_is_mirrored_and_not_ready(tenant: Tenant) -> None:
    tenant.store(oauth(expiresAt=1_600_000_000_000))
    tenant.create()
    status = tenant.await_reason("RefreshFailing")  # github.com cannot be reached from here
    assert status["grant"]["state"] == "RefreshFailing"
    assert (tenant.condition("Ready") or {})["status"] == "False"
    assert (tenant.condition("Synced") or {})["status"] == "True"
    assert (tenant.data() or {})["accessToken"] == value("t1")
