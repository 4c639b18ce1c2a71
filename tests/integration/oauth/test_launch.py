"""A helper program that doesn't come up says why, and one that did is stopped for good."""

from __future__ import annotations

import sys

import pytest

from dev.oauth.launch import Program, StartError

pytestmark = pytest.mark.integration


def test_a_program_that_ends_is_an_error_with_its_last_words() -> None:
    with pytest.raises(StartError, match=r"code 3(.|\n)*no such luck"):
        Program([sys.executable, "-c", "print('no such luck', flush=True); raise SystemExit(3)"])


def test_stopping_twice_is_harmless() -> None:
    program = Program(
        [sys.executable, "-c", "import signal; print('READY http://127.0.0.1:1', flush=True); signal.pause()"]
    )

    assert program.url == "http://127.0.0.1:1"
    program.stop()
    program.stop()
