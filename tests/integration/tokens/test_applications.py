"""Clients that get tokens for themselves, from a real authorization server."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from dev.oauth.server import CLIENT_SECRET, OAuthServer
from dev.testbed import OperatorProcess, eventually
from tests.integration.operator.tenant import Tenant
from tests.integration.tokens.consent import Consent

ROBOT = "robot"
ENTRY = """\
like: generic
title: A server whose clients act for themselves
sources: {here: {at: this test, date: 2026-11-24}}
grant: {value: client_credentials, source: here}
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    providers = tmp_path_factory.mktemp("providers")
    (providers / f"{ROBOT}.yaml").write_text(ENTRY)
    return {"PROVIDERS_DIR": str(providers)}


@pytest.fixture
def robot(new_tenant: Callable[..., Tenant], server: OAuthServer, operator: OperatorProcess) -> Consent:
    assert operator
    return Consent(new_tenant(), server, client="basic", tool=ROBOT)


def client(robot: Consent, **members: Any) -> dict[str, Any]:
    return {
        "clientId": "basic",
        "clientSecret": CLIENT_SECRET,
        "tokenEndpoint": robot.server.token_endpoint,
        "scope": "api:read",
        "note": "kept",
        **members,
    }


def test_a_client_gets_its_first_token_and_the_next_one(robot: Consent, provider: OAuthServer) -> None:
    before = provider.state().requests
    robot.tenant.store(client(robot), ROBOT)
    robot.create(type="OAuth2")
    status = robot.await_reason("Synced")
    first = robot.tenant.data(ROBOT)
    assert first is not None
    assert first.keys() == {"accessToken", "expiresAt", "scope", "tokenType"}
    assert status["grant"]["state"] == "Active"
    stored = robot.stored()
    assert (stored["note"], stored["clientSecret"], "refreshToken" in stored) == ("kept", CLIENT_SECRET, False)
    assert provider.state().requests - before == 1

    stored["expiresAt"] = round((time.time() + 30) * 1000)
    stored["lastUpdated"] = "2026-01-01T00:00:00Z"
    robot.tenant.store(stored, ROBOT)
    tokens = [first["accessToken"]]
    eventually(lambda: (robot.tenant.data(ROBOT) or {})["accessToken"] not in tokens, what="the next token", timeout=40)


def test_a_client_without_its_secret_is_told_so_and_not_called_malformed(robot: Consent, provider: OAuthServer) -> None:
    before = provider.state().requests
    robot.tenant.store(client(robot, clientSecret="wrong-but-plain-1"), ROBOT)
    robot.create(type="OAuth2")
    status = robot.await_reason("ClientMisconfigured")
    assert robot.tenant.data(ROBOT) is None
    ready = {item["type"]: item["status"] for item in status["conditions"]}
    assert (ready["Ready"], ready["Synced"], ready["Stalled"]) == ("False", "False", "True")
    robot.tenant.store(client(robot), ROBOT)
    robot.await_reason("Synced")
    assert provider.state().requests > before
