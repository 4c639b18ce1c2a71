"""Told to stop before it has begun: the first process of a container ends by no signal that it does not handle."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dev.testbed import eventually

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(sys.platform != "linux", reason="what a process handles is read from /proc")
def test_a_process_that_still_imports_ends_at_once() -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "operator"), "AWS_REGION": "eu-west-1"}
    command = [sys.executable, "-m", "tolstoy_operator", "run"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        eventually(lambda: _handles(process.pid, signal.SIGTERM), what="it handles SIGTERM", timeout=30, pause=0.005)
        process.terminate()
        _, told = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert told == "", "nothing was begun"


def _handles(pid: int, number: signal.Signals) -> bool:
    (caught,) = re.findall(r"^SigCgt:\s+([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return bool(int(caught, 16) >> (number - 1) & 1)
