"""Children end with their parent, whatever ends it, and with nothing less."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from pathlib import Path
from typing import TextIO

import pytest

from dev.controlplane.processes import Child, spawn, stop
from tests.support.processes import ends

PARENT = """
import os, sys, time
from pathlib import Path
from dev.controlplane.processes import spawn
spawn(["sh", "-c", "echo ready; exec sleep 60"], log=Path(sys.argv[1]), env=os.environ)
time.sleep(60)
"""

INTERRUPTED = """
import os, signal, subprocess, sys, time
from pathlib import Path
from dev.controlplane.processes import spawn
signal.signal(signal.SIGINT, signal.default_int_handler)
make = subprocess.Popen
def interrupted(*args, **options):
    child = make(*args, **options)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.2)
    return child
subprocess.Popen = interrupted
spawn(["sh", "-c", "sleep 60 & wait"], log=Path(sys.argv[1]), env=os.environ)
"""


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A log whose reader sees the end of the file when the last process that holds it is gone."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def open_before_any_writer(path: Path) -> TextIO:
    """The reading end of a FIFO, without waiting for the other."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    return os.fdopen(descriptor)


def test_children_die_with_a_parent_that_is_killed(pipe: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", PARENT, str(pipe)], env=environment) as parent, pipe.open() as log:
        assert log.readline() == "ready\n"
        parent.kill()
        assert ends(log)


def test_an_interrupt_while_a_child_is_made_leaves_nothing_of_it(pipe: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with open_before_any_writer(pipe) as log:
        parent = subprocess.run(
            [sys.executable, "-c", INTERRUPTED, str(pipe)],
            env=environment,
            capture_output=True,
            check=False,
            timeout=30,
        )
        assert b"KeyboardInterrupt" in parent.stderr
        assert ends(log)


def test_children_outlive_the_thread_that_asked_for_them(pipe: Path) -> None:
    made: list[Child] = []
    child_runs = threading.Event()

    def ask() -> None:
        made.append(spawn(["sh", "-c", "echo ready; exec sleep 60"], log=pipe, env=os.environ))
        child_runs.wait()

    with open_before_any_writer(pipe) as log:
        thread = threading.Thread(target=ask)
        thread.start()
        select.select([log], [], [])  # a FIFO that had no writer yet would read as ended
        assert log.readline() == "ready\n"
        child_runs.set()
        thread.join()
        with pytest.raises(subprocess.TimeoutExpired):
            made[0].wait(0.2)
        stop(made[0], grace=0)
        assert ends(log)


def test_stop_reaches_what_a_child_started(pipe: Path) -> None:
    with open_before_any_writer(pipe) as log:
        child = spawn(["sh", "-c", "sleep 60 & echo ready; wait"], log=pipe, env=os.environ)
        assert log.readline() == "ready\n"
        stop(child, grace=0)
        assert ends(log)


def test_stop_lets_a_child_finish(tmp_path: Path) -> None:
    log = tmp_path / "log"
    os.mkfifo(ready := tmp_path / "ready")
    script = f"trap 'echo finished; exit 3' TERM; echo > {ready}; while :; do sleep 0.01; done"
    child = spawn(["sh", "-c", script], log=log, env=os.environ)
    ready.read_text()
    stop(child, grace=10)
    assert child.returncode == 3
    assert log.read_text() == "finished\n"


def test_stop_insists_when_a_child_does_not_listen(tmp_path: Path) -> None:
    os.mkfifo(ready := tmp_path / "ready")
    script = f"trap '' TERM; echo > {ready}; while :; do sleep 0.01; done"
    child = spawn(["sh", "-c", script], log=tmp_path / "log", env=os.environ)
    ready.read_text()
    stop(child, grace=0.1)
    assert child.returncode == -9


def test_a_program_that_is_not_there_is_named_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = spawn(["/nowhere/program"], log=log, env=os.environ)
    assert child.wait(10) == 1
    assert log.read_text() == "/nowhere/program: No such file or directory\n"
