"""kopf watches the cluster that our own client writes to."""

from __future__ import annotations

from typing import Any

import kopf
import pytest

from tolstoy_operator.handlers import log_in


@pytest.fixture(autouse=True)
def service_account(monkeypatch: pytest.MonkeyPatch) -> kopf.ConnectionInfo:
    """What kopf finds in a pod."""
    found = kopf.ConnectionInfo(server="https://kubernetes.default.svc", token="token", ca_path="/ca.crt")
    monkeypatch.setattr(kopf, "login_with_service_account", lambda **_: found)
    return found


@pytest.mark.parametrize(
    ("host", "server"), [("10.96.0.1", "https://10.96.0.1:443"), ("fd00::1", "https://[fd00::1]:443")]
)
def test_in_a_pod_it_goes_by_address_and_needs_no_dns(
    monkeypatch: pytest.MonkeyPatch, service_account: kopf.ConnectionInfo, host: str, server: str
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    found = log_in()
    assert found
    assert (found.server, found.token, found.ca_path) == (server, service_account.token, service_account.ca_path)


def test_elsewhere_it_is_the_kubeconfigs(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = kopf.ConnectionInfo(server="https://cluster.example.com")

    def kubeconfig(**_: Any) -> kopf.ConnectionInfo:
        return theirs

    monkeypatch.setattr(kopf, "login_with_service_account", lambda **_: None)
    monkeypatch.setattr(kopf, "login_with_kubeconfig", kubeconfig)
    assert log_in() is theirs
