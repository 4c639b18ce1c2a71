"""The build of tools, with a stand-in for Go: what is cached, what is said, and what is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dev.controlplane import gobuild
from dev.controlplane.gobuild import BuildError, GoTools, built, output_name, required_version
from tests.support.processes import ends

InstallGo = Callable[..., Callable[[], list[str]]]

FAKE_GO = """#!/bin/sh
echo "$@" >> {calls}
case "$1" in
version) {version} ;;
build) {build} ;;
esac
"""
WRITES_BOTH = 'while [ "$1" != -o ]; do shift; done; echo one > "$2/one"; echo two > "$2/two"'


@pytest.fixture
def tools(tmp_path: Path) -> GoTools:
    module = tmp_path / "module"
    module.mkdir()
    (module / "go.mod").write_text("module example\n\ngo 1.26.0\n\nrequire (\n\texample.org/x v1.2.3 // indirect\n)\n")
    (module / "go.sum").write_text("sums\n")
    packages = {"first": "example.org/one", "second": "example.org/two/v3"}
    return GoTools(name="things", module=module, packages=packages, ldflags="-s", usual_minutes=1)


@pytest.fixture
def fake_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InstallGo:
    """Put a stand-in for Go on PATH and the cache under `tmp_path`; the result lists the calls seen so far."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    calls = tmp_path / "calls"

    def install(*, build: str = WRITES_BOTH, version: str = "echo go version go1.26.0") -> Callable[[], list[str]]:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        go = folder / "go"
        go.write_text(FAKE_GO.format(calls=calls, build=build, version=version))
        go.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return lambda: [line.split()[0] for line in calls.read_text().splitlines()]

    return install


def leftovers() -> list[str]:
    return [p.name for p in gobuild.cache_root().iterdir() if p.suffix != ".lock"]


def test_builds_under_the_names_asked_for_and_only_once(tools: GoTools, fake_go: InstallGo) -> None:
    calls = fake_go()
    said: list[str] = []
    directory = built(tools, said.append)
    assert sorted(p.name for p in directory.iterdir()) == ["first", "second"]
    assert (directory / "second").read_text() == "two\n"
    assert built(tools, said.append) == directory
    assert calls() == ["version", "build"]
    assert "usually about 1 min" in said[0]
    assert said[-1].startswith("built first, second in")


def test_says_how_far_it_is(tools: GoTools, fake_go: InstallGo, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_go(build=f"echo 'go: downloading a v1'; sleep 0.3; echo pkg/a; echo pkg/b; sleep 0.3; {WRITES_BOTH}")
    monkeypatch.setattr(gobuild, "REPORT_EVERY", 0.05)
    said: list[str] = []
    built(tools, said.append)
    assert any("1 modules downloaded" in line for line in said)
    assert any("2 packages compiled" in line for line in said)


def test_a_failure_shows_what_go_said_and_leaves_nothing(tools: GoTools, fake_go: InstallGo) -> None:
    fake_go(build="seq 1 100; echo 'no such module'; exit 1")
    with pytest.raises(BuildError, match=r"(?s)failed.*no such module.*GOPROXY") as caught:
        built(tools, lambda _: None)
    assert "\n  72\n" in str(caught.value)
    assert "\n  71\n" not in str(caught.value)
    assert leftovers() == []


def test_a_missing_go_is_named(tools: GoTools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match=r"Go 1\.26\.0 or newer is needed.*no `go` on PATH"):
        built(tools, lambda _: None)
    assert leftovers() == []


def test_an_old_go_is_named(tools: GoTools, fake_go: InstallGo) -> None:
    fake_go(version="echo 'go.mod requires go >= 1.26.0 (running go 1.24)' >&2; exit 1")
    with pytest.raises(BuildError, match=r"(?s)Go 1\.26\.0 or newer.*running go 1\.24"):
        built(tools, lambda _: None)


def test_a_build_that_was_killed_is_begun_anew(tools: GoTools, fake_go: InstallGo) -> None:
    fake_go()
    partial = gobuild.cache_root() / f"{tools.name}-{tools.key}.partial"
    partial.mkdir(parents=True)
    (partial / "rubbish").touch()
    assert sorted(p.name for p in built(tools, lambda _: None).iterdir()) == ["first", "second"]


RUN_BUILD = """
import sys
from pathlib import Path
from dev.controlplane.gobuild import GoTools, built
tools = GoTools(
    name="things", module=Path(sys.argv[1]), packages={"first": "example.org/one", "second": "example.org/two/v3"},
    ldflags="-s", usual_minutes=1,
)
print(built(tools, lambda line: print(line, file=sys.stderr, flush=True)))
"""


def run_build(tools: GoTools) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN_BUILD, str(tools.module)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_two_processes_build_once(tools: GoTools, fake_go: InstallGo) -> None:
    calls = fake_go(build=f"sleep 0.5; {WRITES_BOTH}")
    outputs = [process.communicate(timeout=30)[0] for process in [run_build(tools), run_build(tools)]]
    assert outputs == [f"{gobuild.cache_root()}/{tools.name}-{tools.key}\n"] * 2
    assert calls() == ["version", "build"]


def test_an_interrupted_build_leaves_neither_files_nor_processes(
    tools: GoTools, fake_go: InstallGo, tmp_path: Path
) -> None:
    compiler = tmp_path / "compiler"
    os.mkfifo(compiler)
    fake_go(build=f"(echo $$; exec sleep 60) > {compiler} & wait")
    process = run_build(tools)
    with compiler.open() as held:
        assert held.readline()
        process.send_signal(signal.SIGINT)
        assert ends(held)
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert leftovers() == []


def test_the_key_follows_everything_that_shapes_the_result(tools: GoTools) -> None:
    keys = {
        tools.key,
        replace(tools, ldflags="-w").key,
        replace(tools, packages={"renamed": "example.org/one", "second": "example.org/two/v3"}).key,
        replace(tools, packages={"first": "example.org/other", "second": "example.org/two/v3"}).key,
    }
    for name in ("go.mod", "go.sum"):
        with (tools.module / name).open("a") as out:
            out.write("// changed\n")
        keys.add(tools.key)
    assert len(keys) == 6
    assert replace(tools, usual_minutes=9).key in keys


@pytest.mark.parametrize(
    ("package", "name"),
    [("k8s.io/kubernetes/cmd/kubectl", "kubectl"), ("go.etcd.io/etcd/server/v3", "server"), ("example.org/v2x", "v2x")],
)
def test_output_name(package: str, name: str) -> None:
    assert output_name(package) == name


def test_required_version(tools: GoTools) -> None:
    assert required_version(tools.module, "example.org/x") == "v1.2.3"
    with pytest.raises(BuildError, match=r"does not require example\.org/y"):
        required_version(tools.module, "example.org/y")
