"""A world for each test that asks for one."""

from __future__ import annotations

import pytest

from tests.unit.engine.world import UPSTREAM, World


@pytest.fixture
def world() -> World:
    """A bound namespace and an API key upstream; nothing is seen yet."""
    world = World()
    world.namespace()
    world.store.write(UPSTREAM, {"apiKey": "first"})
    return world
