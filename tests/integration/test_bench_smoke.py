"""Every benchmark still runs, with small numbers; what it measures is nobody's business here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.scenarios import ALL

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


def test_all_scenarios_run_and_end_in_a_table() -> None:
    command = [sys.executable, "-m", "bench", "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    rows = [line for line in done.stdout.splitlines() if line.startswith("| `")]
    assert {row.split("`")[1].split()[0] for row in rows} == set(ALL) - {"import"}, "which takes too long to be quick"
    assert next(row for row in rows if "writes |" in row and row.startswith("| `restart")).split("|")[3].strip() == "0"


def test_an_unknown_scenario_is_refused_before_anything_starts() -> None:
    command = [sys.executable, "-m", "bench", "no-such-scenario"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "invalid choice" in done.stderr
