"""Exclusive mode: one cluster refreshes a secret, and it is written on the secret which one.

The label is taken by compare-and-swap, once; from then on every look at the secret shows it. The first refresh under a
new owner is still reserved in the store, where clusters that have not seen the label yet meet it; its result says that
the next one is not.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import NoReturn

from tolstoy_operator.domain.errors import LabelMoved
from tolstoy_operator.domain.oauthdocument import MEMBER, Scheme
from tolstoy_operator.domain.refreshids import EVERYBODY, NEXT_LABEL, OWNER_LABEL, owner_id
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.services.refresh.endings import MirrorOnly, StartOver, Waiting
from tolstoy_operator.services.refresh.parts import Memory, Parts
from tolstoy_operator.services.refresh.view import View


async def standing(parts: Parts, view: View, memory: Memory) -> MirrorOnly | Waiting | None:
    """Whether this replica may refresh: None when it may. Raises `StartOver` after it changed the owner."""
    owner, everybody = view.labels.get(OWNER_LABEL), owner_id(view.arn, EVERYBODY)
    if owner is None or owner == everybody:
        if parts.exclusive:
            await _hand_over(parts, view, owner, parts.cluster)
        if owner is None and view.scheme is Scheme.OWNER:
            await _hand_over(parts, view, owner, EVERYBODY)
        return _orphaned(parts, view, memory)
    if not parts.owns(view):
        return MirrorOnly(rival=parts.exclusive)
    if not parts.exclusive and view.scheme is not Scheme.OWNER:
        await _hand_over(parts, view, owner, EVERYBODY)
    return None


async def _hand_over(parts: Parts, view: View, owner: str | None, to: str) -> NoReturn:
    version = owner_id(view.arn, to)
    await parts.step("own")
    value = SecretValue(json.dumps({MEMBER: {"kind": "owner", "cluster": to}}))
    await parts.store.put(view.name, value, version_id=version, labels=[NEXT_LABEL])
    with suppress(LabelMoved):
        await parts.store.move_label(view.name, OWNER_LABEL, from_version=owner, to_version=version)
    raise StartOver


def _orphaned(parts: Parts, view: View, memory: Memory) -> Waiting | None:
    """A secret whose owner was taken away: its last attempt may be under way, written down where we cannot see it.

    That nobody owns it was proved by the write that said so; the wait counts from there.
    """
    if view.scheme is not Scheme.OWNER:
        return None
    rest = parts.rules.ttl_s - memory.sightings.age(f"orphaned {view.version}", parts.clocks.read())
    return Waiting(rest, "the cluster that refreshed this secret gave it up") if rest > 0 else None
