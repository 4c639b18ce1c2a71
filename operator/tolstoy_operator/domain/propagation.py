"""Which pods are told that a Secret has changed, so that their kubelet looks at once and not within a minute.

A kubelet syncs a pod's volumes when the pod itself changes. So the pods that mount the Secret get an annotation: the
resourceVersion that the Secret has now. The same version twice is no change, so to tell a pod again costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tolstoy_operator.api import names
from tolstoy_operator.api.v1 import CredentialType, Propagation, ToolCredentialSpec
from tolstoy_operator.domain.consumers import is_followed
from tolstoy_operator.domain.refresh import OldAccessToken

RUNNING: Final = "Running"
_LONGEST_NUMBER: Final = 20


@dataclass(frozen=True, slots=True)
class Touch:
    """A pod to annotate with `version`. A pod of the same name with another UID is another pod."""

    name: str
    uid: str
    version: int


def is_immediate(spec: ToolCredentialSpec, found: CredentialType | None, old_token: OldAccessToken) -> bool:
    """Whether running pods are told of a change of the Secret.

    `found`: what the upstream document is. `old_token`: what a refresh at the tool's provider does to the token in use.
    """
    wanted = spec.target.propagation
    if wanted is not None:
        return wanted is Propagation.IMMEDIATE
    return found is CredentialType.OAUTH2 and old_token is OldAccessToken.DIES


def touches(pods: Iterable[Mapping[str, Any]], changed: Mapping[str, int]) -> list[Touch]:
    """The pods to tell. `changed`: the resourceVersions that Secrets of their namespace have got, by name."""
    found: list[Touch] = []
    for pod in pods:
        if not _is_running(pod):
            continue
        spec, meta = pod.get("spec") or {}, pod["metadata"]
        version = max((version for name, version in changed.items() if is_followed(spec, name)), default=0)
        if version > _told(meta):
            found.append(Touch(meta["name"], meta["uid"], version))
    return found


def touched(touch: Touch) -> dict[str, Any]:
    """The merge patch. It names the UID, so that it is refused for a successor of the same name."""
    return {"metadata": {"uid": touch.uid, "annotations": {names.SECRET_CHANGED: str(touch.version)}}}


def _is_running(pod: Mapping[str, Any]) -> bool:
    """One that starts reads the Secret anyway, one that ends needs nothing any more."""
    return (pod.get("status") or {}).get("phase") == RUNNING and "deletionTimestamp" not in pod["metadata"]


def _told(meta: Mapping[str, Any]) -> int:
    text = (meta.get("annotations") or {}).get(names.SECRET_CHANGED, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER else 0
