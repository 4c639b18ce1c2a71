"""The operator's own log lines, read back as what they say."""

from __future__ import annotations

import io
import json
from typing import Any

from tolstoy_operator.observability.logs import configure_logging


class Captured(io.StringIO):
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def last(self) -> dict[str, Any]:
        return self.lines()[-1]


def configured(level: str) -> Captured:
    stream = Captured()
    configure_logging(level, stream)
    return stream
