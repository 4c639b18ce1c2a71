"""The list of parts names every pinned package, and is the same each time."""

from __future__ import annotations

import json
import re
from pathlib import Path

from dev.chart import ROOT
from dev.image.parts import write_sbom


def test_every_pinned_package_is_listed_with_its_hashes(tmp_path: Path) -> None:
    write_sbom(tmp_path / "one.json")
    write_sbom(tmp_path / "two.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    document = json.loads((tmp_path / "one.json").read_text())
    assert document["bomFormat"] == "CycloneDX"
    assert document["metadata"]["component"]["name"] == "tolstoy-operator"
    pins = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements" / "runtime.txt").read_text(), re.MULTILINE)
    assert len(pins) > 20
    assert sorted((part["name"], part["version"]) for part in document["components"]) == sorted(pins)
    assert all(part["externalReferences"][0]["hashes"] for part in document["components"])
