"""Build the image with buildah, which needs no daemon, in a storage of our own outside the tree.

The result is a Docker archive beside that storage, which containerd imports and `docker load` reads. It is made anew
when something changed that goes into it; layers are kept, so that a change of our code costs seconds.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dev import apt
from dev.chart import ROOT
from dev.controlplane.gobuild import Progress, cache_root, locked
from dev.image.base import BaseError, StandIn

NAME = "localhost/tolstoy-operator"
_PULL_TIMEOUT = 120.0
_KEPT = 4  # archives: other working trees may be using theirs
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_PIP_SETTINGS = ("global.index-url", "global.extra-index-url", "global.trusted-host", "global.proxy", "global.timeout")


class ImageError(RuntimeError):
    """The image could not be built; the message says what the builder said."""


@dataclass(frozen=True)
class Image:
    """A built image: its full name with a tag, its archive, the image below it, and how many layers that has."""

    name: str
    archive: Path
    base: str
    base_layers: int


class Buildah:
    """buildah with a storage of our own, so that nobody's images are touched and nothing is left in theirs."""

    def __init__(self, progress: Progress) -> None:
        if shutil.which("buildah") is None:
            apt.install(["buildah"], progress)
        if shutil.which("buildah") is None:
            raise ImageError("`buildah` is needed to build the image here: apt-get install buildah")
        self.dir = cache_root() / "images"
        self.dir.mkdir(parents=True, exist_ok=True)

    def run(self, *arguments: str | Path, check: bool = True, timeout: float | None = None) -> str:
        """Run one command and return what it printed. Raises `ImageError`."""
        storage = [f"--root={self.dir}/storage", f"--runroot={self.dir}/run", "--storage-driver=overlay"]
        own_mounts = [] if os.geteuid() else ["unshare", "--mount"]  # its storage stays mounted otherwise
        command = [*own_mounts, "buildah", *storage, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout, cwd=ROOT)
        if check and done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()[-20:]
            raise ImageError(f"buildah {arguments[0]} failed:\n" + "\n".join(f"  {line}" for line in said))
        return done.stdout

    def has(self, name: str) -> bool:
        """Whether the storage has an image of this name."""
        return bool(self.run("images", "--quiet", "--filter", f"reference={name}", check=False).strip())


def build(progress: Progress, *, tag: str = "dev") -> Image:
    """The image, built from what the tree has now. `tag` also becomes its version. Raises `ImageError`."""
    buildah = Buildah(progress)
    name = f"{NAME}:{tag}"
    with locked(buildah.dir / "lock", "the image", progress):
        base = _base(buildah, progress)
        archive = buildah.dir / f"{fingerprint(base, tag)}.tar"
        if not archive.exists():
            progress(f"building {name} on {base}")
            _build(buildah, base, name, tag)
            _save(buildah, name, archive)
        layers = buildah.run("inspect", "--type=image", "--format={{len .OCIv1.RootFS.DiffIDs}}", base)
    return Image(name, archive, base, int(layers))


def _base(buildah: Buildah, progress: Progress) -> str:
    """The Dockerfile's base, or PYTHON_IMAGE, where a registry is reached or the storage has it; else a stand-in."""
    wanted = os.environ.get("PYTHON_IMAGE") or dockerfile_base()
    if buildah.has(wanted):
        return wanted
    stand_in: StandIn | BaseError
    try:
        stand_in = StandIn.of_this_machine()
    except BaseError as error:
        stand_in = error
    if isinstance(stand_in, StandIn) and buildah.has(stand_in.name):
        return stand_in.name
    try:
        buildah.run("pull", wanted, timeout=_PULL_TIMEOUT)
    except (ImageError, subprocess.TimeoutExpired):
        progress(f"{wanted} cannot be had here: a stand-in is made of this machine's Python and Debian")
        if isinstance(stand_in, BaseError):
            raise stand_in from None
        stand_in.make(buildah, progress)
        return stand_in.name
    return wanted


def dockerfile_base() -> str:
    """The base that the Dockerfile names, by its digest alone: buildah finds nothing by tag and digest together."""
    named = re.search(r"^ARG PYTHON_IMAGE=(\w+):\S+(@sha256:\w+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    if named is None:
        raise ImageError("the Dockerfile must name PYTHON_IMAGE by tag and digest")
    return f"docker.io/library/{named[1]}{named[2]}"


def _build(buildah: Buildah, base: str, name: str, tag: str) -> None:
    """`--isolation=chroot` and the machine's network: this works inside a container too, as on CI."""
    buildah.run(
        *("bud", "--isolation=chroot", "--network=host", "--pull-never", "--layers", "--format=docker"),
        *(f"--volume={source}:{target}:ro" for source, target in _network_settings(buildah.dir)),
        *("--build-arg", f"PYTHON_IMAGE={base}", "--build-arg", f"VERSION={tag}"),
        *("--tag", name, "."),
    )


def _network_settings(directory: Path) -> list[tuple[Path, str]]:
    """How this machine reaches its package index, for the build alone: its authorities and pip's settings."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    pairs = (line.partition("=")[::2] for line in listed.splitlines())
    kept = [f"{key.partition('.')[2]} = {value.strip(chr(39))}" for key, value in pairs if key in _PIP_SETTINGS]
    authorities = Path(os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile or _CERTIFICATES)
    if authorities.exists():
        kept.append(f"cert = {_CERTIFICATES}")
    settings = directory / "pip.conf"
    settings.write_text("\n".join(["[global]", *kept, ""]))
    mounts = [(settings, "/etc/pip.conf")]
    return [*mounts, (authorities, _CERTIFICATES)] if authorities.exists() else mounts


def _save(buildah: Buildah, name: str, archive: Path) -> None:
    partial = archive.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    buildah.run("push", name, f"docker-archive:{partial}:{name}")
    partial.rename(archive)
    newest_first = sorted(archive.parent.glob("*.tar"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in newest_first[_KEPT:]:
        old.unlink(missing_ok=True)


def fingerprint(base: str, tag: str) -> str:
    """A hash over all that goes into the image."""
    digest = hashlib.sha256(f"{base}\0{tag}\0".encode())
    for path in _inputs():
        digest.update(f"{path.relative_to(ROOT)}\0{path.stat().st_mode & 0o111}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _inputs() -> Sequence[Path]:
    """The Dockerfile, and what `.dockerignore` lets into the build."""
    admitted = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    found = {ROOT / "Dockerfile", ROOT / ".dockerignore"}
    for name in admitted:
        path = ROOT / name
        found.update([path] if path.is_file() else (p for p in path.rglob("*") if p.is_file()))
    return sorted(path for path in found if "__pycache__" not in path.parts)
