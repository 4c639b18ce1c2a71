"""The image is made anew exactly when something changed that goes into it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.image import builder


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "code" / "__pycache__").mkdir(parents=True)
    (tmp_path / "code" / "a.py").write_text("1")
    (tmp_path / "pins.txt").write_text("x==1")
    (tmp_path / "other.md").write_text("not copied")
    (tmp_path / "Dockerfile").write_text("FROM base")
    (tmp_path / ".dockerignore").write_text("*\n!code\n!pins.txt\n**/__pycache__\n")
    monkeypatch.setattr(builder, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["code/a.py", "code/new.py", "pins.txt", "Dockerfile"])
def test_what_goes_in_makes_another_image(tree: Path, name: str) -> None:
    before = builder.fingerprint("base", "dev")
    (tree / name).write_text("changed")
    assert builder.fingerprint("base", "dev") != before


@pytest.mark.parametrize("name", ["other.md", "code/__pycache__/a.pyc"])
def test_what_stays_out_makes_no_other_image(tree: Path, name: str) -> None:
    before = builder.fingerprint("base", "dev")
    (tree / name).write_text("changed")
    assert builder.fingerprint("base", "dev") == before


def test_base_and_tag_count_too(tree: Path) -> None:
    assert len({builder.fingerprint(base, tag) for base in "ab" for tag in "xy"}) == 4


def test_the_base_is_the_dockerfiles_by_its_digest_alone(tree: Path) -> None:
    digest = f"@sha256:{'0' * 64}"
    (tree / "Dockerfile").write_text(f"# The base.\nARG PYTHON_IMAGE=python:3.12.15-slim-trixie{digest}\nFROM base")
    assert builder.dockerfile_base() == f"docker.io/library/python{digest}"


def test_a_base_that_moves_is_refused(tree: Path) -> None:
    (tree / "Dockerfile").write_text("ARG PYTHON_IMAGE=python:3.12-slim\n")
    with pytest.raises(builder.ImageError, match="tag and digest"):
        builder.dockerfile_base()
