"""Restarting a workload: one annotation on its pod template."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from tolstoy_operator.api import names
from tolstoy_operator.api.v1 import WorkloadKind
from tolstoy_operator.domain.restart import restarted
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.client import MERGE_PATCH, KubeClient

_PLURALS: Final = {
    WorkloadKind.DEPLOYMENT: "deployments",
    WorkloadKind.STATEFUL_SET: "statefulsets",
    WorkloadKind.DAEMON_SET: "daemonsets",
}


class WorkloadsApi:
    """Deployments, StatefulSets and DaemonSets. They are never read."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def restart(self, namespace: str, kind: WorkloadKind, name: str, at: datetime) -> None:
        """Have the workload replace its pods; with the same `at` again, nothing happens. Raises `NotFound`."""
        await self._client.patch(
            paths.apps(namespace, _PLURALS[kind], name),
            restarted(at),
            content_type=MERGE_PATCH,
            query={"fieldManager": names.FIELD_MANAGER},
        )
