"""Tokens that died before their time, found out by asking a real authorization server."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from dev.oauth.server import OAuthServer
from dev.testbed import OperatorProcess, eventually
from tests.integration.operator.tenant import Tenant
from tests.integration.tokens.consent import Consent

TOOL = "asked"
ENTRY = """\
like: generic
title: A server that says which tokens it accepts
sources: {here: {at: this test, date: 2026-11-24}}
introspect: {value: {url: token/introspection, success: {active: true}}, source: here}
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    providers = tmp_path_factory.mktemp("providers")
    (providers / f"{TOOL}.yaml").write_text(ENTRY)
    return {"PROVIDERS_DIR": str(providers), "VALIDATE_TOKENS": "true"}


@pytest.fixture
def asked(new_tenant: Callable[..., Tenant], server: OAuthServer, operator: OperatorProcess) -> Consent:
    assert operator
    return Consent(new_tenant(), server, tool=TOOL)


def outcomes(operator: OperatorProcess, consent: Consent) -> list[str]:
    """What the audit says of questions about the consent's token."""
    lines = [json.loads(line) for line in operator.log.read_text().splitlines() if '"validate"' in line]
    name = consent.tenant.upstream(consent.tool)
    return [line["outcome"] for line in lines if line.get("operation") == "validate" and line["secret"] == name]


def test_a_static_token_is_asked_about_when_it_comes(asked: Consent, operator: OperatorProcess) -> None:
    asked.store(refreshToken=None, expiresAt=None)
    asked.create()
    eventually(lambda: asked.grant_status().get("state") == "Active", what="it is known to work")
    assert outcomes(operator, asked) == ["ok"]


def test_a_static_token_that_is_dead_takes_ready_away(asked: Consent, operator: OperatorProcess) -> None:
    asked.store(refreshToken=None, expiresAt=None)
    asked.server.withdraw(asked.grant.id)
    asked.create()
    status = asked.await_reason("Revoked")
    assert status["grant"]["state"] == "Revoked"
    ready, synced = (asked.tenant.condition(kind, asked.tool) or {} for kind in ("Ready", "Synced"))
    assert (ready["status"], synced["status"]) == ("False", "True")
    assert "does not accept the access token any more; the organisation must give its consent again" in ready["message"]
    assert (asked.tenant.data(asked.tool) or {})["accessToken"] == asked.grant.access_token, "it stays all the same"
    assert outcomes(operator, asked) == ["dead"]
    asked.again()
    asked.store(refreshToken=None, expiresAt=None)
    asked.await_reason("Synced")


def test_a_token_that_died_before_its_time_is_replaced_and_only_a_refusal_of_that_ends_it(asked: Consent) -> None:
    asked.store(ends_in=3000)
    asked.server.withdraw(asked.grant.id)
    asked.create()
    asked.await_reason("ReauthorizationRequired")
    assert asked.family().requests == (2,), "refused, and confirmed"
