"""A machine on which no node can run is told what is missing, and what serves instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev import apt
from dev.node import MachineError, machine


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Packages that were asked for; none of them comes."""
    asked: list[str] = []
    monkeypatch.setattr(apt, "install", lambda packages, _progress: asked.extend(packages))
    return asked


def test_what_is_missing_is_named_with_what_brings_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, installed: list[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(machine, "CNI_DIRECTORIES", (tmp_path,))
    with pytest.raises(MachineError) as caught:
        machine.provide(print)
    said = str(caught.value)
    assert "missing: " in said.splitlines()[0]
    assert "containerd, ctr, ip, mount, nft, nsenter, runc, unshare" in said
    assert "network plugins" in said
    assert "apt-get install containerd containernetworking-plugins" in said
    assert "kind create cluster" in said
    assert set(installed) == {*machine.PACKAGES.values(), "containernetworking-plugins"}


def test_who_is_not_root_is_told(monkeypatch: pytest.MonkeyPatch, installed: list[str]) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(MachineError, match="root's rights"):
        machine.provide(print)


def test_a_machine_that_has_everything_installs_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, installed: list[str]
) -> None:
    for name in (*machine.PACKAGES, "bridge", "host-local", "loopback"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(machine, "CNI_DIRECTORIES", (tmp_path,))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    machine.provide(print)
    assert installed == []
