"""What the operator asked of the API server, from the audit log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dev.controlplane.audit import Request
from dev.helmcli import NAMESPACE, RELEASE
from dev.testbed import Testbed, eventually
from tests.support.kubeapi import KubeApi

OPERATOR = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
_READS = {"get", "list", "watch"}


def requests(testbed: Testbed, admin: KubeApi) -> list[Request]:
    """All that the operator has asked until now. The log is behind by a moment, so a mark is set and waited for."""
    mark = f"mark-{len(testbed.plane.audited())}"
    admin.get(f"/api/v1/namespaces/{mark}")

    def ask() -> Sequence[Request]:
        seen = testbed.plane.audited()
        assert any(request.name == mark for request in reversed(seen))
        return seen

    return [request for request in eventually(ask, what="the audit log is complete") if request.user == OPERATOR]


def writes(testbed: Testbed, admin: KubeApi, namespace: str) -> Counter[str]:
    """How often what was written in a namespace, as "verb resource"."""
    return Counter(
        f"{request.verb} {request.resource}"
        for request in requests(testbed, admin)
        if request.namespace == namespace and request.verb not in _READS
    )
