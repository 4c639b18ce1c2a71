"""What the admission plugin OwnerReferencesPermissionEnforcement asks of the operator, right by right.

Some distributions turn it on, OpenShift for one, and so does the control plane of all our tests. Here somebody has the
operator's rights in a namespace but for one, and writes what the operator writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from dev.helmcli import RELEASE
from tests.integration.helm.conftest import Installed, Team, new_user
from tests.support.kubeapi import JSON_PATCH, KubeApi, credential
from tolstoy_operator.api.v1 import ToolCredentialSpec
from tolstoy_operator.domain import manifest
from tolstoy_operator.domain.existing import existing_secret, fingerprint_with

pytestmark = pytest.mark.integration

_SPEC = {"tool": "github", "orgId": "org-abc123"}
_RETAINED = {**_SPEC, "target": {"deletionPolicy": "Retain"}}
_FINGERPRINT = fingerprint_with(b"key")
_ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"

Without = Callable[[str, str], KubeApi]


@pytest.fixture
def without(installed: Installed, team: Team) -> Iterator[Without]:
    """Call it with a resource and a verb: somebody who has all of the operator's rights in the namespace but that."""
    with ExitStack() as stack:

        def make(resource: str, verb: str) -> KubeApi:
            rules = installed.admin.get(f"{_ROLES}/{RELEASE}").body["rules"]
            (rule,) = (rule for rule in rules if rule["resources"] == [resource])
            rule["verbs"].remove(verb)
            name = f"{team.namespace}-without"
            kept = [rule for rule in rules if rule["verbs"]]
            assert installed.admin.post(_ROLES, {"metadata": {"name": name}, "rules": kept}).ok
            stack.callback(installed.admin.delete, f"{_ROLES}/{name}")
            return stack.enter_context(new_user(installed.admin, "somebody", name, team.namespace))

        yield make


class Target:
    """The Secret of a credential in the team's namespace, as the operator creates and changes it."""

    def __init__(self, team: Team) -> None:
        team.annotate(allowed_orgs="org-abc123")
        answer = team.developer.post(team.credentials, credential("github", **_SPEC))
        assert answer.ok, answer
        self._owner = manifest.Identity(team.namespace, "github", answer.body["metadata"]["uid"])
        self._secrets = f"/api/v1/namespaces/{team.namespace}/secrets"
        self.path = f"{self._secrets}/github"

    def wanted(self, spec: dict[str, Any]) -> manifest.DesiredSecret:
        parsed = ToolCredentialSpec.model_validate(spec)
        return manifest.desired_secret(self._owner, parsed, "github", {"accessToken": b"test"}, "version")

    def create(self, user: KubeApi, *, blocking: bool = False) -> str:
        """What the API server says to its creation; nothing when it is created."""
        body = manifest.manifest(self.wanted(_SPEC))
        (owner,) = body["metadata"]["ownerReferences"]
        owner |= {"blockOwnerDeletion": True} if blocking else {}
        return user.post(self._secrets, body).message

    def change(self, user: KubeApi, spec: dict[str, Any]) -> str:
        """What the API server says to the change that this spec asks for; nothing when it is made."""
        existing = existing_secret(user.get(self.path).body, _FINGERPRINT)
        operations = manifest.rewrite(existing, self.wanted(spec), _FINGERPRINT)
        assert [item["path"] for item in operations if "ownerReferences" in item["path"]]
        return user.patch(self.path, operations, JSON_PATCH).message


def test_finalizers_of_the_owner_are_for_references_that_block_its_deletion(without: Without, team: Team) -> None:
    target, user = Target(team), without("toolcredentials/finalizers", "update")
    assert "cannot set blockOwnerDeletion" in target.create(user, blocking=True)
    assert not target.create(user)
    assert not target.change(user, _RETAINED)
    assert not target.change(user, _SPEC)


def test_who_changes_the_owners_of_a_secret_must_be_allowed_to_delete_it(without: Without, team: Team) -> None:
    target, user = Target(team), without("secrets", "delete")
    assert not target.create(user)
    assert "cannot set an ownerRef on a resource you can't delete" in target.change(user, _RETAINED)
    assert user.patch(target.path, {"data": {"accessToken": "b3RoZXI="}}).ok
