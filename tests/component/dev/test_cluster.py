"""What can be known about a control plane without one."""

from __future__ import annotations

import json
import random
import socket
import stat
import sys
from pathlib import Path

import pytest

from dev.controlplane import Binaries, ControlPlane, ControlPlaneError, audit, cluster, files
from tests.support.processes import running_in

ENDS = "#!/bin/sh\necho 'cannot go on'\nexit 7\n"


def fake_binaries(directory: Path, **scripts: str) -> Binaries:
    """Programs that are shell scripts; those not given end at once, with a complaint."""
    names = ("etcd", "kube_apiserver", "kube_controller_manager", "kubectl")
    for name in names:
        path = directory / name
        path.write_text(scripts.get(name, ENDS))
        path.chmod(0o755)
    return Binaries(*(directory / name for name in names))


def test_a_part_that_ends_is_named_with_its_log_and_nothing_is_left(tmp_path: Path) -> None:
    plane = ControlPlane(binaries=fake_binaries(tmp_path))
    with pytest.raises(ControlPlaneError, match=r"(?s)etcd ended with 7.*cannot go on"):
        plane.start()
    assert not plane.dir.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_the_parts_that_did_start_are_stopped(tmp_path: Path) -> None:
    etcd = "#!/bin/sh\ntouch etcd:0\nexec sleep 60\n"
    plane = ControlPlane(binaries=fake_binaries(tmp_path, etcd=etcd))
    with pytest.raises(ControlPlaneError, match="kube-apiserver ended with 7"):
        plane.start()
    assert running_in(plane.dir) == []


def test_a_part_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "START_TIMEOUT", 0.3)
    plane = ControlPlane(binaries=fake_binaries(tmp_path, etcd="#!/bin/sh\necho thinking\nexec sleep 60\n"))
    with pytest.raises(ControlPlaneError, match=r"(?s)etcd is not ready after.*thinking"):
        plane.start()


def test_another_port_is_tried_when_one_is_taken(tmp_path: Path) -> None:
    etcd = "#!/bin/sh\ntouch etcd:0\nexec sleep 60\n"
    apiserver = f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\necho "bind: address already in use"\nexit 1\n'
    plane = ControlPlane(binaries=fake_binaries(tmp_path, etcd=etcd, kube_apiserver=apiserver))
    with pytest.raises(ControlPlaneError):
        plane.start()
    calls = (tmp_path / "calls").read_text().splitlines()
    ports = {word for line in calls for word in line.split() if word.startswith("--secure-port=")}
    assert len(calls) == 5
    assert len(ports) == 5


def test_a_free_port_is_not_one_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        free = other.getsockname()[1]
        other.close()
        taken = server.getsockname()[1]
        monkeypatch.setattr(random, "sample", lambda *_, **__: [taken, free])
        assert cluster.free_port() == free


def test_requests_need_an_audit_log(tmp_path: Path) -> None:
    plane = ControlPlane(binaries=fake_binaries(tmp_path))
    with pytest.raises(ValueError, match="audit=True"):
        plane.requests()
    plane.stop()


def event(**changes: object) -> str:
    base = {
        "verb": "patch",
        "user": {"username": "system:serviceaccount:a:b"},
        "userAgent": "operator/1.0 (linux)",
        "objectRef": {"resource": "toolcredentials", "subresource": "status", "namespace": "a", "name": "x"},
        "responseStatus": {"code": 200},
    }
    return json.dumps(base | changes) + "\n"


def test_requests_are_counted_by_what_they_are(tmp_path: Path) -> None:
    plane = ControlPlane(binaries=fake_binaries(tmp_path), audit=True)
    assert plane.audit_log
    lines = [
        event(),
        event(verb="get"),
        event(objectRef={"resource": "secrets"}),
        event(user={}, userAgent="kubectl/v1"),
    ]
    plane.audit_log.write_text("".join(lines) + event()[:20])
    assert plane.requests() == 4
    assert plane.requests(verb="patch") == 3
    assert plane.requests(resource="toolcredentials/status") == 3
    assert plane.requests(resource="toolcredentials") == 0
    assert plane.requests(agent="operator") == 3
    assert plane.requests(user="system:serviceaccount:a:b", verb="patch", resource="secrets") == 1
    with plane.audit_log.open("a") as log:
        log.write(event()[20:] + event(verb="get"))
    assert plane.requests() == 6, "the line that was being written, and the next one"
    plane.stop()


def test_a_request_without_an_object() -> None:
    seen = audit.Request.of({"verb": "get", "user": {}})
    assert seen == audit.Request(user="", agent="", verb="get", resource="", namespace="", name="", code=0)


def test_what_grants_access_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    files.write_service_account_keys(tmp_path / "key", tmp_path / "public")
    files.write_tokens(tmp_path / "tokens", {"admin": ("secret", "system:masters")})
    files.write_kubeconfig(tmp_path / "config", url="https://h", ca_file=tmp_path / "ca", token="secret")
    for name in ("key", "tokens", "config"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert (tmp_path / "tokens").read_text() == 'secret,admin,admin,"system:masters"\n'
