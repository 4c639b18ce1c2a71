"""Specs that cannot be fulfilled: hostile templates, keys that may not or cannot be there, too much of everything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from dev.testbed import OperatorProcess, Testbed
from tests.integration.operator.tenant import CANARY, Tenant, api_key, oauth, oauth_data, value
from tests.support.kubeapi import KubeApi

pytestmark = pytest.mark.integration

TEMPLATE = "TemplateError"
NOT_GRANTED = "SensitiveKeyNotGranted"


@dataclass(frozen=True)
class Case:
    """A change to a target that works; the reason that it gives, and part of the message."""

    name: str
    target: dict[str, Any]
    reason: str
    says: str


def template(name: str, text: str, reason: str = TEMPLATE, says: str = "reference") -> Case:
    return Case(name, {"template": {"key": text}}, reason, says)


BIG = "${accessToken}" * 1000  # 14,000 characters, and far more than 1 MiB once it is filled in

CASES = [
    template("unclosed", "before ${accessToken", says="character 8"),
    template("bare", "${", says="character 1"),
    template("empty", "${}", says="without spaces"),
    template("inside-itself", "${${accessToken}}"),
    template("spaces", "${ accessToken }", says="without spaces"),
    template("newline", "${accessToken\n}", says="without spaces"),
    template("filter", "${accessToken|eval}", says="filters are base64, json, urlencode"),
    template("two-filters", "${accessToken|json|json}"),
    template("attribute", "${accessToken.__class__}", says="no such member"),
    template("unknown", "x${nothing}", says="no such member at character 2"),
    template("shell", "${accessToken:-default}", says="no such member"),
    template("too-large", BIG, "TargetTooLarge", "more than 1 MiB"),
    Case("too-large-together", {"template": {f"k{n}": BIG for n in range(9)}}, "TargetTooLarge", "more than 1 MiB"),
    template("refresh-token", "${refreshToken}", NOT_GRANTED, '"refreshToken" is sensitive'),
    template("client-secret", "${clientSecret|base64}", NOT_GRANTED, '"clientSecret" is sensitive'),
    template("sensitive-inside", "${nested|json}", NOT_GRANTED, '"nested" is sensitive'),
    Case("sensitive-key", {"keys": ["accessToken", "refreshToken"]}, NOT_GRANTED, '"refreshToken" is sensitive'),
    Case("sensitive-unknown", {"keys": ["private_key"]}, NOT_GRANTED, '"private_key" is sensitive'),
    Case("missing", {"keys": ["accessToken", "nothing"]}, "SecretMalformed", 'no member "nothing"'),
]


@dataclass(frozen=True)
class Asked:
    tenant: Tenant
    before: dict[str, dict[str, Any]]
    """The Secrets by case, as they were before the change."""


@pytest.fixture(scope="module")
def asked(testbed: Testbed, admin: KubeApi, operator: OperatorProcess) -> Iterator[Asked]:
    tenant = Tenant(testbed, admin)
    token = value("t" + "x" * 2000)
    tenant.store(oauth(accessToken=token, nested={"inner": [{"client_secret": value("s")}]}))
    for case in CASES:
        tenant.create(case.name)
    before = {}
    for case in CASES:
        tenant.await_reason("Synced", case.name)
        body = tenant.secret(case.name)
        assert body is not None
        before[case.name] = body
    for case in CASES:
        tenant.edit(case.name, target=case.target)
    yield Asked(tenant, before)
    tenant.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_is_told_and_the_last_good_secret_stays(asked: Asked, case: Case) -> None:
    tenant = asked.tenant
    tenant.await_reason(case.reason, case.name)
    conditions = {kind: tenant.condition(kind, case.name) or {} for kind in ("Ready", "Stalled")}
    assert {kind: found["status"] for kind, found in conditions.items()} == {"Ready": "False", "Stalled": "True"}
    assert case.says in conditions["Ready"]["message"]
    assert CANARY not in conditions["Ready"]["message"]
    assert tenant.secret(case.name) == asked.before[case.name]


def test_what_only_looks_like_a_template_is_text(tenant: Tenant) -> None:
    tenant.store(api_key())
    texts = {
        "go": "{{ .apiKey }}",
        "percent": "%(apiKey)s",
        "format": "{apiKey}",
        "dollar": "$apiKey $$ $",
        "nothing": "",
        "control": "\x01\u2028\U0001f511",
    }
    tenant.synced(target={"template": texts})
    tenant.await_data(texts)


def test_a_correction_is_mirrored(tenant: Tenant) -> None:
    tenant.store(api_key())
    tenant.create(target={"template": {"key": "${nothing}"}})
    tenant.await_reason("TemplateError")
    assert tenant.secret() is None
    tenant.edit(target={"template": {"key": "${apiKey}"}})
    tenant.await_data({"key": value("k1")})


def test_a_member_that_appears_upstream_cures_a_template(tenant: Tenant) -> None:
    tenant.store(api_key())
    tenant.create(target={"template": {"key": "${later}"}})
    tenant.await_reason("TemplateError")
    tenant.store({**api_key(), "later": value("later")})
    tenant.await_data({"key": value("later")})


class TestSensitiveKeys:
    def test_they_are_never_there_by_default_even_where_they_are_granted(self, tenant: Tenant) -> None:
        tenant.annotate(allow_sensitive_keys="true")
        tenant.store(oauth())
        tenant.synced()
        tenant.await_data(oauth_data())

    def test_a_grant_lets_them_through(self, tenant: Tenant) -> None:
        tenant.store(oauth())
        tenant.create(target={"keys": ["refreshToken"], "template": {"CLIENT": "${clientId}:${clientSecret}"}})
        tenant.await_reason("SensitiveKeyNotGranted")
        assert tenant.secret() is None
        tenant.annotate(allow_sensitive_keys="true")
        tenant.await_data({"refreshToken": value("refresh-t1"), "CLIENT": f"client:{value('client-t1')}"})

    @pytest.mark.parametrize("text", ["True", "yes", "1", ""])
    def test_only_the_word_true_grants(self, tenant: Tenant, text: str) -> None:
        tenant.annotate(allow_sensitive_keys=text)
        tenant.store(oauth())
        tenant.create(target={"keys": ["refreshToken"]})
        tenant.await_reason("SensitiveKeyNotGranted")

    def test_a_grant_that_is_taken_back_takes_them_out(self, tenant: Tenant) -> None:
        tenant.annotate(allow_sensitive_keys="true")
        tenant.store(oauth())
        tenant.synced(target={"keys": ["accessToken", "refreshToken"]})
        tenant.annotate(allow_sensitive_keys=None)
        tenant.await_reason("SensitiveKeyNotGranted")
        tenant.await_data({"accessToken": value("t1")})
        tenant.store(oauth("t2"))
        tenant.force_sync()
        assert tenant.data() == {"accessToken": value("t1")}


class TestSecretTypes:
    @pytest.mark.parametrize(
        ("target", "reason", "says"),
        [
            ({"type": "kubernetes.io/tls"}, "InvalidTargetKey", "tls.crt"),
            ({"type": "kubernetes.io/basic-auth"}, "InvalidTargetKey", "username"),
            (
                {"type": "kubernetes.io/dockerconfigjson", "template": {".dockerconfigjson": "no json"}},
                "TemplateError",
                "must be a JSON object",
            ),
        ],
        ids=["tls", "basic-auth", "dockerconfigjson"],
    )
    def test_what_the_type_demands_is_checked_before_anything_is_written(
        self, tenant: Tenant, target: dict[str, Any], reason: str, says: str
    ) -> None:
        tenant.store(api_key())
        tenant.create(target=target)
        tenant.await_reason(reason)
        assert says in (tenant.condition("Ready") or {})["message"]
        assert tenant.secret() is None

    def test_an_existing_secret_of_ours_with_another_type_is_told(self, tenant: Tenant) -> None:
        """A retained Secret keeps its type when a new credential of the same name wants another."""
        tenant.store(api_key())
        tenant.synced(target={"deletionPolicy": "Retain"})
        tenant.delete()
        before = tenant.secret()
        tenant.create(target={"type": "example.com/other"})
        tenant.await_reason("TargetConflict")
        assert "type of a Secret cannot change" in (tenant.condition("Ready") or {})["message"]
        assert tenant.secret() == before
        tenant.delete_secret()
        tenant.await_reason("Synced")
        assert (tenant.secret() or {})["type"] == "example.com/other"
