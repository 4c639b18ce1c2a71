"""The stores, each with its real backend: a SQLite file, and boto3 over HTTP to the two stand-ins."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from dev.secretsmanager import SecretsManagerServer
from tolstoy_operator.stores.base import SecretStore
from tolstoy_operator.stores.secretsmanager import Limits, SecretsManagerStore
from tolstoy_operator.stores.sqlite import SqliteStore


@pytest.fixture(scope="session")
def strict_server() -> Iterator[SecretsManagerServer]:
    with SecretsManagerServer("strict") as server:
        yield server


@pytest.fixture(scope="session")
def fast_server() -> Iterator[SecretsManagerServer]:
    with SecretsManagerServer("fast") as server:
        yield server


@pytest.fixture(params=["sqlite", "strict", "fast"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SecretStore]:
    made: SecretStore
    if request.param == "sqlite":
        made = SqliteStore(tmp_path / "secrets.db")
    else:
        server: SecretsManagerServer = request.getfixturevalue(f"{request.param}_server")
        for name, value in server.env().items():
            monkeypatch.setenv(name, value)
        made = SecretsManagerStore(region=server.region, limits=Limits(write=500, batch=500, list=500, versions=500))
    yield made
    await made.close()


@pytest.fixture
def prefix() -> str:
    """Names of one test, so that tests can share a server."""
    return f"tolstoy/t{uuid.uuid4().hex[:12]}/"
