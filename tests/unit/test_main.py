"""The command of the image, up to where the operator takes over."""

from __future__ import annotations

import gc

import pytest

from tolstoy_operator import __main__ as command
from tolstoy_operator import app


def test_garbage_is_collected_again_once_everything_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, bool]] = []

    async def run(_settings: object) -> None:
        seen.append((gc.isenabled(), gc.get_freeze_count() > 0))

    monkeypatch.setattr(app, "run", run)
    monkeypatch.setattr(command, "configure_logging", lambda _: None)
    monkeypatch.setattr("sys.argv", ["tolstoy_operator"])
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert command.main() == 0
    assert seen == [(True, True)]
