"""Who reads the Secret of a credential, as a person or a script is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click

from tolstoy_operator.cli.cluster import Surroundings
from tolstoy_operator.cli.text import clean
from tolstoy_operator.cli.view import CredentialView
from tolstoy_operator.domain.consumers import Mode, Reader, Use, readers
from tolstoy_operator.domain.status import moment

_MOST_NAMES: Final = 5
_MEANS: Final = {
    Mode.VOLUME: "follows the Secret, at once or within about a minute",
    Mode.SUBPATH: "never changes while the container runs",
    Mode.ENV: "never changes while the container runs",
    Mode.IMAGE_PULL: "is read anew at each pull of an image",
    Mode.DRIVER: "is read by the volume's driver when it mounts",
    Mode.UNMOUNTED: "is a volume that no container mounts",
}
_RESTARTED: Final = ("Deployment", "StatefulSet", "DaemonSet")


def readers_of(credential: CredentialView, around: Surroundings) -> list[Reader]:
    """Those among what was read; empty also where there is no Secret."""
    target = credential.status.target
    if target is None:
        return []
    return readers(
        target.name,
        pods=around.pods,
        templates=around.templates,
        parents=around.parents,
        changed_at=moment(target.last_sync_time),
    )


def reader_json(reader: Reader, credential: CredentialView) -> dict[str, Any]:
    """The documented form."""
    uses = [
        {
            "mode": use.mode,
            "container": use.container,
            "where": use.where,
            "follows": not use.mode.frozen,
            "missingKeys": list(missing_keys(use, credential)),
        }
        for use in reader.uses
    ]
    return {
        "kind": reader.kind,
        "name": reader.name,
        "pods": reader.pods,
        "outdatedPods": reader.outdated,
        "uses": uses,
    }


def reader_lines(reader: Reader, credential: CredentialView) -> Iterator[str]:
    """All that there is to say of one."""
    count = "" if reader.kind == "Pod" else f" ({_pods(len(reader.pods))})"
    yield clean(f"{reader.kind} {reader.name}{count}")
    for use in reader.uses:
        yield clean(f"  {_use(use)}: {_MEANS[use.mode]}")
        missing = missing_keys(use, credential)
        if missing:
            keys = ", ".join(missing)
            yield clean(f"    the Secret does not hold {keys}: the container does not start; see spec.target.keys")
    if reader.outdated:
        names = ", ".join(reader.outdated[:_MOST_NAMES]) + (", …" if len(reader.outdated) > _MOST_NAMES else "")
        yield click.style(clean(f"  started before the last change, so with an old value: {names}"), fg="yellow")
    if any(use.mode.frozen for use in reader.uses):
        yield clean(f"  to do: {_advice(reader, credential.namespace)}")


def brief_lines(credential: CredentialView, around: Surroundings) -> Iterator[str]:
    """A line for each reader, and what to do with those that never see a change."""
    if credential.status.target is None:
        return
    found = readers_of(credential, around)
    if not found:
        yield clean(f"unused: nobody{' that you may see' if around.unread else ''} reads the Secret")
    for reader in found:
        frozen = any(use.mode.frozen for use in reader.uses)
        modes = ", ".join(dict.fromkeys(use.mode.value for use in reader.uses))
        note = " never sees a change" if frozen else ""
        line = clean(f"read by {reader.kind} {reader.name}: {modes}{note}")
        yield click.style(line, fg="yellow") if frozen else line
        if frozen:
            yield clean(f"  to do: {_advice(reader, credential.namespace)}")


def missing_keys(use: Use, credential: CredentialView) -> tuple[str, ...]:
    """The keys that must be there and are not. A Secret that others write too may hold keys that we don't know."""
    target = credential.status.target
    if target is None or credential.merges:
        return ()
    return tuple(key for key in use.keys if key not in target.keys)


def _use(use: Use) -> str:
    where = f"{use.mode} {use.where}" if use.mode is not Mode.IMAGE_PULL else use.where
    return f"{where} in container {use.container}" if use.container else where


def _advice(reader: Reader, namespace: str) -> str:
    if reader.kind in _RESTARTED:
        restart = f"kubectl rollout restart {reader.kind.lower()}/{reader.name} -n {namespace} after each change"
    elif reader.kind in ("CronJob", "Job"):
        restart = "let each run start after the change that it needs"
    else:
        restart = "make the pod anew after each change"
    return f"mount the Secret as a whole volume, without subPath, and read the file; or {restart}"


def _pods(count: int) -> str:
    return {0: "no pods at present", 1: "1 pod"}.get(count, f"{count} pods")
