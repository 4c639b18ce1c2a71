"""The operator with a ledger beside it, and with an end that may come between any two steps of the protocol.

Nothing of the operator is changed: its own hook for steps is used, and what is measured is wrapped from outside. Each
line of the ledger is written with one system call, so a process that is killed has written what it did.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any

from tests.chaos.ledger import CALM, LEDGER, RATE, STRUCK
from tolstoy_operator import assembly
from tolstoy_operator.__main__ import main
from tolstoy_operator.services.endpoints import ToolEndpoint
from tolstoy_operator.services.refresh.parts import Parts
from tolstoy_operator.services.refresh.refresher import Refresher, Target
from tolstoy_operator.services.refresh.spending import Spending

_secret: ContextVar[str] = ContextVar("secret", default="")
_file = os.open(os.environ[LEDGER], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
_rate = float(os.environ.get(RATE, "0"))


def note(event: str, **more: object) -> None:
    """One line."""
    line = {"at": time.time(), "pid": os.getpid(), "secret": _secret.get(), "event": event, **more}
    os.write(_file, json.dumps(line).encode() + b"\n")


async def step(name: str) -> None:
    """Before each step: the end, the first time; later mostly nothing, sometimes the end, sometimes a long sleep."""
    if os.access(os.environ[CALM], os.F_OK):
        return
    draw = 0.0 if _is_first(name) else random.random()
    if draw >= 2 * _rate:
        return
    number = signal.SIGKILL if draw < _rate else signal.SIGSTOP
    note("fault", fault=number.name, step=name)
    os.kill(os.getpid(), number)


def _is_first(name: str) -> bool:
    try:
        (Path(os.environ[STRUCK]) / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _wrap(owner: type, method: str, make: Callable[[Any], Any]) -> None:
    setattr(owner, method, make(getattr(owner, method)))


def _with_secret(run: Any) -> Any:
    async def wrapped(self: Refresher, target: Target) -> Any:
        _secret.set(target.name)
        return await run(self, target)

    return wrapped


def _with_send(send: Any) -> Any:
    async def wrapped(self: ToolEndpoint, document: Any, *, before_send: Callable[[], bool]) -> Any:
        def fence() -> bool:
            open_ = before_send()
            note("sending" if open_ else "fenced")
            return open_

        outcome = await send(self, document, before_send=fence)
        note("outcome", outcome=type(outcome).__name__)
        return outcome

    return wrapped


def _with_keep(keep: Any) -> Any:
    async def wrapped(self: Spending, *args: Any, **options: Any) -> Any:
        answer = await keep(self, *args, **options)
        note("kept")
        return answer

    return wrapped


if __name__ == "__main__":
    _wrap(Refresher, "run", _with_secret)
    _wrap(ToolEndpoint, "send", _with_send)
    _wrap(Spending, "keep", _with_keep)
    setattr(assembly, "RefreshParts", partial(Parts, step=step))  # noqa: B010 - to the type checker it is a class
    code = main()
    sys.stderr.flush()
    os._exit(code)
