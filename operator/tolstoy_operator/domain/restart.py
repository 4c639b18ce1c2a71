"""When workloads that read a Secret only at their start have to be started anew.

A refreshed token is nothing to restart for: it happens every hour, and who reads the token must read the file. A new
consent is, and so is another value of a secret that is no OAuth grant.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tolstoy_operator.api import names
from tolstoy_operator.domain.oauthdocument import OAuthDocument, intact
from tolstoy_operator.domain.refreshids import is_computed
from tolstoy_operator.domain.status import format_time


def is_anew(before: str | None, version_id: str, *, arn: str, document: OAuthDocument | None) -> bool:
    """Whether a version of an upstream secret holds something else than new tokens of a grant that is mirrored already.

    `before`: the version that was mirrored before this one, None for the first. `document`: None when it is no grant.
    """
    if before in (None, version_id):
        return False
    books = document.bookkeeping if document is not None else None
    if document is None or books is None or not intact(arn, document):
        return True
    # A refresh may have been faster than the mirror: then the token that it spent came with a consent nobody has seen.
    return not is_computed(books.of) and books.of != before


def restarted(at: datetime) -> dict[str, Any]:
    """The merge patch that has a workload replace its pods: another pod template, by one annotation."""
    annotations = {names.RESTARTED_AT: format_time(at)}
    return {"spec": {"template": {"metadata": {"annotations": annotations}}}}
