"""Build command line tools from a Go module, once, into a cache outside the tree.

Every tool we need (an API server, etcd, Helm) is pinned by name and hash in a `go.mod` and `go.sum` of ours, so
that no binary has to be published, downloaded or trusted apart from the Go checksums. A build takes minutes, hence:
the result is keyed by everything that shapes it, two processes never build the same thing at once, and a directory
in the cache is either complete or not there at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dev.controlplane.files import tail
from dev.controlplane.processes import spawn, stop

Progress = Callable[[str], None]

REPORT_EVERY = 10.0
"""Seconds between two signs of life while a build runs."""


class BuildError(RuntimeError):
    """The tools could not be built; the message holds the cause and what to do about it."""


@dataclass(frozen=True)
class GoTools:
    """Executables that come out of one Go module.

    `packages` maps the file name wanted to the import path of its `main` package. `usual_minutes` is what a first
    build takes on two cores: shown, so that a person knows whether to wait or to worry.
    """

    name: str
    module: Path
    packages: Mapping[str, str]
    ldflags: str
    usual_minutes: int

    @property
    def command(self) -> list[str]:
        """The build, less its output directory."""
        return ["go", "build", "-v", "-ldflags", self.ldflags, *self.packages.values()]

    @property
    def key(self) -> str:
        """A short hash over all that decides what the executables contain."""
        digest = hashlib.sha256()
        for part in (self.module / "go.mod", self.module / "go.sum", *sorted(self.module.glob("*.go"))):
            digest.update(part.read_bytes())
        digest.update(
            "\0".join([*self.command, *_FLAGS.values(), *self.packages, sys.platform, platform.machine()]).encode()
        )
        return digest.hexdigest()[:16]


_FLAGS = {
    "CGO_ENABLED": "0",
    "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
    "GOWORK": "off",
}


def required_version(module: Path, path: str) -> str:
    """The version, like `v1.2.3`, in which the `go.mod` in `module` requires the module called `path`."""
    found = re.search(rf"^\t{re.escape(path)} (v\S+)", (module / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise BuildError(f"{module / 'go.mod'} does not require {path}")
    return found.group(1)


def cache_root() -> Path:
    """Where built tools are kept, by the XDG rules."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home.resolve() / "tolstoy-operator"


def built(tools: GoTools, progress: Progress) -> Path:
    """The directory that holds the executables of `tools`, which are built when they are not there yet.

    Raises `BuildError`. Calls from several processes at a time build once; the others wait and say so.
    """
    target = cache_root() / f"{tools.name}-{tools.key}"
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.with_suffix(".lock"), tools.name, progress):
        if not target.is_dir():
            _build(tools, target, progress)
    return target


@contextlib.contextmanager
def locked(path: Path, name: str, progress: Progress) -> Iterator[None]:
    """Hold an advisory lock that the kernel releases whatever becomes of this process."""
    with path.open("w") as handle:
        started = reported = time.monotonic()
        while not _try_lock(handle.fileno()):
            time.sleep(0.1)
            if time.monotonic() - reported >= REPORT_EVERY:
                reported = time.monotonic()
                progress(f"waiting for another process that builds {name} … {reported - started:.0f} s")
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _build(tools: GoTools, target: Path, progress: Progress) -> None:
    """Build into a directory beside `target` and move it into place when all is there."""
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)  # left by a build that was killed; the lock is ours
    (partial / "tmp").mkdir(parents=True)
    try:
        _check_go(tools.module)
        _run_build(tools, partial, progress)
        (partial / "tmp").rmdir()
        for name, package in tools.packages.items():
            (partial / output_name(package)).rename(partial / name)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def output_name(package: str) -> str:
    """The file name that `go build -o directory/` gives to a package: its last element, less a major version."""
    return re.sub(r"/v\d+$", "", package).rpartition("/")[2]


def _environment() -> dict[str, str]:
    """The caller's environment (proxies, caches, module mirrors), with what shapes the output pinned."""
    inherited = {k: v for k, v in os.environ.items() if k not in {"GOOS", "GOARCH", "GOEXPERIMENT"}}
    return inherited | _FLAGS


def _check_go(module: Path) -> None:
    """Say clearly that Go is missing or too old, before a build says it in its own way."""
    required = re.search(r"^go (\S+)$", (module / "go.mod").read_text(), re.MULTILINE)
    wanted = f"Go {required.group(1) if required else ''} or newer is needed to build the tools"
    if shutil.which("go") is None:
        raise BuildError(f"{wanted}, and there is no `go` on PATH: install it from https://go.dev/dl/.")
    seen = subprocess.run(
        ["go", "version"], cwd=module, env=_environment(), capture_output=True, text=True, check=False
    )
    if seen.returncode:
        raise BuildError(f"{wanted}, and `go version` says:\n{seen.stderr.strip()}")


def _run_build(tools: GoTools, output: Path, progress: Progress) -> None:
    names = ", ".join(tools.packages)
    progress(f"building {names} (once; usually about {tools.usual_minutes} min on two cores)")
    started = time.monotonic()
    log = output / "build.log"
    command = [*tools.command[:2], "-o", f"{output}{os.sep}", *tools.command[2:]]
    process = spawn(command, log=log, cwd=tools.module, env=_environment() | {"GOTMPDIR": f"{output}/tmp"})
    try:
        while (code := _wait(process)) is None:
            progress(f"building {names} … {_state(log)}, {time.monotonic() - started:.0f} s")
    finally:
        stop(process, grace=0)
    if code:
        raise BuildError(_failure(tools, log))
    log.unlink()
    progress(f"built {names} in {time.monotonic() - started:.0f} s")


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(REPORT_EVERY)
    except subprocess.TimeoutExpired:
        return None


def _state(log: Path) -> str:
    """How far a build is, from what `go build -v` printed: modules fetched, then packages compiled, then links."""
    lines = log.read_text(errors="replace").splitlines()
    fetched = sum(line.startswith("go: downloading ") for line in lines)
    compiled = sum(not line.startswith("go: ") for line in lines)
    return f"{compiled} packages compiled" if compiled else f"{fetched} modules downloaded"


def _failure(tools: GoTools, log: Path) -> str:
    return "\n".join(
        [
            f"building {', '.join(tools.packages)} failed; the last of what Go said:",
            tail(log),
            "What helps: a module that cannot be fetched wants GOPROXY or HTTPS_PROXY set for this network;",
            "'no space left' wants 5 GB for Go's caches (GOCACHE, GOMODCACHE); a compiler that was killed wants",
            "memory, or GOMAXPROCS=1.",
            f"To see it again: cd {os.path.relpath(tools.module)} && go build -o $(mktemp -d)/ tool",
        ]
    )


def to_stderr(line: str) -> None:
    """Progress for command lines whose standard output is meant to be read by a shell."""
    print(line, file=sys.stderr, flush=True)
