"""An operator without AWS: its secrets are in a file, and its command `put` is how people fill that."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from dev.oauth.server import OAuthServer
from dev.testbed import OperatorProcess, Testbed, eventually
from tests.integration.operator.budget import writes
from tests.integration.operator.conftest import ALONE, stop
from tests.integration.operator.tenant import CANARY, Tenant, value
from tests.integration.tokens.consent import TOOL, Consent
from tests.support.kubeapi import KubeApi

pytestmark = pytest.mark.integration

DATABASE: Final = "conductor-db-secret"
DOCUMENTS: Final[Mapping[str, dict[str, Any]]] = {
    "ApiKey": {"apiKey": value("k1")},
    "Webhook": {"webhookSecret": value("w1")},
    "ClientCredentials": {"clientId": "client", "clientSecret": value("c1")},
    "Database": {"DATABASE_URL": f"postgres://db/{value('d1')}"},
    "Opaque": {"user": value("u1"), "port": 5432},
}
"""A document of each type that nobody refreshes."""
MIRRORED: Final = {
    **DOCUMENTS,
    "ClientCredentials": {"clientId": "client"},
    "Opaque": {"user": value("u1"), "port": "5432"},
}
"""What their Secrets hold."""


class LocalTenant(Tenant):
    """A tenant whose documents are put into the file by the operator's own command."""

    def __init__(self, testbed: Testbed, admin: KubeApi, file: Path, **annotations: Any) -> None:
        super().__init__(testbed, admin, **annotations)
        self._file = file

    def put(self, name: str, document: Mapping[str, object] | str) -> str:
        """Store a document. Returns what the command says."""
        base = {
            key: text for key, text in os.environ.items() if key in {"PATH", "HOME", "TMPDIR", "LANG", "PYTHONPATH"}
        }
        done = subprocess.run(
            [sys.executable, "-m", "tolstoy_operator", "put", name],
            env={**base, "USE_AWS_SECRETS": "false", "SQLITE_PATH": str(self._file)},
            input=document if isinstance(document, str) else json.dumps(document),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert CANARY not in done.stdout + done.stderr
        assert done.returncode == 0, done.stderr
        return done.stdout

    def store(self, document: Mapping[str, object] | str, tool: str = "github") -> None:
        self.put(self.upstream(tool), document)


def content(file: Path) -> dict[str, tuple[str, str]]:
    """The current version and its value by the secret's name."""
    query = (
        "SELECT name, version_id, value FROM labels JOIN versions USING (name, version_id) WHERE label = 'AWSCURRENT'"
    )
    with closing(sqlite3.connect(file)) as db:
        return {name: (version_id, text) for name, version_id, text in db.execute(query)}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store") / "secrets.db"


@pytest.fixture(scope="module")
def server() -> Iterator[OAuthServer]:
    with OAuthServer(access_token_ttl=3600) as running:
        yield running


@pytest.fixture(scope="module")
def operator(testbed: Testbed, file: Path, server: OAuthServer) -> Iterator[OperatorProcess]:
    """It never asks Secrets Manager for anything, though there is one."""
    testbed.aws.reset_calls()
    local = {"USE_AWS_SECRETS": "false", "SQLITE_PATH": str(file), "TOKEN_ENDPOINT_ORIGINS": server.url}
    with testbed.operator(**ALONE, **local) as process:
        yield process
        stop(process)
    assert testbed.aws.calls() == {}


@pytest.fixture(scope="module")
def filled(testbed: Testbed, admin: KubeApi, file: Path, operator: OperatorProcess) -> Iterator[LocalTenant]:
    """A tenant with a credential of each type, named after it; all were there before their documents."""
    tenant = LocalTenant(testbed, admin, file, allowed_secrets=DATABASE)
    for kind in DOCUMENTS:
        if kind == "Database":
            tenant.create("database", tool=None, secretName=DATABASE)
        else:
            tenant.create(kind.lower(), kind.lower())
        tenant.await_reason("SecretNotFound", kind.lower())
    for kind, document in DOCUMENTS.items():
        name = DATABASE if kind == "Database" else tenant.upstream(kind.lower())
        assert tenant.put(name, document).startswith(f"created {name} as {kind}, version ")
    yield tenant
    tenant.close()


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_what_was_put_is_mirrored(filled: LocalTenant, kind: str) -> None:
    status = filled.await_reason("Synced", kind.lower())
    assert (status["credentialType"], status["upstream"]["region"]) == (kind, "local")
    if kind != "ApiKey":  # which another test changes
        assert filled.data(kind.lower()) == MIRRORED[kind]


def test_a_change_that_is_put_arrives(filled: LocalTenant) -> None:
    filled.await_reason("Synced", "apikey")
    said = filled.put(filled.upstream("apikey"), {"apiKey": value("k2")})
    filled.await_data({"apiKey": value("k2")}, "apikey")
    version = said.removeprefix(f"updated {filled.upstream('apikey')} as ApiKey, version ").strip()
    eventually(lambda: filled.status("apikey")["upstream"]["versionId"] == version, what="the status has that version")


def test_a_restart_writes_nothing(
    filled: LocalTenant, testbed: Testbed, admin: KubeApi, file: Path, operator: OperatorProcess
) -> None:
    for kind in DOCUMENTS:
        filled.await_reason("Synced", kind.lower())
    stop(operator)
    before = writes(testbed, admin, filled.namespace)
    stored = content(file)
    operator.start()
    synced = 'tolstoy_sync_total{outcome="Synced"}'
    eventually(lambda: operator.metric(synced) >= len(DOCUMENTS), what="all were looked at")
    assert writes(testbed, admin, filled.namespace) == before
    assert content(file) == stored


def test_a_token_is_refreshed_in_the_file(
    testbed: Testbed, admin: KubeApi, file: Path, operator: OperatorProcess, server: OAuthServer
) -> None:
    tenant = LocalTenant(testbed, admin, file)
    consent = Consent(tenant, server)
    consent.store()
    consent.create()

    def refreshed() -> str:
        token = (tenant.data(TOOL) or {}).get("accessToken")
        assert token not in (None, consent.grant.access_token), tenant.status(TOOL)
        return str(token)

    token = eventually(refreshed, what="the Secret has another token", timeout=40)
    document = json.loads(content(file)[tenant.upstream(TOOL)][1])
    assert (document["accessToken"], document["custom"]) == (token, {"keep": ["me", 1]})
    assert consent.family().requests == (1, 0)
    assert token not in operator.log.read_text()
    tenant.close()
