"""`python -m dev.chart sync`: copy the CRDs into the chart, and `check` that the copies are the same.

The chart must be complete in itself when it is packaged, and `helm package` follows symbolic links only with a warning
and not on every system, so the chart holds copies. `crds/` stays the one place where they are written.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
CHART = ROOT / "helm" / "tolstoy-operator"
SOURCES = ROOT / "crds"
COPIES = CHART / "files" / "crds"


def stale() -> list[str]:
    """Names of the files whose copy in the chart is missing, different, or without a source."""
    source, copy = _contents(SOURCES), _contents(COPIES)
    return sorted(name for name in source.keys() | copy.keys() if source.get(name) != copy.get(name))


def sync() -> list[str]:
    """Make the copies equal to their sources. Returns the names of those that changed."""
    changed = stale()
    COPIES.mkdir(parents=True, exist_ok=True)
    source = _contents(SOURCES)
    for name in changed:
        if name in source:
            (COPIES / name).write_bytes(source[name])
        else:
            (COPIES / name).unlink()
    return changed


def _contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.glob("*.yaml")}


def main() -> None:
    """Run one command; `check` ends with 1 when a copy is stale."""
    parser = argparse.ArgumentParser(prog="python -m dev.chart", description=__doc__)
    parser.add_argument("command", choices=["sync", "check"])
    if parser.parse_args().command == "sync":
        for name in sync():
            print(f"{COPIES.relative_to(ROOT)}/{name}")
    elif names := stale():
        sys.exit(f"stale in the chart: {', '.join(names)}; run `python -m dev.chart sync`")


if __name__ == "__main__":
    main()
