from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root = logging.getLogger()
    loggers = [root, *(one for one in root.manager.loggerDict.values() if isinstance(one, logging.Logger))]
    before = [(one, one.level, one.handlers[:]) for one in loggers]
    for hook, owner in (("excepthook", sys), ("excepthook", threading)):
        monkeypatch.setattr(owner, hook, getattr(owner, hook))
    yield
    known = {one for one, _, _ in before}
    for one in root.manager.loggerDict.values():
        if isinstance(one, logging.Logger) and one not in known:
            one.setLevel(logging.NOTSET)
    for one, level, handlers in before:
        if one.level != level:  # each call makes all loggers forget what they have found out
            one.setLevel(level)
        one.handlers[:] = handlers
    logging.captureWarnings(capture=False)
