"""Exclusive mode: one cluster refreshes a secret, and it is written on the secret which one.

The label is taken by compare-and-swap, once; from then on every look at the secret shows it. The first refresh under a
new owner is still reserved in the store, where clusters that have not seen the label yet meet it; its result says that
the next one is not.
"""

from __future__ import annotations

from contextlib import suppress

from tolstoy_operator.domain.errors import LabelMoved
from tolstoy_operator.domain.oauthdocument import Scheme
from tolstoy_operator.domain.refreshids import NEXT_LABEL, OWNER_LABEL, owner_id
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.services.refresh.endings import MirrorOnly, StartOver, Waiting
from tolstoy_operator.services.refresh.parts import Memory, Parts
from tolstoy_operator.services.refresh.view import View


async def standing(parts: Parts, view: View, memory: Memory) -> MirrorOnly | Waiting | None:
    """Whether this replica may refresh: None when it may. Raises `StartOver` after it changed the owner."""
    owner = view.labels.get(OWNER_LABEL)
    if owner is None and parts.exclusive:
        await _take(parts, view)
    if owner is None:
        return _orphaned(parts, view, memory)
    if not parts.owns(view):
        return MirrorOnly(rival=parts.exclusive)
    if not parts.exclusive and view.scheme is not Scheme.OWNER:
        await _move(parts, view, owner, None)
    return None


async def _take(parts: Parts, view: View) -> None:
    version = owner_id(view.arn, parts.cluster)
    await parts.step("own")
    value = SecretValue(f'{{"tolstoy":{{"kind":"owner","cluster":"{parts.cluster}"}}}}')
    await parts.store.put(view.name, value, version_id=version, labels=[NEXT_LABEL])
    await _move(parts, view, None, version)


async def _move(parts: Parts, view: View, from_version: str | None, to_version: str | None) -> None:
    with suppress(LabelMoved):
        await parts.store.move_label(view.name, OWNER_LABEL, from_version=from_version, to_version=to_version)
    raise StartOver


def _orphaned(parts: Parts, view: View, memory: Memory) -> Waiting | None:
    """A secret whose owner was taken away: its last attempt may be under way, written down where we cannot see it."""
    if view.scheme is not Scheme.OWNER:
        return None
    rest = parts.rules.ttl_s - memory.sightings.age(f"orphaned {view.version}", parts.clocks.read())
    return Waiting(rest, "the cluster that refreshed this secret gave it up") if rest > 0 else None
