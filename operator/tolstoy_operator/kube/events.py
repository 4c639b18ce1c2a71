"""Kubernetes Events (events.k8s.io/v1), one for each transition of a credential.

kopf's own posting stays off: it posts log records, and we want exactly the transitions.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from tolstoy_operator.api import names
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.client import KubeClient
from tolstoy_operator.kube.errors import KubeError

_log = logging.getLogger(__name__)
_NOTE_LIMIT = 1024  # the API server refuses more


@dataclass(frozen=True, slots=True)
class Transition:
    """What an Event tells: `warning` or normal, a CamelCase `reason`, and a `note` for people."""

    namespace: str
    name: str
    uid: str
    warning: bool
    reason: str
    note: str


class EventsApi:
    """Posts Events. They are best effort: a failure is logged and nothing else."""

    def __init__(self, client: KubeClient, *, instance: str) -> None:
        self._client = client
        self._instance = instance

    async def post(self, transition: Transition, *, at: datetime) -> None:
        """`at`: when the transition happened, with a time zone."""
        body = {
            "metadata": {"name": f"{transition.name[:200].rstrip('.-')}.{int(at.timestamp() * 1e6):x}"},
            "eventTime": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "type": "Warning" if transition.warning else "Normal",
            "reason": transition.reason,
            "action": "Sync",
            "note": transition.note[:_NOTE_LIMIT],
            "reportingController": "tolstoy.dev/operator",
            "reportingInstance": self._instance[:128],
            "regarding": {
                "apiVersion": names.API_VERSION,
                "kind": names.KIND,
                "namespace": transition.namespace,
                "name": transition.name,
                "uid": transition.uid,
            },
        }
        try:
            await self._client.create(paths.events(transition.namespace), body)
        except KubeError as error:
            # A namespace that is being deleted answers 403; there is nobody left to read the Event.
            about = {"namespace": transition.namespace, "credential": transition.name}
            _log.info("event not posted: %s", error, extra=about)
