"""Exclusive mode: one cluster refreshes a secret, and it is written on the secret which one.

The label is taken by compare-and-swap, once, and stays until a person takes it off: a change of the setting alone does
not give a secret away, because replicas with the old and the new setting run side by side for a while. From then on
every look at the secret shows the owner. The first refresh under a new owner is still reserved in the store, where
clusters that have not seen the label yet meet it; its result says that the next one is not.
"""

from __future__ import annotations

from contextlib import suppress
from typing import NoReturn

from tolstoy_operator.domain.errors import LabelMoved
from tolstoy_operator.domain.oauthdocument import Scheme
from tolstoy_operator.domain.refreshids import EVERYBODY, NEXT_LABEL, OWNER_LABEL, owner_id
from tolstoy_operator.domain.refreshrecords import Ownership, encode
from tolstoy_operator.services.refresh.endings import MirrorOnly, StartOver, Waiting
from tolstoy_operator.services.refresh.parts import Memory, Parts
from tolstoy_operator.services.refresh.view import View


async def standing(parts: Parts, view: View, memory: Memory) -> MirrorOnly | Waiting | None:
    """Whether this replica may refresh: None when it may. Raises `StartOver` after it changed the owner."""
    if view.owner in (None, EVERYBODY):
        if parts.exclusive:
            await _hand_over(parts, view, parts.cluster)
        if view.owner is None and view.origin.scheme is Scheme.OWNER:
            await _hand_over(parts, view, EVERYBODY)
    elif not parts.owns(view):
        return MirrorOnly(rival=parts.exclusive)
    return _in_transition(parts, view, memory)


async def _hand_over(parts: Parts, view: View, to: str) -> NoReturn:
    version = owner_id(view.arn, to, view.of)
    await parts.step("own")
    await parts.store.put(view.name, encode(Ownership(to, view.of)), version_id=version, labels=[NEXT_LABEL])
    with suppress(LabelMoved):
        await parts.store.move_label(
            view.name, OWNER_LABEL, from_version=view.labels.get(OWNER_LABEL), to_version=version
        )
    raise StartOver


def _in_transition(parts: Parts, view: View, memory: Memory) -> Waiting | None:
    """After a change of owner, the last attempt of the one before may be under way where we cannot see it.

    That the ownership has ended was proved by the write that ended it; the wait counts from there.
    """
    if view.origin.scheme is view.scheme:
        return None
    owner = view.labels.get(OWNER_LABEL, "")
    rest = parts.rules.ttl_s - memory.sightings.age(f"ownership {owner}", parts.clocks.read())
    return Waiting(rest, "the cluster that refreshed this secret gave it up") if rest > 0 else None
