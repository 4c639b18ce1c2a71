"""What the machine is, how busy it is, and what a process has used of it. Linux only, like the control plane."""

from __future__ import annotations

import os
import platform
import re
import time
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def describe() -> str:
    """Processor, memory, system and versions, in one line."""
    model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({model[1].strip() if model else platform.machine()}), {gigabytes:.0f} GB, "
        f"Linux {platform.release().split('-')[0]}, CPython {platform.python_version()}"
    )


def cpu_seconds(pid: int) -> float:
    """CPU that a process and its threads have used since they started."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_megabytes(pid: int) -> float:
    """Resident memory of a process now, in units of 2^20 bytes."""
    return _status_kilobytes(pid, "VmRSS") / 1024


def peak_megabytes(pid: int) -> float:
    """The most that it has had."""
    return _status_kilobytes(pid, "VmHWM") / 1024


def _status_kilobytes(pid: int, field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


class Busy:
    """How many cores were busy, with anything at all, since it was made."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._used = _busy_seconds()

    def cores(self) -> float:
        """On average."""
        return (_busy_seconds() - self._used) / (time.monotonic() - self._started)


def _busy_seconds() -> float:
    user, nice, system, _idle, _wait, irq, softirq, *_ = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq) / _TICKS
