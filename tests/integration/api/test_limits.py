"""Whatever is legal can be stored: the API server and etcd take the largest spec, whatever characters it is made of."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dev.controlplane import ControlPlane
from tests.integration.api.conftest import Credentials
from tests.support import specs
from tests.support.kubeapi import credential
from tolstoy_operator.domain.forcesync import LONGEST_MARK

pytestmark = pytest.mark.integration


def largest(character: str) -> dict[str, Any]:
    """A spec with every field at its bound and every free text made of `character`."""

    def keys(prefix: str, count: int, size: int) -> list[str]:
        return [f"{prefix}{number:03}".ljust(size, "x") for number in range(count)]

    def metadata_keys() -> list[str]:
        return [f"{domain}/{'n' * 63}" for domain in keys("d", 32, 253)]

    spec = {
        "tool": "t" * 63,
        "orgId": "o" * 128,
        "type": "ClientCredentials",
        "suspend": True,
        "target": {
            "name": "n" * 253,
            "type": "t" * 253,
            "labels": dict.fromkeys(metadata_keys(), "v" * 63),
            "annotations": dict.fromkeys(metadata_keys(), character * 1024),
            "keys": keys("k", 200, 253),
            "template": dict.fromkeys(keys("t", 64, 253), character * 2048),
            "creationPolicy": "Owner",
            "deletionPolicy": "Retain",
        },
    }
    assert specs.problems(spec) == set()
    return spec


@pytest.mark.parametrize(
    "character",
    ["x", "\U0001f511", "<", "\x01"],
    ids=["one byte", "four bytes", "escaped as six bytes", "a control character"],
)
def test_the_largest_spec_is_accepted_and_can_be_changed(credentials: Credentials, character: str) -> None:
    spec = largest(character)

    created = credentials.create(spec)

    assert created.ok, created.message
    assert created.body["spec"] == spec
    name = created.body["metadata"]["name"]
    assert credentials.merge(name, {"spec": {"suspend": False}}).ok
    status = {"observedGeneration": 2, "lastHandledForceSync": "f" * LONGEST_MARK}
    assert credentials.api.patch(f"{credentials.path}/{name}/status", {"status": status}).ok
    assert credentials.delete(name).ok


def test_kubectl_applies_the_largest_template(served: ControlPlane, namespace: str) -> None:
    """Client-side apply keeps a copy of the whole object in an annotation, and annotations are bounded as well."""
    spec = largest("x")
    del spec["target"]["labels"], spec["target"]["annotations"]
    body = json.dumps(credential("applied", **spec))

    served.kubectl("apply", f"--namespace={namespace}", "--filename=-", stdin=body)

    again = served.kubectl("apply", f"--namespace={namespace}", "--filename=-", stdin=body)
    assert again.stdout.strip() == "toolcredential.tolstoy.dev/applied unchanged"
