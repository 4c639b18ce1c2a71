"""What a namespace may read: deny by default, exact names, and only what its annotations say.

The annotations are written by the platform team alone (an admission policy sees to it). Nothing here widens: there are
no wildcards or prefixes, and a secret named outright is granted by that very name, even when it lies where an
organisation's secrets do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tolstoy_operator.api import names
from tolstoy_operator.api.v1 import ToolCredentialSpec

_SUSPICIOUS_COUNT: Final = 3
_SUSPICIOUS_SHARE: Final = 10  # one in ten


@dataclass(frozen=True, slots=True)
class Binding:
    """What a namespace is granted. The default is nothing."""

    orgs: frozenset[str] = frozenset()
    secrets: frozenset[str] = frozenset()
    sensitive_keys: bool = False
    revoke: bool = False
    import_: bool = False

    def allows(self, spec: ToolCredentialSpec) -> bool:
        """Whether the upstream secret of a spec is granted. A spec that names both forms, or none, never is."""
        if spec.secret_name is not None:
            return spec.tool is None and spec.org_id is None and spec.secret_name in self.secrets
        return spec.tool is not None and spec.org_id is not None and spec.org_id in self.orgs


def binding_of(annotations: Mapping[str, str] | None) -> Binding:
    """Read a Namespace's annotations: comma-separated exact names, and switches that only `"true"` turns on."""
    given = annotations or {}
    return Binding(
        orgs=_entries(given.get(names.ALLOWED_ORGS, "")),
        secrets=_entries(given.get(names.ALLOWED_SECRETS, "")),
        sensitive_keys=_switch(given.get(names.ALLOW_SENSITIVE_KEYS, "")),
        revoke=_switch(given.get(names.ALLOW_REVOKE, "")),
        import_=_switch(given.get(names.ALLOW_IMPORT, "")),
    )


def _entries(text: str) -> frozenset[str]:
    parts = (part.strip() for part in text.split(","))
    return frozenset(part for part in parts if part)


def _switch(text: str) -> bool:
    return text.strip() == "true"


def unbinding_is_suspicious(lost: int, bound_total: int) -> bool:
    """Whether so many bindings went at once that a mistake is likelier than intent.

    `lost`: bindings gone within the grace. `bound_total`: bindings before that.
    """
    return lost >= _SUSPICIOUS_COUNT and lost * _SUSPICIOUS_SHARE > bound_total
