"""Count what clients asked of the API server, from its audit log.

The policy logs each request once, at its end, except watches, which count when they start: a watch that still runs
has been asked for too. The server writes an event when it has answered, so a client may be ahead of its own line by
a moment: await a count, do not read it once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

POLICY: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "rules": [
        {"level": "Metadata", "verbs": ["watch"], "omitStages": ["RequestReceived", "ResponseComplete"]},
        {"level": "Metadata", "omitStages": ["RequestReceived", "ResponseStarted"]},
    ],
}


@dataclass(frozen=True)
class Request:
    """One request. `resource` is plural, with its subresource behind a slash; empty parts are empty strings.

    `at`: epoch seconds, when it was answered (a watch: when it started).
    """

    user: str
    agent: str
    verb: str
    resource: str
    namespace: str
    name: str
    code: int
    at: float = 0.0

    @classmethod
    def of(cls, event: dict[str, Any]) -> Request:
        """Read one event of the log."""
        target = event.get("objectRef", {})
        subresource = target.get("subresource")
        return cls(
            user=event["user"].get("username", ""),
            agent=event.get("userAgent", ""),
            verb=event["verb"],
            resource=target.get("resource", "") + (f"/{subresource}" if subresource else ""),
            namespace=target.get("namespace", ""),
            name=target.get("name", ""),
            code=event.get("responseStatus", {}).get("code", 0),
            at=datetime.fromisoformat(event["stageTimestamp"]).timestamp() if "stageTimestamp" in event else 0.0,
        )


class AuditLog:
    """A log that grows, taken in once: whoever asks often pays only for what is new. `at`: where to begin, in bytes.

    `of`: only requests in whose line this stands.
    """

    def __init__(self, path: Path, *, at: int = 0, of: bytes = b"") -> None:
        self._path = path
        self._at = at
        self._of = of
        self._requests: list[Request] = []

    def requests(self) -> Sequence[Request]:
        """All requests logged so far, oldest first; a line still being written is left out."""
        with self._path.open("rb") as lines:
            lines.seek(self._at)
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                self._at += len(line)
                if self._of in line:
                    self._requests.append(Request.of(json.loads(line)))
        return self._requests
