"""Which version of a secret may follow which in a mirror.

Reads of the store may be stale, and the replica that publishes may not be the one that refreshed. An older version
seen after a newer one was published is most likely "not visible yet". It is believed when the same look shows that the
published version was current right before it: then somebody moved the secret back on purpose, and the mirror follows.
"""

from __future__ import annotations

from collections.abc import Collection

STALE_S = 3600.0
"""For this long after a publication, an ancestor of the published version without such evidence is a stale read."""


def is_news(
    candidate: str,
    *,
    published: str | None,
    ancestors: Collection[str] | None,
    previous: str | None,
    published_for: float,
) -> bool:
    """Whether `candidate` should replace the `published` version.

    `ancestors`: the versions that the published one replaced, as far as they are known; None when the published
    version cannot be read, so that whoever looks sees an older state of the store than the mirror does. `previous`:
    the version that was current before the candidate, from the same look. `published_for`: seconds since the
    publication, the shortest that is certain.
    """
    if published is None:
        return True
    if candidate == published:
        return False
    if previous == published or published_for >= STALE_S:
        return True
    return ancestors is not None and candidate not in ancestors
