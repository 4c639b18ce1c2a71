"""That data has become another value is told once for each version, whatever becomes of the status."""

from __future__ import annotations

import contextlib

import pytest

from tests.unit.engine.world import SHOP, UPSTREAM, World
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.errors import KubeError, Unprocessable

SECRET = paths.secrets(SHOP, "github")


@pytest.fixture
async def world(world: World) -> World:
    """All is well, and from now on no status can be written."""
    world.credential()
    await world.settle()
    world.data_changes.clear()
    world.kube.fail("PATCH", "/status", Unprocessable())
    return world


async def try_again(world: World, *, times: int = 5) -> None:
    for _ in range(times):
        world.deliver()
        with contextlib.suppress(KubeError):
            await world.reconcile()


async def mirror(world: World, key: str) -> None:
    world.store.write(UPSTREAM, {"apiKey": key})
    world.secrets.invalidate(UPSTREAM)
    await try_again(world)
    assert world.data() == {"apiKey": key}


def told_anew(world: World) -> list[bool]:
    return [change.anew for _, change in world.data_changes]


async def test_a_value_is_told_once_while_the_status_cannot_be_written(world: World) -> None:
    await mirror(world, "second")
    assert told_anew(world) == [True]
    await mirror(world, "third")
    assert told_anew(world) == [True, True]
    world.kube.heal()
    await world.look_at_all()
    assert told_anew(world) == [True, True]


async def test_a_repair_meanwhile_is_no_other_value(world: World) -> None:
    await mirror(world, "second")
    world.kube.edit(SECRET, lambda body: body["data"].update(apiKey="eA=="))
    await try_again(world)
    assert world.data() == {"apiKey": "second"}
    assert told_anew(world) == [True, False]


async def test_what_the_process_before_left_untold_is_told(world: World) -> None:
    """It ended between the Secret and the status, and may not have told anybody."""
    await mirror(world, "second")
    world.restart()
    world.data_changes.clear()
    await try_again(world)
    assert told_anew(world) == [True]
