"""What a test may do to a stand-in besides calling it: count calls, inject faults, delay listings, save its state.

The same HTTP API sits on both stand-ins, under `/_control`:

    GET    calls                → {"calls": {operation: number}}        DELETE calls → start counting anew
    POST   faults  {operation, secret, kind, seconds, count}            DELETE faults → no more faults
    PUT    list-lag {"seconds": 3}
    GET    state, PUT state     everything stored, to survive a restart
    POST   seed    {"secrets": [{"name", "value"}]}                     create or overwrite, uncounted

A fault matches by operation (`GetSecretValue`, `*Secret*`, …) and by secret name, both as shell patterns. A fault on
`BatchGetSecretValue` fails the whole call, as an endpoint policy does; one on `GetSecretValue` also shows up as the
entry of that secret in the `Errors` of a batch, as an IAM denial does.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Protocol

from dev.secretsmanager.errors import AwsError

PREFIX = "/_control/"

_ERRORS = {
    "throttle": AwsError("ThrottlingException", "Rate exceeded"),
    "500": AwsError("InternalServiceError", "An error occurred on the server side.", 500),
    "access_denied": AwsError("AccessDeniedException", "User is not authorized to perform this operation."),
    "expired_token": AwsError("ExpiredTokenException", "The security token included in the request is expired"),
    "kms": AwsError("DecryptionFailure", "Secrets Manager can't decrypt the protected secret text."),
    "limit": AwsError("LimitExceededException", "You've exceeded a quota."),
    "validation": AwsError("ValidationException", "1 validation error detected."),
}
_OTHER_KINDS = ("delay", "blackhole", "lost")
KINDS = (*_ERRORS, *_OTHER_KINDS)


@dataclass(eq=False)
class Fault:
    """One rule. `remaining` None: until cleared. `lost`: the operation is carried out, but the answer is a 500."""

    operation: str
    secret: str
    kind: str
    seconds: float
    remaining: int | None

    @property
    def error(self) -> AwsError | None:
        """The answer instead of a result, for the kinds that are an answer."""
        return _ERRORS["500"] if self.kind in ("lost", "blackhole") else _ERRORS.get(self.kind)

    def matches(self, operation: str, names: Sequence[str]) -> bool:
        """Whether this rule hits a call of `operation` that concerns `names`."""
        if not fnmatchcase(operation, self.operation):
            return False
        return self.secret == "*" or any(fnmatchcase(name, self.secret) for name in names)


class Board:
    """Counters and faults. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self.calls: Counter[str] = Counter()
        self.list_lag = 0.0

    def admit(self, operation: str, request: Mapping[str, Any]) -> Fault | None:
        """Count a call and say what is to go wrong with it."""
        with self._lock:
            self.calls[operation] += 1
            return self._take(operation, _names(request))

    def batch_item(self, name: str) -> AwsError | None:
        """What is to go wrong with one secret within a batch."""
        with self._lock:
            fault = self._take("GetSecretValue", [name], only=_ERRORS)
            return fault.error if fault else None

    def stands(self, fault: Fault) -> bool:
        """Whether a fault has not been cleared: a black hole lasts that long."""
        with self._lock:
            return fault in self._faults

    def add(self, fault: Fault) -> None:
        """From now on, until its count is used up or `clear`."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """No more faults; what hangs in a black hole comes back with an error."""
        with self._lock:
            self._faults.clear()

    def _take(self, operation: str, names: Sequence[str], only: Mapping[str, Any] | None = None) -> Fault | None:
        for fault in self._faults:
            if fault.matches(operation, names) and (only is None or fault.kind in only) and fault.remaining != 0:
                if fault.remaining is not None:
                    fault.remaining -= 1
                return fault
        return None


def _names(request: Mapping[str, Any]) -> list[str]:
    ids = [request.get("SecretId"), request.get("Name"), *(request.get("SecretIdList") or [])]
    return [name_of(secret_id) for secret_id in ids if isinstance(secret_id, str)]


def name_of(secret_id: str) -> str:
    """The name in a name or in a full ARN, which ends in a hyphen and six characters."""
    return secret_id.split(":", 6)[-1][:-7] if secret_id.startswith("arn:") else secret_id


class Storage(Protocol):
    """The part of a stand-in that the control API reaches into."""

    def seed(self, name: str, value: str) -> None:
        """Create the secret, or give it a new current version."""
        ...

    def snapshot(self) -> list[dict[str, Any]]:
        """Everything stored, as JSON."""
        ...

    def restore(self, secrets: list[dict[str, Any]]) -> None:
        """Replace everything stored."""
        ...


class Control:
    """The control API, without the HTTP around it."""

    def __init__(self, board: Board, storage: Storage) -> None:
        self._board = board
        self._storage = storage

    def handle(self, method: str, path: str, body: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
        """Answer one request: HTTP status and JSON document."""
        try:
            return 200, self._dispatch(f"{method} {path.removeprefix(PREFIX)}", body)
        except (KeyError, ValueError, TypeError) as error:
            return 400, {"error": f"{type(error).__name__}: {error}"}

    def _dispatch(self, request: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        match request:
            case "GET calls":
                return {"calls": dict(self._board.calls)}
            case "DELETE calls":
                self._board.calls.clear()
            case "POST faults":
                self._board.add(_fault(body))
            case "DELETE faults":
                self._board.clear()
            case "PUT list-lag":
                self._board.list_lag = float(body["seconds"])
            case "GET state":
                return {"secrets": self._storage.snapshot()}
            case "PUT state":
                self._storage.restore(body["secrets"])
            case "POST seed":
                for secret in body["secrets"]:
                    self._storage.seed(secret["name"], secret["value"])
            case _:
                raise ValueError(f"no such control request: {request}")
        return {}


def _fault(body: Mapping[str, Any]) -> Fault:
    kind = str(body["kind"])
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {KINDS}")
    count = body.get("count")
    return Fault(
        operation=body.get("operation", "*"),
        secret=body.get("secret", "*"),
        kind=kind,
        seconds=float(body.get("seconds", 0)),
        remaining=None if count is None else int(count),
    )
