"""Names that other people's manifests, policies and alerts depend on. Changing one is a breaking change."""

from __future__ import annotations

from typing import Final

GROUP: Final = "tolstoy.dev"
VERSION: Final = "v1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "ToolCredential"
PLURAL: Final = "toolcredentials"
FINALIZER: Final = "tolstoy.dev/revoke"

# On a Namespace: what it is bound to. Only holders of `bind` on `organizations.tolstoy.dev` may set these.
ALLOWED_ORGS: Final = "tolstoy.dev/allowed-orgs"
ALLOWED_SECRETS: Final = "tolstoy.dev/allowed-secrets"
ALLOW_SENSITIVE_KEYS: Final = "tolstoy.dev/allow-sensitive-keys"
ALLOW_REVOKE: Final = "tolstoy.dev/allow-revoke"
ALLOW_IMPORT: Final = "tolstoy.dev/allow-import"

# On a ToolCredential.
FORCE_SYNC: Final = "tolstoy.dev/force-sync"

# On a Secret that we write.
MANAGED_LABEL: Final = "tolstoy.dev/managed"
MANAGED_VALUE: Final = "true"
MERGED_VALUE: Final = "merged"
# On a Secret with first tokens that a consent application wrote for `spec.initialTokensFrom`.
IMPORT_VALUE: Final = "import"
# On one that `kubectl tolstoy import` wrote: which run it was.
IMPORT_RUN: Final = "tolstoy.dev/import-run"
CREDENTIAL_ANNOTATION: Final = "tolstoy.dev/credential"
CREDENTIAL_UID_ANNOTATION: Final = "tolstoy.dev/credential-uid"
UPSTREAM_VERSION_ANNOTATION: Final = "tolstoy.dev/upstream-version"
# On a Secret of somebody else that invites a credential to merge into it.
ALLOW_MERGE: Final = "tolstoy.dev/allow-merge"

# On a pod that mounts a Secret of ours: the resourceVersion that the Secret has got.
SECRET_CHANGED: Final = "tolstoy.dev/secret-changed"  # noqa: S105 - a name

# On the pod template of a workload that we restarted: when.
RESTARTED_AT: Final = "tolstoy.dev/restarted-at"

# Field managers of our writes: one for Secrets that are ours, one per credential for Secrets that we merge into.
FIELD_MANAGER: Final = "tolstoy-operator"
MERGE_MANAGER_PREFIX: Final = "tolstoy.dev/"

UPSTREAM_PREFIX: Final = "tolstoy"
