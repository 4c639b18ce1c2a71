"""A holder for secret text that cannot be shown by accident.

Logging, tracebacks, f-strings, JSON and pickle all end in `repr`, `str`, `format` or `__reduce__`. A `SecretValue`
answers the first three with a mask and refuses the rest, so a value leaves the process only where someone writes
`.reveal()`, and those places can be found by searching for it.
"""

from __future__ import annotations

import hmac
from typing import NoReturn

MASK = "[redacted]"


class SecretValue:
    """Secret text. Compare with `==` (constant time); read with `reveal()`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself. Call it only where the value must leave: a request body, a Secret, a signature."""
        return self._text

    def __len__(self) -> int:
        return len(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretValue):
            return NotImplemented
        return hmac.compare_digest(self._encoded(), other._encoded())

    def _encoded(self) -> bytes:
        # JSON may hold lone surrogates, which strict UTF-8 refuses; two different texts still differ.
        return self._text.encode("utf-8", "surrogatepass")

    __hash__ = None  # type: ignore[assignment]  # a hash would make values usable as dictionary keys, and so printable

    def __repr__(self) -> str:
        return MASK

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SecretValue is never serialised: call reveal() where the value must leave")

    def __deepcopy__(self, memo: object) -> SecretValue:
        return self

    def __copy__(self) -> SecretValue:
        return self
