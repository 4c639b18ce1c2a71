"""Both stand-ins, and a plain boto3 client for each."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from dev.secretsmanager import SecretsManagerServer


@pytest.fixture(scope="session")
def strict_client(strict_server: SecretsManagerServer) -> Any:
    return strict_server.client()


@pytest.fixture(scope="session")
def fast_client(fast_server: SecretsManagerServer) -> Any:
    return fast_server.client()


@pytest.fixture(params=["strict", "fast"])
def mode(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def client(mode: str, request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(f"{mode}_client")


@pytest.fixture
def server(mode: str, request: pytest.FixtureRequest) -> Iterator[SecretsManagerServer]:
    """A server that is without faults and lag again afterwards."""
    shared: SecretsManagerServer = request.getfixturevalue(f"{mode}_server")
    yield shared
    shared.clear_faults()
    shared.set_list_lag(0)


@pytest.fixture
def name() -> str:
    """A secret of this test alone. The end looks like the suffix of an ARN."""
    return f"tolstoy/{uuid.uuid4().hex[:12]}/org-abc123"
