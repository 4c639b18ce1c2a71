"""Names in the refresh protocol: which version ids and which labels its steps use.

Every id is computed from what the step is about, so two replicas that mean the same step mean the same id, and
"create this version if its id is free" decides between them. `of` names a refresh token by where it came from
(`domain.refresh.origin`), never by its text; `n` counts the attempts to spend it.
"""

from __future__ import annotations

import uuid
from functools import lru_cache
from typing import Final

CLAIM_LABEL: Final = "TOLSTOY_CLAIM"
"""On the newest claim, or on the result that settled it."""
PENDING_LABEL: Final = "TOLSTOY_PENDING"
"""On the newest result: becoming current, or current already."""
LEASE_LABEL: Final = "TOLSTOY_LEASE"
"""On the version whose refresh token may be spent by whoever takes the label off (label lease)."""
OWNER_LABEL: Final = "TOLSTOY_OWNER"
"""On the version that says which cluster alone refreshes."""
DOUBT_LABEL: Final = "TOLSTOY_DOUBT"
"""On the newest reply that nobody could read."""
DEAD_LABEL: Final = "TOLSTOY_DEAD"
"""On a version whose refresh token the provider refuses for good."""
LOST_LABEL: Final = "TOLSTOY_LOST"
"""The same, when an attempt of our own is in doubt: its response was lost, and with it the next refresh token."""
REVOKING_LABEL: Final = "TOLSTOY_REVOKING"
"""On a version whose tokens are being revoked: nobody may refresh it."""
NEXT_LABEL: Final = "TOLSTOY_NEXT"
"""Parking place for a version that gets its real label by compare-and-swap (a version needs one to be written)."""

EVERYBODY: Final = ""
"""In place of a cluster's name: the secret belongs to no cluster (any more)."""

_COMPUTED: Final = 5  # the version of UUIDs that are made from names
_NAMESPACE: Final = uuid.UUID("5f0c9a52-6d0b-5c33-9d0f-2f1f0a6f6d11")


def claim_id(arn: str, of: str, n: int) -> str:
    """Attempt `n` to spend the refresh token `of`."""
    return _id(arn, of, "claim", str(n))


def result_id(arn: str, of: str, n: int) -> str:
    """What came of attempt `n`: new tokens, an unreadable reply, or the seal of who took over."""
    return _id(arn, of, "result", str(n))


def late_id(arn: str, of: str, n: int) -> str:
    """New tokens of attempt `n` that came after its result had been sealed."""
    return _id(arn, of, "late", str(n))


def rebase_id(arn: str, onto: str, of: str, n: int) -> str:
    """The tokens of attempt `n` on a document that somebody else has written meanwhile (version `onto`)."""
    return _id(arn, onto, "rebase", of, str(n))


def tombstone_id(arn: str, base: str) -> str:
    """What follows version `base` when its tokens have been revoked."""
    return _id(arn, base, "tombstone")


def owner_id(arn: str, cluster: str, of: str) -> str:
    """The version that stands for "this cluster refreshes this secret, from the refresh token `of` on"."""
    return _id(arn, cluster, "owner", of)


def is_computed(identifier: str) -> bool:
    """Whether an id is one of these, and not a version that somebody else has stored."""
    try:
        return uuid.UUID(identifier).version == _COMPUTED
    except ValueError:
        return False


@lru_cache(maxsize=4096)
def _id(*parts: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, "|".join(parts)))
