"""The stores, each with its real backend: a SQLite file, and boto3 over HTTP to the two stand-ins."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from dev.secretsmanager import SecretsManagerServer
from tests.support.fakestore import FakeStore
from tolstoy_operator.stores.base import SecretStore
from tolstoy_operator.stores.secretsmanager import Limits, SecretsManagerStore
from tolstoy_operator.stores.sqlite import SqliteStore

UNHURRIED = Limits(batch=500, list=500, versions=500, write=500)


def connect(server: SecretsManagerServer, *, read_timeout: float = 5.0) -> SecretsManagerStore:
    """A store on a stand-in. It finds the endpoint in the environment, once, at its first call."""
    store = SecretsManagerStore(region=server.region, limits=UNHURRIED, read_timeout=read_timeout)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.env().items():
            patch.setenv(name, value)
        asyncio.run(store.validate_access())
    return store


@pytest.fixture(scope="session")
def strict_store(strict_server: SecretsManagerServer) -> Iterator[SecretsManagerStore]:
    store = connect(strict_server)
    yield store
    asyncio.run(store.close())


@pytest.fixture(scope="session")
def fast_store(fast_server: SecretsManagerServer) -> Iterator[SecretsManagerStore]:
    store = connect(fast_server)
    yield store
    asyncio.run(store.close())


@pytest.fixture
async def sqlite_store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "secrets.db")
    yield store
    await store.close()


@pytest.fixture
def fake_store() -> FakeStore:
    """The fake of the unit tests keeps the same contract, or those tests would prove nothing."""
    return FakeStore(wall=time.time)


@pytest.fixture(params=["sqlite", "strict", "fast", "fake"])
def store(request: pytest.FixtureRequest) -> SecretStore:
    """Shared by many tests: it is not to be closed."""
    made: SecretStore = request.getfixturevalue(f"{request.param}_store")
    return made


@pytest.fixture
def prefix() -> str:
    """Names of one test, so that tests can share a server."""
    return f"tolstoy/t{uuid.uuid4().hex[:12]}/"
