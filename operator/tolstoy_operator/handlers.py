"""What kopf calls. Every handler hands over what it saw, and returns.

Only `on.event`: it writes nothing by itself, keeps no timers or finalizers, and sees deletions too. kopf brings the
watch streams with resumption and relisting, the login, and the order of events of one object; what follows from an
event is the dispatcher's business.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

import kopf
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

from tolstoy_operator.api import names
from tolstoy_operator.engine.dispatcher import Dispatcher


class _NoDiffBase(kopf.DiffBaseStorage):
    """kopf copies every object to compare it with a later one, even when no handler asks for changes. Ours do not."""

    def build(self, **_: Any) -> Any:
        return None

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        return None


class NoMemories(ResourceMemories):
    """kopf keeps a record of each object for handlers of changes, timers and daemons: 0.9 KB that nobody asks for."""

    async def recall(self, raw_body: Any, **options: Any) -> ResourceMemory:
        """A record for this one event."""
        return await super().recall(raw_body, **{**options, "ephemeral": True})


def log_in(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """Which cluster kopf watches, and as whom: the same as our own client."""
    found = kopf.login_with_service_account(**kwargs)
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT"))
    if found is None or not host:
        return found or kopf.login_with_kubeconfig(**kwargs)
    # kopf asks by a name. Without the cluster's DNS, we would write what we want and see nothing of what happens.
    return dataclasses.replace(found, server=f"https://{f'[{host}]' if ':' in host else host}:{port}")


def register(registry: kopf.OperatorRegistry, dispatcher: Dispatcher, *, namespaced: bool) -> None:
    """Connect the streams, and the login, to this operator.

    `namespaced`: it has only some namespaces, and may not watch Namespaces.
    """

    @kopf.on.login(registry=registry)
    async def login(**kwargs: Any) -> Any:
        return log_in(**kwargs)

    @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)
    async def credential(event: Any, **_: Any) -> None:
        dispatcher.observe_credential(event["object"], deleted=event["type"] == "DELETED")

    @kopf.on.event("", "v1", "secrets", registry=registry)
    async def secret(event: Any, **_: Any) -> None:
        dispatcher.observe_secret(event["object"], deleted=event["type"] == "DELETED")

    if namespaced:
        return

    @kopf.on.event("", "v1", "namespaces", registry=registry)
    async def namespace(event: Any, **_: Any) -> None:
        dispatcher.observe_namespace(event["object"], deleted=event["type"] == "DELETED")


class _Endless:
    """Pauses between tries, in seconds, without an end: a namespace that is gone must not end the others' operator."""

    def __iter__(self) -> Iterator[float]:
        return chain((1, 2, 5, 10, 30), repeat(60))


def settings(*, namespaced: bool) -> kopf.OperatorSettings:
    """How kopf runs here; the reasons are measured (docs/decisions/0001-level-triggered-engine.md)."""
    chosen = kopf.OperatorSettings()
    chosen.persistence.diffbase_storage = _NoDiffBase()
    # Bounds the memory of lists: a page of Secrets of a MiB takes kopf seven times as many MiB. Namespaces that the
    # operator has are listed side by side.
    chosen.watching.chunk_size = 5 if namespaced else 20
    chosen.watching.server_timeout = 300
    chosen.watching.label_selectors["", "v1", "secrets"] = names.MANAGED_LABEL
    chosen.queueing.worker_limit = 100
    chosen.queueing.idle_timeout = 0.01  # a worker that lingers would hold one of the hundred
    chosen.networking.request_timeout = 30
    chosen.networking.enforce_retry_after = True
    if namespaced:
        chosen.networking.error_backoffs = _Endless()
    chosen.peering.standalone = True  # a peering object of another kopf operator must not pause this one
    chosen.scanning.disabled = True  # neither CRDs nor namespaces are discovered
    chosen.posting.enabled = False  # Events are posted on transitions, by kube/events.py
    return chosen
