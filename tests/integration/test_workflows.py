"""The workflow files are valid, and take no more rights than they say."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from dev.chart import ROOT
from dev.controlplane.binaries import actionlint

pytestmark = pytest.mark.integration

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actionlint_finds_nothing(path: Path) -> None:
    command = [str(actionlint()), "-no-color", "-shellcheck=", "-pyflakes=", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_rights_are_given_job_by_job(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {}
    assert all("permissions" in job for job in workflow["jobs"].values())
