"""Who did what to which secret, and how it ended: one JSON line an operation, whatever the log level.

The lines go through a logger of their own, marked `"audit": true`, so that a collector can route and keep them apart.
They carry names, version ids and outcomes; there is no field that could hold a value.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from enum import StrEnum

from tolstoy_operator.observability.logs import AUDIT

OK = "ok"
KEPT = "kept"
"""What was to be written is older than what is there: nothing was."""
_log = logging.getLogger(AUDIT)
# An outcome is a code. What does not look like one was made from a text, and a text is not audited.
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


class Operation(StrEnum):
    """What was done. On the upstream secret, except `MIRROR` and `WITHDRAW`, which are about the Kubernetes Secret."""

    READ = "read"
    VALIDATE = "validate"
    CREATE = "create"
    WRITE = "write"
    REFRESH = "refresh"
    REVOKE = "revoke"
    IMPORT = "import"
    MIRROR = "mirror"
    WITHDRAW = "withdraw"


@dataclass(frozen=True, slots=True)
class Actor:
    """The ToolCredential on whose behalf the operator acts."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One audited operation.

    `secret`: upstream name, None where nobody remembers it. `actor` None: the platform itself (sweeps, the platform's
    own secrets). `version`: upstream version id, where one is known. `target`: name of the Kubernetes Secret in the
    actor's namespace. `outcome`: `OK`, `KEPT`, or an error code such as `AccessDenied`. `requests`: how many token
    requests a refresh took.
    """

    operation: Operation
    secret: str | None
    outcome: str = OK
    actor: Actor | None = None
    version: str | None = None
    target: str | None = None
    requests: int | None = None


def record(entry: Entry) -> None:
    """Write `entry`. Failures are warnings, the rest is information; neither depends on LOG_LEVEL."""
    outcome = entry.outcome if _CODE.fullmatch(entry.outcome) else "error"
    actor = entry.actor
    fields: dict[str, object] = {
        "audit": True,
        "operation": entry.operation.value,
        "secret": entry.secret,
        "outcome": outcome,
        "actor": "credential" if actor else "platform",
        "version": entry.version,
        "target": entry.target,
        "requests": entry.requests,
    }
    if actor:
        fields["k8s_ref"] = {"namespace": actor.namespace, "name": actor.name, "uid": actor.uid}
    level = logging.INFO if outcome == OK else logging.WARNING
    shown = {key: value for key, value in fields.items() if value is not None}
    what = entry.secret or f"Secret {entry.target}"
    _log.log(level, "%s of %s ended %s", entry.operation.value, what, outcome, extra=shown)
