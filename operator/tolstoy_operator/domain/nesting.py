"""How deep a JSON text nests, found out before it is parsed: a parser goes down with each level, until it cannot."""

from __future__ import annotations

import re
from typing import Final

MAX_DEPTH: Final = 32
"""Levels of a stored secret."""

# A JSON string, closed or not, or one bracket. Possessive, so an unclosed string costs one pass and no more.
_STRUCTURE: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{\]}]', re.DOTALL)


def is_too_deep(text: str) -> bool:
    """Whether a text, JSON or not, nests deeper than `MAX_DEPTH`."""
    depth = 0
    for token in _STRUCTURE.finditer(text):
        first = token.group()[0]
        if first in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif first in "]}":
            depth -= 1
    return False
