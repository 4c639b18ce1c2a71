"""Which version of a secret may follow which in a mirror.

Reads of the store may be stale, and the replica that publishes may not be the one that refreshed. An older version
seen shortly after a newer one was published is "not visible yet"; seen for longer, somebody moved the secret back on
purpose, and the mirror follows.
"""

from __future__ import annotations

from collections.abc import Collection

SETTLING_S = 60.0
"""For this long after a publication, an ancestor of the published version is a stale read."""


def is_news(candidate: str, *, published: str | None, ancestors: Collection[str], published_for: float) -> bool:
    """Whether `candidate` should replace the `published` version.

    `ancestors`: the versions that the published one replaced, as far as they are known. `published_for`: seconds since
    its publication, the shortest that is certain.
    """
    if published is None:
        return True
    if candidate == published:
        return False
    return candidate not in ancestors or published_for >= SETTLING_S
