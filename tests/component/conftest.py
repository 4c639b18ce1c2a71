"""The Secrets Manager stand-ins, one process each for the whole run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dev.secretsmanager import SecretsManagerServer


@pytest.fixture(scope="session")
def strict_server() -> Iterator[SecretsManagerServer]:
    with SecretsManagerServer("strict") as server:
        yield server


@pytest.fixture(scope="session")
def fast_server() -> Iterator[SecretsManagerServer]:
    with SecretsManagerServer("fast") as server:
        yield server
