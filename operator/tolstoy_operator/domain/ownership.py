"""Who owns a Secret when several credentials, or other people, claim its name.

One Secret has one owner. The live controller owner keeps it while it still targets it, so that renaming an older
credential steals nothing; without one, the older credential wins, then the smaller UID. A Secret that is not ours is
never written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """A live credential that targets a Secret as its owner. `created`: RFC 3339, as the API server wrote it."""

    name: str
    uid: str
    created: str


@dataclass(frozen=True, slots=True)
class Holder:
    """What the existing Secret says about its owner.

    `controller_uid` and `controller_name`: the controller ownerReference, None without one. `marked_uid` and
    `marked_name`: our annotations, None where our label is missing; they count only without a controller, which is how
    a retained Secret is known.
    """

    controller_uid: str | None
    controller_name: str | None
    marked_uid: str | None
    marked_name: str | None


def holder_uid(holder: Holder, *, claims: Iterable[Claim], live_uids: Collection[str]) -> str | None:
    """The UID of the credential that the Secret belongs to, None when it belongs to somebody else.

    A retained Secret whose credential is gone is inherited by a new credential of the same name.
    """
    if holder.controller_uid is not None:
        return holder.controller_uid
    if holder.marked_uid is None or holder.marked_uid in live_uids:
        return holder.marked_uid
    return next((claim.uid for claim in claims if claim.name == holder.marked_name), holder.marked_uid)


def winner(claims: Collection[Claim], current_uid: str | None) -> Claim:
    """The claim that may write the Secret. `current_uid`: whose it is now. `claims` is not empty."""
    for claim in claims:
        if claim.uid == current_uid:
            return claim
    return min(claims, key=lambda claim: (claim.created, claim.uid))
