"""The CRD on the shared control plane, and an administrator's plain HTTP access to it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from dev.controlplane import ControlPlane
from dev.testbed import eventually
from tests.support.crd import CRD_FILE
from tests.support.kubeapi import APPLY_PATCH, CREDENTIALS, JSON_PATCH, MERGE_PATCH, Answer, KubeApi, credential
from tolstoy_operator.api import names

STRICT = "fieldValidation=Strict"

_numbers = itertools.count()


@dataclass(frozen=True)
class Credentials:
    """ToolCredentials of one namespace. Every request refuses unknown fields, as kubectl asks for."""

    api: KubeApi
    namespace: str
    path: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", CREDENTIALS.format(self.namespace))

    def create(self, spec: Any, *, name: str | None = None, dry_run: bool = False) -> Answer:
        """A new credential; with `dry_run` it is checked and not kept."""
        body = credential(name or f"c-{next(_numbers)}")
        body["spec"] = spec
        return self.api.post(f"{self.path}?{STRICT}{'&dryRun=All' if dry_run else ''}", body)

    def existing(self, **spec: object) -> str:
        """The name of a new credential that must be accepted."""
        answer = self.create(spec)
        assert answer.ok, answer.message
        return str(answer.body["metadata"]["name"])

    def get(self, name: str) -> dict[str, Any]:
        answer = self.api.get(f"{self.path}/{name}")
        assert answer.ok, answer.message
        return answer.body

    def merge(self, name: str, change: object) -> Answer:
        """JSON merge patch."""
        return self.api.patch(f"{self.path}/{name}?{STRICT}", change, MERGE_PATCH)

    def json_patch(self, name: str, *operations: object) -> Answer:
        return self.api.patch(f"{self.path}/{name}?{STRICT}", list(operations), JSON_PATCH)

    def apply(self, name: str, spec: object, manager: str = "tenant") -> Answer:
        """Server-side apply."""
        body = credential(name)
        body["spec"] = spec
        return self.api.patch(f"{self.path}/{name}?{STRICT}&fieldManager={manager}&force=true", body, APPLY_PATCH)

    def delete(self, name: str) -> Answer:
        return self.api.delete(f"{self.path}/{name}")


@pytest.fixture(scope="session")
def served(control_plane: ControlPlane) -> ControlPlane:
    """The control plane, with the CRD established and known to kubectl."""
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", f"--filename={CRD_FILE}")
    # Not `kubectl wait`: it fails on a CRD without conditions, which is how one begins. And discovery and the published
    # schema follow a little later than the condition.
    explain = ("explain", f"{names.PLURAL}.{names.GROUP}")
    eventually(lambda: not control_plane.kubectl(*explain, check=False).returncode, what="kubectl knows the kind")
    return control_plane


@pytest.fixture(scope="session")
def admin(served: ControlPlane) -> Iterator[KubeApi]:
    with KubeApi(served, served.token) as api:
        yield api


@pytest.fixture(scope="module")
def namespace(served: ControlPlane) -> str:
    """A namespace of the module's own."""
    name = f"api-{next(_numbers)}"
    served.kubectl("create", "namespace", name)
    return name


@pytest.fixture(scope="module")
def credentials(admin: KubeApi, namespace: str) -> Credentials:
    return Credentials(admin, namespace)


def causes(answer: Answer) -> dict[str, str]:
    """The fields that a Status complains about, and what it says of each (lines joined).

    Without the remark, at no field, that rules were left out because a type or a bound was wrong already.
    """
    found: dict[str, str] = {}
    for cause in answer.body.get("details", {}).get("causes", []):
        if "some validation rules were not checked" not in cause["message"]:
            place = cause.get("field", "")
            found[place] = "\n".join(filter(None, [found.get(place), cause["message"]]))
    return found
