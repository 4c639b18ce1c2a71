"""What the image is made of, as a CycloneDX list: every pinned package of the operator, with its hashes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from dev.chart import ROOT


def write_sbom(target: Path) -> None:
    """Write the list to `target`, the same for the same pins."""
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", str(ROOT / "requirements" / "runtime.txt")]
    options = [f"--pyproject={ROOT / 'pyproject.toml'}", "--mc-type=application", "--output-reproducible"]
    subprocess.run([*command, *options, "--spec-version=1.6", "--of=JSON", f"--output-file={target}"], check=True)
