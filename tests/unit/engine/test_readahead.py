"""What is read ahead is what is going to be asked for, and nothing that may not be."""

from __future__ import annotations

from tests.unit.engine.world import SHOP, UPSTREAM, World
from tolstoy_operator.engine.readahead import ReadAhead
from tolstoy_operator.engine.workqueue import Priority, WorkQueue
from tolstoy_operator.observability.audit import Actor


def upcoming(world: World, *names: str) -> list[tuple[str, Actor]]:
    world.deliver()
    queue = WorkQueue(world.clock)
    for name in names:
        queue.add((SHOP, name), Priority.CHANGE)
    return list(ReadAhead(world.inventory, queue)())


def test_the_secret_of_who_comes_next_in_its_name() -> None:
    world = World()
    world.namespace()
    uid = world.credential()
    assert upcoming(world, "github") == [(UPSTREAM, Actor(SHOP, "github", uid))]
    assert upcoming(world) == []


def test_nothing_for_a_namespace_without_the_right() -> None:
    world = World()
    world.namespace(orgs="org-2")
    world.credential()
    assert upcoming(world, "github") == []


def test_nothing_for_an_unknown_namespace() -> None:
    world = World()
    world.credential()
    assert upcoming(world, "github") == []


def test_nothing_for_the_suspended_the_unreadable_and_the_gone() -> None:
    world = World()
    world.namespace()
    world.credential("suspended", suspend=True)
    world.credential("unreadable", tool="NOT A TOOL")
    assert upcoming(world, "suspended", "unreadable", "gone") == []
