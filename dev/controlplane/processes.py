"""Child processes that never outlive the process that asked for them.

A test run that is killed must not leave an API server behind. The kernel can see to that (`PR_SET_PDEATHSIG`), with
one catch: it watches the *thread* that created the child. Were the child made by a worker thread of an event loop,
it would die with that loop. So every child is created by one thread of this module that lives as long as the
process, through `deathsig.py`, which asks for the signal and then becomes the program. (A `preexec_fn` would do
the same in the forked copy of a process with threads, which is unsafe and warned about from Python 3.12 on.)
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

Child = subprocess.Popen[bytes]

_LAUNCHER = Path(__file__).with_name("deathsig.py")


def spawn(command: Sequence[str | Path], *, log: Path, env: Mapping[str, str], cwd: Path | None = None) -> Child:
    """Start `command` with no input and its output appended to `log`.

    The child leads a session of its own: Ctrl-C in a terminal reaches the caller alone, who then stops the children
    in order; `stop` reaches what the child itself started.
    """
    launcher = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), *map(str, command)]

    def create() -> Child:
        with log.open("ab") as output:
            return subprocess.Popen(
                launcher,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
            )

    return _spawner.run(create)


def stop(child: Child, *, grace: float) -> None:
    """End `child` and everything in its session: politely for `grace` seconds, then for good."""
    if grace and child.poll() is None:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(grace)
    if child.returncode is None:  # not reaped yet, so the process group cannot be anybody else's
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


class _Spawner:
    """One daemon thread, started on first use, on which all children are created."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Child], Future[Child]]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def run(self, create: Callable[[], Child]) -> Child:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="spawner", daemon=True)
                self._thread.start()
        made: Future[Child] = Future()
        self._jobs.put((create, made))
        try:
            return made.result()
        except KeyboardInterrupt:  # nobody else would know of the child
            stop(made.result(), grace=0)
            raise

    def _serve(self) -> None:
        while True:
            create, made = self._jobs.get()
            try:
                made.set_result(create())
            except BaseException as error:
                made.set_exception(error)


_spawner = _Spawner()
