"""The annotation that has a credential looked at now. It may hold 256 KiB, and is kept for each of thousands."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from tolstoy_operator.api import names

LONGEST_MARK: Final = 253


def mark_of(meta: Mapping[str, Any]) -> str | None:
    """The value of the annotation, of a longer one its digest; None without one. `meta`: a ToolCredential's."""
    text: str | None = (meta.get("annotations") or {}).get(names.FORCE_SYNC)
    if text is None or len(text) <= LONGEST_MARK:
        return text
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
