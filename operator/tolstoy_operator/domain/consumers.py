"""Who reads a Secret, and whether they notice when it changes.

A volume follows the Secret. An environment variable and a `subPath` mount are taken when the container starts and stay
as they are; with credentials that are refreshed every hour that is the usual reason why "the token does not work".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from tolstoy_operator.domain.status import moment

Owner = tuple[str, str]
"""Kind and name of a workload, or of a pod that has none."""

_CONTAINERS: Final = ("initContainers", "containers", "ephemeralContainers")
_STATUSES: Final = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
_DRIVER_REFERENCES: Final = ("secretRef", "nodePublishSecretRef")
_FINISHED: Final = ("Succeeded", "Failed")


class Mode(StrEnum):
    """How a pod reads a Secret. The values are part of the JSON form."""

    VOLUME = "volume"
    SUBPATH = "subPath"
    ENV = "env"
    IMAGE_PULL = "imagePull"
    DRIVER = "volumeDriver"
    UNMOUNTED = "unmounted"

    @property
    def frozen(self) -> bool:
        """Whether a running container keeps the value that it started with."""
        return self in (Mode.SUBPATH, Mode.ENV)


@dataclass(frozen=True, slots=True)
class Use:
    """One way in which a pod template reads the Secret.

    `container`: None for the pod as a whole. `where`: a mount path, a variable, or the name of a volume. `keys`: those
    that must be there, or else the container does not start; empty when any will do.
    """

    mode: Mode
    container: str | None
    where: str
    keys: tuple[str, ...] = ()


@dataclass(slots=True)
class Reader:
    """A workload, or a pod without one, and how it reads the Secret.

    `outdated`: those of `pods` whose containers started before the Secret's last change and do not see it.
    """

    kind: str
    name: str
    uses: tuple[Use, ...]
    pods: list[str] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)


def uses_of(spec: Mapping[str, Any], secret: str) -> tuple[Use, ...]:
    """How a pod with this spec reads the Secret of that name; empty when it does not."""
    found = [*_volumes(spec, secret), *_environment(spec, secret)]
    if any(item.get("name") == secret for item in spec.get("imagePullSecrets") or ()):
        found.append(Use(Mode.IMAGE_PULL, None, "imagePullSecrets"))
    return tuple(found)


def is_followed(spec: Mapping[str, Any], secret: str) -> bool:
    """Whether a container of a pod with this spec sees changes of the Secret in its files."""
    return any(use.mode is Mode.VOLUME for use in _volumes(spec, secret))


def controller(body: Mapping[str, Any]) -> Owner | None:
    """The controller that an object names as its owner."""
    for owner in body["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return owner["kind"], owner["name"]
    return None


def active(pod: Mapping[str, Any]) -> bool:
    """Whether the pod runs, or is about to."""
    return (pod.get("status") or {}).get("phase") not in _FINISHED


def readers(
    secret: str,
    *,
    pods: Iterable[Mapping[str, Any]],
    templates: Mapping[Owner, Mapping[str, Any]],
    parents: Mapping[Owner, Owner],
    changed_at: datetime | None,
) -> list[Reader]:
    """Everybody who reads the Secret, workloads first.

    `templates`: the pod specs of workloads, so that one that has no pod at the moment counts too. `parents`: who owns
    the owner of a pod (a ReplicaSet's Deployment). `changed_at`: when the Secret's content last changed.
    """
    found = {owner: Reader(*owner, uses) for owner, spec in templates.items() if (uses := uses_of(spec, secret))}
    for pod in pods:
        uses = uses_of(pod.get("spec") or {}, secret)
        if not uses or not active(pod):
            continue
        name = pod["metadata"]["name"]
        direct = controller(pod)
        owner: Owner = parents.get(direct, direct) if direct else ("Pod", name)
        reader = found.setdefault(owner, Reader(*owner, ()))
        reader.uses = tuple(dict.fromkeys((*reader.uses, *uses)))  # pods of an earlier template read it their way
        reader.pods.append(name)
        if changed_at is not None and _is_outdated(pod, uses, changed_at):
            reader.outdated.append(name)
    return sorted(found.values(), key=lambda reader: (reader.kind == "Pod", reader.kind, reader.name))


def _is_outdated(pod: Mapping[str, Any], uses: Iterable[Use], changed_at: datetime) -> bool:
    started = dict(_started(pod.get("status") or {}))
    begins = (started.get(use.container or "") for use in uses if use.mode.frozen)
    return any(begin is not None and begin < changed_at for begin in begins)


def _started(status: Mapping[str, Any]) -> Iterator[tuple[str, datetime | None]]:
    for group in _STATUSES:
        for item in status.get(group) or ():
            running = (item.get("state") or {}).get("running") or {}
            yield item["name"], moment(running.get("startedAt"))


def _containers(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for group in _CONTAINERS:
        yield from spec.get(group) or ()


def _volumes(spec: Mapping[str, Any], secret: str) -> Iterator[Use]:
    for volume in spec.get("volumes") or ():
        if _is_driver_of(volume, secret):
            yield Use(Mode.DRIVER, None, volume["name"])
        for source in _sources(volume):
            if (source.get("secretName") or source.get("name")) == secret:
                yield from _mounts(spec, volume["name"], _keys_of_items(source))


def _sources(volume: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if volume.get("secret"):
        yield volume["secret"]
    for source in (volume.get("projected") or {}).get("sources") or ():
        if source.get("secret"):
            yield source["secret"]


def _keys_of_items(source: Mapping[str, Any]) -> tuple[str, ...]:
    return () if source.get("optional") else tuple(item["key"] for item in source.get("items") or ())


def _mounts(spec: Mapping[str, Any], volume: str, keys: tuple[str, ...]) -> Iterator[Use]:
    mounted = False
    for container in _containers(spec):
        for mount in container.get("volumeMounts") or ():
            if mount["name"] != volume:
                continue
            mounted = True
            part = mount.get("subPath") or mount.get("subPathExpr")
            yield Use(Mode.SUBPATH if part else Mode.VOLUME, container["name"], mount["mountPath"], keys)
    if not mounted:
        yield Use(Mode.UNMOUNTED, None, volume, keys)


def _is_driver_of(volume: Mapping[str, Any], secret: str) -> bool:
    for kind, source in volume.items():
        if not isinstance(source, Mapping):
            continue
        named = [source[key].get("name") for key in _DRIVER_REFERENCES if source.get(key) is not None]
        if secret in named or (kind == "azureFile" and source.get("secretName") == secret):
            return True
    return False


def _environment(spec: Mapping[str, Any], secret: str) -> Iterator[Use]:
    for container in _containers(spec):
        for variable in container.get("env") or ():
            reference = (variable.get("valueFrom") or {}).get("secretKeyRef") or {}
            if reference.get("name") == secret:
                keys = () if reference.get("optional") else (reference["key"],)
                yield Use(Mode.ENV, container["name"], variable["name"], keys)
        for source in container.get("envFrom") or ():
            if (source.get("secretRef") or {}).get("name") == secret:
                yield Use(Mode.ENV, container["name"], f"{source.get('prefix') or ''}*")
