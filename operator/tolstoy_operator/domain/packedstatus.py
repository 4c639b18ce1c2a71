"""A status in a tenth of the memory, for those who keep thousands and look at few.

As models, the statuses of ten thousand credentials would be a quarter of the process. As text they are small; those
in use are unpacked, and stay so for a while.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.api.v1 import ToolCredentialStatus
from tolstoy_operator.domain.status import parse_status, reason_of

_IN_USE = 256


@dataclass(frozen=True, slots=True)
class PackedStatus:
    """Equal when the statuses are. `reason`: the status' summary, None before the first one."""

    text: str
    reason: Reason | None

    @classmethod
    def of(cls, raw: Any) -> PackedStatus:
        """Take in a status as found on an object: see `parse_status`."""
        status = parse_status(raw)
        return cls(status.model_dump_json(by_alias=True, exclude_none=True), reason_of(status))

    def unpack(self) -> ToolCredentialStatus:
        """The status itself."""
        return _unpacked(self.text)


@lru_cache(maxsize=_IN_USE)
def _unpacked(text: str) -> ToolCredentialStatus:
    return ToolCredentialStatus.model_validate_json(text)
