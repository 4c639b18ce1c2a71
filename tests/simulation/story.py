"""A schedule as a story: one line for each thing that somebody could have seen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tolstoy_operator.services.refresh.endings import Ending
from tolstoy_operator.services.refresh.revocation import RevocationEnding

if TYPE_CHECKING:
    from tests.simulation.scenario import World


def listen(world: World) -> None:
    """Have everything that happens to the secret, the journals and the grant told."""
    referee = world.referee

    def current(old: str | None, new: str, actor: str) -> None:
        token = world.store.document(new).get("refreshToken")
        world.tell(f"{actor}: AWSCURRENT {(old or '-')[:8]} -> {new[:8]} ({token})")
        referee.current_moved(old, new, actor)

    def version(version: str, value: str, actor: str) -> None:
        document = json.loads(value)
        books = document.get("tolstoy") or {}
        kind = books.get("kind", "document")
        world.tell(
            f"{actor}: writes {kind} {version[:8]} of {str(books.get('of'))[:8]} n={books.get('n')}"
            f" token={document.get('refreshToken', '')} base={str(books.get('base'))[:8]}"
        )
        referee.version_written(version, value, actor)

    def entry(cluster: str, key: str, payload: str) -> None:
        books = json.loads(payload).get("tolstoy") or {}
        world.tell(f"{cluster} journal: {key[:15]} of {str(books.get('of'))[:8]} n={books.get('n')}")
        referee.object_written(cluster, key, payload)

    def mirrored(cluster: str, old: str | None, new: str) -> None:
        world.tell(f"{cluster} publishes {new[:8]} after {(old or '-')[:8]}")
        referee.mirrored(cluster, old, new)

    world.store.on_current, world.store.on_version = current, version
    for cluster in world.clusters:
        cluster.on_object, cluster.on_mirror = entry, mirrored
    process = world.provider.process

    def request(request):  # type: ignore[no-untyped-def]
        answer = process(request)
        short = answer if isinstance(answer, str) else answer[0]
        world.tell(f"provider: {request.token} from {request.process} -> {short}")
        return answer

    world.provider.process = request  # type: ignore[method-assign]


def short(ending: Ending | RevocationEnding) -> str:
    fields = {name: getattr(ending, name) for name in ending.__dataclass_fields__ if name != "document"}
    return f"{type(ending).__name__} " + ", ".join(f"{name}={str(value)[:60]}" for name, value in fields.items())
