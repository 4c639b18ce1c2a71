"""A scripted API server and a client of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.unit.kube.apiserver import ApiServer
from tolstoy_operator.kube.client import KubeClient


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    async with ApiServer() as server:
        yield server


@pytest.fixture
async def client(server: ApiServer) -> AsyncIterator[KubeClient]:
    client = server.client()
    yield client
    await client.close()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which are recorded and not waited for."""
    recorded: list[float] = []
    sleep = asyncio.sleep

    async def record(seconds: float) -> None:
        recorded.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", record)
    return recorded
