"""No secret value is anywhere but in the data of Secrets, whatever happens, at the most talkative log level.

Every value that is stored upstream here holds a canary, in documents that are good, malformed, denied or too large.
"""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Iterator

import pytest

from dev.testbed import OperatorProcess, Testbed, eventually
from tests.integration.operator.tenant import CANARY, Tenant, api_key, oauth, value
from tests.support.kubeapi import KubeApi

pytestmark = pytest.mark.integration

DISGUISES = {
    CANARY,
    base64.b64encode(CANARY.encode()).decode(),  # values begin with it, and six bytes end on a boundary
    CANARY.encode().hex(),
    urllib.parse.quote(CANARY),
    CANARY.lower(),
}

MALFORMED = {
    "text": f"{CANARY}",
    "truncated": json.dumps(oauth())[:-1],
    "list": json.dumps([value("x")]),
    "string": json.dumps(value("x")),
    "nested": json.dumps({"a": {"b": value("x")}}),
    "member-name": json.dumps({f"{CANARY} as a name": "x", "b": ["y"]}),
    "twice": f'{{"apiKey":"{CANARY}1","apiKey":"{CANARY}2"}}',
    "number": json.dumps(oauth(accessToken=1, scope=[value("x")])),
    "expiry": json.dumps(oauth(expiresAt=value("x"))),
    "url": json.dumps({"DATABASE_URL": f"postgres {CANARY}:{CANARY}@host"}),
    "surrogate": f'{{"apiKey":"{CANARY}\\ud800"}}',
}


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    return {"LOG_LEVEL": "debug", "METRICS_PER_CREDENTIAL": "true"}


@pytest.fixture(scope="module")
def story(testbed: Testbed, admin: KubeApi, operator: OperatorProcess) -> Iterator[Tenant]:
    """A tenant to whom everything has happened."""
    tenant = Tenant(testbed, admin, allow_sensitive_keys="true")
    tenant.add_secret("taken")
    tenant.add_secret("web", metadata={"annotations": {"tolstoy.dev/allow-merge": "merged"}})
    _good(tenant)
    _malformed(tenant)
    _refused(tenant)
    _repaired(tenant)
    _outage(tenant)
    _gone(tenant)
    yield tenant
    tenant.close()


def _good(tenant: Tenant) -> None:
    tenant.store(oauth())
    tenant.store(api_key(), "key")
    tenant.store({"webhookSecret": value("w")}, "webhook")
    tenant.store({"DATABASE_URL": f"postgres://u:{CANARY}@h/d"}, "database")
    tenant.synced()
    tenant.synced("webhook", "webhook")
    tenant.synced("database", "database")
    tenant.synced("sensitive", target={"keys": ["refreshToken"], "template": {"c": "${clientSecret|json}"}})
    tenant.synced("merged", "key", target={"name": "web", "creationPolicy": "Merge", "template": {"T": "${apiKey}"}})
    tenant.store(oauth("t2"))
    eventually(lambda: (tenant.data() or {})["accessToken"] == value("t2"), what="the change has arrived")


def _malformed(tenant: Tenant) -> None:
    for name, text in MALFORMED.items():
        tenant.store(text, name)
        tenant.create(name, name)
    tenant.create("wrong-type", "key", type="OAuth2")
    tenant.create("wrong-keys", "key", target={"keys": ["apiKey", "nothing"]})
    for name in (*MALFORMED, "wrong-type", "wrong-keys"):
        tenant.await_reason("SecretMalformed", name)


def _refused(tenant: Tenant) -> None:
    tenant.store(api_key("x" * 3000), "long")
    tenant.create("too-large", "long", target={"template": {"k": "${apiKey|base64}" * 1000}})
    tenant.create("template", target={"template": {"k": "${accessToken|nothing}"}})
    tenant.create("conflict", target={"name": "taken"})
    tenant.await_reason("TargetTooLarge", "too-large")
    tenant.await_reason("TemplateError", "template")
    tenant.await_reason("TargetConflict", "conflict")
    for kind, reason in (("access_denied", "AccessDenied"), ("kms", "DecryptionFailed")):
        tenant.testbed.aws.fault(kind, operation="GetSecretValue", secret=tenant.upstream(kind.replace("_", "-")))
        tenant.store(api_key(kind), kind.replace("_", "-"))
        tenant.create(kind.replace("_", "-"), kind.replace("_", "-"))
        tenant.await_reason(reason, kind.replace("_", "-"))
    tenant.testbed.aws.clear_faults()


def _repaired(tenant: Tenant) -> None:
    tenant.patch_secret({"stringData": {"accessToken": value("by-hand")}})
    eventually(lambda: (tenant.data() or {})["accessToken"] == value("t2"), what="the edit is reverted")
    tenant.patch_secret({"immutable": True})
    tenant.store(oauth("t3"))
    tenant.await_reason("TargetConflict")
    tenant.delete_secret()
    tenant.await_reason("Synced")


def _outage(tenant: Tenant) -> None:
    tenant.testbed.aws.fault("500")
    tenant.await_reason("UpstreamUnavailable")
    tenant.testbed.aws.clear_faults()
    tenant.await_reason("Synced")


def _gone(tenant: Tenant) -> None:
    tenant.delete("merged")
    tenant.await_data({"theirs": "kept"}, "web")
    tenant.annotate(allowed_orgs=None)
    tenant.await_no_secret()


def leaks(text: str) -> list[str]:
    """Where in a text a canary is, with what is around it."""
    return [text[max(0, at - 80) : at + 40] for disguise in DISGUISES for at in [text.find(disguise)] if at >= 0]


def test_the_search_would_find_it(story: Tenant) -> None:
    story.testbed.aws.seed({story.upstream("found"): json.dumps(api_key())})
    story.annotate(allowed_orgs=story.org)
    story.synced("found", "found")
    assert leaks(json.dumps(story.secret("found")))
    assert leaks(f"x {CANARY} y")


def test_it_is_not_in_the_log(story: Tenant, operator: OperatorProcess) -> None:
    levels = {record["level"] for record in operator.records()}
    assert "debug" in levels
    assert leaks(operator.log.read_text()) == []


def test_the_log_does_not_speak_for_the_libraries_below_info(story: Tenant, operator: OperatorProcess) -> None:
    talkative = {record["logger"] for record in operator.records() if record["level"] == "debug"}
    assert {name for name in talkative if not name.startswith("tolstoy_operator")} == set()


def test_it_is_not_in_any_status(story: Tenant) -> None:
    answer = story.admin.get(f"/apis/tolstoy.dev/v1/namespaces/{story.namespace}/toolcredentials")
    assert len(answer.body["items"]) > 20
    assert leaks(json.dumps(answer.body)) == []


def test_it_is_not_in_the_events(story: Tenant) -> None:
    assert len(story.events()) > 10
    assert leaks(json.dumps(story.events())) == []


def test_it_is_not_in_the_metadata_of_secrets(story: Tenant) -> None:
    path = f"/api/v1/namespaces/{story.namespace}/secrets"
    found = [body["metadata"] for body in story.admin.get(path).body["items"]]
    assert leaks(json.dumps(found)) == []


@pytest.mark.parametrize("path", ["/metrics", "/health", "/status/detailed", "/healthz", "/readyz"])
def test_it_is_not_in_what_is_served(story: Tenant, operator: OperatorProcess, path: str) -> None:
    token = story.testbed.plane.token if path == "/status/detailed" else None
    status, text = operator.get(path, token=token)
    assert status == 200
    assert leaks(text) == []
