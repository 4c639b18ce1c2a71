"""Where the programs come from, and that the modules they are built from pin what they should."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dev.controlplane import binaries
from dev.controlplane.binaries import CHART_TOOLS, CONTROL_PLANE, NODE, WORKFLOW_TOOLS, Binaries, find_or_build
from dev.controlplane.gobuild import GoTools, Progress

NAMES = ["etcd", "kube-apiserver", "kube-controller-manager", "kubectl"]


def fill(directory: Path, names: list[str]) -> Path:
    directory.mkdir()
    for name in names:
        (directory / name).touch(mode=0o755)
    return directory


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a build would make, and its directory."""
    directory = fill(tmp_path / "cache", NAMES)

    def fake_built(tools: GoTools, _progress: Progress) -> Path:
        assert tools is CONTROL_PLANE
        return directory

    monkeypatch.setattr(binaries, "built", fake_built)
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return directory


def test_built_when_nothing_is_given(cache: Path) -> None:
    assert find_or_build() == Binaries.inside(cache)


def test_given_assets_are_taken_when_complete(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = fill(tmp_path / "given", NAMES)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(given))
    assert find_or_build() == Binaries.inside(given)


def test_incomplete_assets_are_named_and_left(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = fill(tmp_path / "given", NAMES[:2])
    (given / "kubectl").touch(mode=0o644)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(given))
    said: list[str] = []
    assert find_or_build(said.append) == Binaries.inside(cache)
    assert said == ["KUBEBUILDER_ASSETS lacks kube-controller-manager, kubectl: not used"]


def test_every_staged_module_has_the_release_of_kubernetes() -> None:
    text = (CONTROL_PLANE.module / "go.mod").read_text()
    release = re.search(r"\tk8s\.io/kubernetes v1(\.\d+\.\d+)", text)
    assert release
    replaced = re.findall(r"^\t(k8s\.io/\S+) => (k8s\.io/\S+) (\S+)$", text, re.MULTILINE)
    assert len(replaced) > 20
    assert [r for r in replaced if r[0] != r[1] or r[2] != f"v0{release.group(1)}"] == []
    assert f"gitVersion=v1{release.group(1)}" in CONTROL_PLANE.ldflags


@pytest.mark.parametrize(
    "builds", [(CONTROL_PLANE, NODE), (CHART_TOOLS,), (WORKFLOW_TOOLS,)], ids=["kubernetes", "helm", "workflows"]
)
def test_what_is_built_is_what_the_module_lists_as_tools(builds: tuple[GoTools, ...]) -> None:
    (module,) = {tools.module for tools in builds}
    listed = re.search(r"^tool (?:\(\n(.*?)\n\)|(\S+)$)", (module / "go.mod").read_text(), re.MULTILINE | re.DOTALL)
    assert listed
    assert sorted((listed.group(1) or listed.group(2)).split()) == sorted(
        p for tools in builds for p in tools.packages.values()
    )


@pytest.mark.parametrize("tools", [CONTROL_PLANE, CHART_TOOLS, WORKFLOW_TOOLS], ids=lambda tools: tools.name)
def test_no_module_names_where_it_is_fetched_from(tools: GoTools) -> None:
    for name in ("go.mod", "go.sum"):
        assert "://" not in (tools.module / name).read_text()
