"""An attacker and a victim: two tenants of one operator, each with an organisation of its own.

The attacker is a developer with the built-in role `edit` in its own namespace, which is bound to its own organisation.
What an attack is after carries the victim's canary, so that it can be looked for wherever the attacker may look.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from dev.testbed import OperatorProcess, Testbed
from tests.integration.helm.conftest import new_user
from tests.integration.operator.conftest import new_tenant, no_policy, operator, settings, tenant
from tests.integration.operator.tenant import Tenant, api_key, value
from tests.support.kubeapi import CREDENTIALS, Answer, KubeApi, credential

__all__ = ["new_tenant", "no_policy", "operator", "settings", "tenant"]

PREY = value("of-the-victim")


@dataclass(frozen=True)
class Scene:
    """Both tenants. The victim's credential `github` is in order; `developer` is the attacker's own identity."""

    victim: Tenant
    attacker: Tenant
    developer: KubeApi

    @property
    def credentials(self) -> str:
        return CREDENTIALS.format(self.attacker.namespace)

    @property
    def secrets(self) -> str:
        return f"/api/v1/namespaces/{self.attacker.namespace}/secrets"

    def apply(self, name: str = "loot", **spec: Any) -> Answer:
        """Create a ToolCredential as the attacker, and hear what the API server says."""
        return self.developer.post(self.credentials, credential(name, **spec))

    def loot(self) -> str:
        """Everything that the attacker can read in its namespace, as text; values of Secrets decoded."""
        secrets = self.developer.get(self.secrets).body["items"]
        others = [self.developer.get(path).body for path in (self.credentials, self._events)]
        decoded = [self.attacker.data(item["metadata"]["name"]) for item in secrets]
        return json.dumps([secrets, others, decoded])

    def nothing_was_taken(self) -> None:
        """The victim's value is nowhere that the attacker sees, and the victim has it still."""
        assert PREY not in self.loot()
        assert self.victim.data() == {"apiKey": PREY}

    @property
    def _events(self) -> str:
        return f"/apis/events.k8s.io/v1/namespaces/{self.attacker.namespace}/events"


@pytest.fixture(scope="module")
def scene(testbed: Testbed, admin: KubeApi, operator: OperatorProcess) -> Iterator[Scene]:
    victim, attacker = Tenant(testbed, admin), Tenant(testbed, admin)
    victim.store({"apiKey": PREY})
    victim.synced()
    attacker.store(api_key("of-the-attacker"))
    with new_user(admin, "developer", "edit", attacker.namespace) as developer:
        attacker.synced("own")
        yield Scene(victim, attacker, developer)
    attacker.close()
    victim.close()
