"""A stand-in for the Python image that the Dockerfile names, where no image registry is reached.

Made like the original: a minimal Debian with a Python under /usr/local, and what Python's libraries need. Debian comes
from the source that this machine is configured to use, by debootstrap. Python is the one that runs this; it must be an
installation of its own (pyenv's, say), and may be of another version. Good for trying the Dockerfile and the image's
behaviour; what is released is built on the original.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dev import apt
from dev.controlplane.gobuild import Progress

if TYPE_CHECKING:
    from dev.image.builder import Buildah

_NOT_NEEDED = ("test", "idlelib", "turtledemo", "__pycache__", "config-*", "*.a")
_DOCUMENTATION = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "var/lib/apt/lists")


class BaseError(RuntimeError):
    """No stand-in can be made on this machine; the message says what is missing."""


@dataclass(frozen=True)
class StandIn:
    """What a stand-in is made of: a Debian release, where it is fetched from, a Python's directory, packages."""

    suite: str
    source: str
    python: Path
    packages: tuple[str, ...]

    @classmethod
    def of_this_machine(cls) -> StandIn:
        """The release and source that apt uses here, and the Python that runs this. Raises `BaseError`."""
        python = Path(sys.base_prefix)
        if shutil.which("apt-get") is None:
            raise BaseError("a stand-in of the base image is only made on Debian")
        if python == Path("/usr"):
            raise BaseError("a stand-in of the base image needs a Python outside /usr: `make venv PYTHON=...`")
        targets = subprocess.run(
            ["apt-get", "indextargets", "--format=$(REPO_URI) $(CODENAME) $(COMPONENT)", "Created-By: Packages"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()
        source, suite, _ = next(line for line in targets if re.fullmatch(r"\S+ [a-z]+ main", line)).split()
        return cls(suite, source, python, _packages(python))

    @property
    def name(self) -> str:
        """Its name as an image: one for each combination of what it is made of."""
        parts = "\0".join([self.suite, str(self.python), sys.version, *self.packages])
        return f"localhost/python-stand-in:{hashlib.sha256(parts.encode()).hexdigest()[:12]}"

    def make(self, buildah: Buildah, progress: Progress) -> None:
        """Make it. Raises `BaseError`."""
        if shutil.which("debootstrap") is None:
            apt.install(["debootstrap"], progress)
        if shutil.which("debootstrap") is None:
            raise BaseError("`debootstrap` is needed for a stand-in of the base image: apt-get install debootstrap")
        with tempfile.TemporaryDirectory(prefix="base-", dir=buildah.dir) as directory:
            root = Path(directory) / "root"
            progress(f"debootstrap {self.suite} (once, a minute or two)")
            include = f"--include={','.join(('ca-certificates', *self.packages))}"
            _run("debootstrap", "--variant=minbase", include, self.suite, str(root), self.source)
            self._add_python(root)
            for path in _DOCUMENTATION:
                shutil.rmtree(root / path, ignore_errors=True)
            for archive in (root / "var/cache/apt").rglob("*.deb"):
                archive.unlink()
            _run("chroot", str(root), "ldconfig")
            _run("chroot", str(root), "/usr/local/bin/python", "-c", "import ssl, sqlite3, ctypes, lzma, bz2, zlib")
            container = buildah.run("from", "scratch").strip()
            try:
                buildah.run("add", "--quiet", container, root, "/")
                path = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
                buildah.run("config", f"--env=PATH={path}", "--cmd=python3", container)
                buildah.run("commit", "--quiet", "--format=docker", container, self.name)
            finally:
                buildah.run("rm", container)

    def _add_python(self, root: Path) -> None:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        library = Path("lib") / version
        target = root / "usr/local"
        ignored = shutil.ignore_patterns(*_NOT_NEEDED, "site-packages")
        shutil.copytree(self.python / library, target / library, ignore=ignored, dirs_exist_ok=True)
        for package in ("pip", "setuptools", "wheel"):
            for found in (self.python / library / "site-packages").glob(f"{package}*"):
                if found.is_dir():
                    shutil.copytree(found, target / library / "site-packages" / found.name)
        for found in (self.python / "lib").glob("libpython3*.so*"):
            shutil.copy2(found, target / "lib", follow_symlinks=False)
        (target / "bin").mkdir(exist_ok=True)
        shutil.copy2((self.python / "bin" / version).resolve(), target / "bin" / version)
        for name in ("python", "python3"):
            (target / "bin" / name).symlink_to(version)


def _packages(python: Path) -> tuple[str, ...]:
    """The Debian packages of the libraries that this Python is linked with."""
    objects = [python / "bin" / "python3", *(python / "lib").rglob("*.so*")]
    inside = [path for path in objects if "site-packages" not in path.parts]
    linked = subprocess.run(["ldd", *map(str, inside)], capture_output=True, text=True, check=False).stdout
    libraries = {Path(path).resolve() for path in re.findall(r"=> (/\S+)", linked)}
    names = {owner for path in libraries if not path.is_relative_to(python) for owner in _owners(path)}
    return tuple(sorted(names))


def _owners(library: Path) -> list[str]:
    """The packages that a file belongs to; dpkg knows it as it was before /lib became part of /usr, or after."""
    spellings = {str(library), str(library).removeprefix("/usr")}
    found = subprocess.run(["dpkg", "--search", *spellings], capture_output=True, text=True, check=False).stdout
    return re.findall(r"^([^:\s,]+)", found, re.MULTILINE)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr + done.stdout).strip().splitlines()[-10:]
        raise BaseError(f"{command[0]} failed:\n" + "\n".join(f"  {line}" for line in said))
