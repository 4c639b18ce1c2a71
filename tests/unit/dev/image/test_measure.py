"""Sizes are of what is unpacked, and tell ours from the base's."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

from dev.image import Image
from dev.image.measure import sizes


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def layer(*file_sizes: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for number, size in enumerate(file_sizes):
            add(tar, f"file-{number}", bytes(size))
    return buffer.getvalue()


def test_layers_above_the_base_are_ours(tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    with tarfile.open(archive, "w") as tar:
        add(tar, "base.tar", layer(1000, 24))
        add(tar, "ours.tar", layer(500))
        same = tarfile.TarInfo("again.tar")
        same.type, same.linkname = tarfile.SYMTYPE, "ours.tar"
        tar.addfile(same)
        add(tar, "manifest.json", json.dumps([{"Layers": ["base.tar", "ours.tar", "again.tar"]}]).encode())
    measured = sizes(Image("localhost/it:1", archive, "base", base_layers=1))
    assert (measured.total, measured.above_base) == (2024, 1000)
