"""What processes are doing, for tests that start and end them."""

from __future__ import annotations

import select
from pathlib import Path
from typing import TextIO


def running_in(directory: Path) -> list[str]:
    """The names of processes whose working directory is this one, though it be deleted. Linux only."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str((process / "cwd").readlink()).removesuffix(" (deleted)") == str(directory):
                found.append((process / "comm").read_text().strip())
        except OSError:  # it ended meanwhile, or is somebody else's
            continue
    return sorted(found)


def ends(pipe: TextIO, *, within: float = 10) -> bool:
    """Whether a pipe comes to its end in time: whether all processes that could write to it are gone."""
    readable, _, _ = select.select([pipe], [], [], within)
    return bool(readable) and not pipe.read()
