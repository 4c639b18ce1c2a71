"""How large the image is: what a node has to keep beyond the Python base, which other images share."""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from typing import IO

from dev.image.builder import Image


@dataclass(frozen=True)
class Sizes:
    """Unpacked sizes in bytes: of the whole image, and of the layers that are ours."""

    total: int
    above_base: int

    def __str__(self) -> str:
        return f"unpacked: {self.total / 1e6:.0f} MB, of which above the base: {self.above_base / 1e6:.0f} MB"


def sizes(image: Image) -> Sizes:
    """Measure an image by its archive, whose layers are plain tar files, the base's first."""
    with tarfile.open(image.archive) as archive:
        (manifest,) = json.load(_member(archive, "manifest.json"))
        layers = [_unpacked(archive, name) for name in manifest["Layers"]]
    return Sizes(sum(layers), sum(layers[image.base_layers :]))


def _unpacked(archive: tarfile.TarFile, name: str) -> int:
    with tarfile.open(fileobj=_member(archive, name), mode="r:*") as layer:
        return sum(entry.size for entry in layer)


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    member = archive.extractfile(name)  # follows links: equal layers are stored once
    assert member is not None
    return member
