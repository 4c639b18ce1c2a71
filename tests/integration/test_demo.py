"""The demo, as a newcomer runs it: the whole story is told, all of it holds, and it shows no secret."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from dev.chart import ROOT
from dev.demo import story
from dev.oauth.server import CLIENT_SECRET

pytestmark = pytest.mark.integration

CHAPTERS = 10


@pytest.fixture(scope="module")
def told() -> tuple[subprocess.CompletedProcess[str], float]:
    """The demo without a terminal, where it ends with the story; and the seconds that it took, its start included."""
    command = [sys.executable, "-m", "dev.demo"]
    started = time.monotonic()
    done = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300
    )
    return done, time.monotonic() - started


def test_every_chapter_is_told_and_holds(
    told: tuple[subprocess.CompletedProcess[str], float], record_property: Callable[[str, object], None]
) -> None:
    done, seconds = told
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    _, *chapters = re.split(r"^(?=\d+\. )", done.stdout, flags=re.MULTILINE)
    assert [int(chapter.partition(".")[0]) for chapter in chapters] == list(range(1, CHAPTERS + 1))
    assert all("✓" in chapter for chapter in chapters)
    assert re.search(r"^All of it held, in \d+ s\.$", chapters[-1], flags=re.MULTILINE)
    record_property("the demo, its start included", f"{seconds:.0f} s")


def test_no_secret_is_shown(told: tuple[subprocess.CompletedProcess[str], float]) -> None:
    done, _ = told
    assert "kubectl get tc" in done.stdout
    assert not [secret for secret in (*story.SECRETS, CLIENT_SECRET) if secret in done.stdout + done.stderr]
