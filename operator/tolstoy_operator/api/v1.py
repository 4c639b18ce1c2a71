"""Models of `tolstoy.dev/v1` ToolCredential, as the CRD defines it.

The CRD in `crds/` is the contract and the API server enforces it; these models read what the API server has accepted.
A test proves that the two agree.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

ToolName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
OrgId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_+=.@-]{1,128}$")]
UpstreamName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_+=.@-]+(/[A-Za-z0-9_+=.@-]+)*$", max_length=512)]


LeadTime = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,3}[smh]$")]
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


class CredentialType(StrEnum):
    """What the upstream document is. `Auto` finds out by its members."""

    AUTO = "Auto"
    OAUTH2 = "OAuth2"
    API_KEY = "ApiKey"
    WEBHOOK = "Webhook"
    CLIENT_CREDENTIALS = "ClientCredentials"
    DATABASE = "Database"
    OPAQUE = "Opaque"


class CreationPolicy(StrEnum):
    """`Owner`: the Secret is ours alone. `Merge`: our keys go into a Secret that invites them."""

    OWNER = "Owner"
    MERGE = "Merge"


class DeletionPolicy(StrEnum):
    """What happens to the Secret when the ToolCredential is deleted."""

    DELETE = "Delete"
    RETAIN = "Retain"


class Propagation(StrEnum):
    """How a change of the Secret gets into the files of running pods: at the kubelet's next look, or at once."""

    KUBELET = "Kubelet"
    IMMEDIATE = "Immediate"


class RevocationPolicy(StrEnum):
    """What happens to the OAuth grant when the last ToolCredential that uses it is deleted."""

    ORPHAN = "Orphan"
    REVOKE = "Revoke"


_FIELDS_GIVEN: dict[frozenset[str], set[str]] = {}

Repeated = Annotated[str, AfterValidator(sys.intern)]
"""A text that many objects have in common, and that is therefore kept once."""


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    def model_post_init(self, _: Any, /) -> None:
        """Thousands of these stay in memory, and half of that would be each one's own set of its fields' names."""
        given = frozenset(self.model_fields_set)
        object.__setattr__(self, "__pydantic_fields_set__", _FIELDS_GIVEN.setdefault(given, set(given)))


class Target(_Model):
    """The Secret to write.

    `keys` None: the safe keys of the credential's type. `propagation` None: what the tool needs.
    """

    name: str | None = None
    type: str = "Opaque"
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    keys: list[str] | None = None
    template: dict[str, str] | None = None
    creation_policy: CreationPolicy = CreationPolicy.OWNER
    deletion_policy: DeletionPolicy = DeletionPolicy.DELETE
    propagation: Propagation | None = None


class OAuth(_Model):
    """What is wanted of the grant behind an OAuth credential."""

    lead_time: LeadTime | None = None
    revocation_policy: RevocationPolicy = RevocationPolicy.ORPHAN

    @property
    def lead_s(self) -> float | None:
        """How long before its end an access token is refreshed, seconds; None = the usual."""
        return None if self.lead_time is None else int(self.lead_time[:-1]) * _UNITS[self.lead_time[-1]]


class SecretReference(_Model):
    """A Secret in the same namespace."""

    name: str


class InitialTokens(_Model):
    """Where a consent application has put first tokens."""

    secret_ref: SecretReference


class WorkloadKind(StrEnum):
    """What can be restarted."""

    DEPLOYMENT = "Deployment"
    STATEFUL_SET = "StatefulSet"
    DAEMON_SET = "DaemonSet"


class Workload(_Model):
    """A workload in the same namespace."""

    kind: WorkloadKind
    name: str


class ToolCredentialSpec(_Model):
    """What a tenant asks for: either `tool` and `org_id`, or `secret_name`."""

    tool: ToolName | None = None
    org_id: OrgId | None = None
    secret_name: UpstreamName | None = None
    type: CredentialType = CredentialType.AUTO
    target: Target = Field(default_factory=Target)
    initial_tokens_from: InitialTokens | None = None
    oauth: OAuth | None = None
    restart_targets: list[Workload] = Field(default_factory=list)
    suspend: bool = False


class ConditionStatus(StrEnum):
    """The three values of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class ConditionType(StrEnum):
    """`READY`: the Secret holds a currently valid value. `SYNCED`: the mirror equals upstream.

    `TOKEN_HEALTHY`: OAuth credentials only, the token is valid and is kept so. The rest is kstatus.
    """

    READY = "Ready"
    SYNCED = "Synced"
    TOKEN_HEALTHY = "TokenHealthy"  # noqa: S105 - a condition type
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


class Condition(_Model):
    """A metav1.Condition. `last_transition_time`: RFC 3339, moves when `status` changes."""

    type: ConditionType
    status: ConditionStatus
    reason: Repeated
    message: Repeated
    last_transition_time: Repeated
    observed_generation: int


class GrantState(StrEnum):
    """Where an OAuth grant stands.

    `EXPIRING`: the access token is within its last minutes, or past them, and not refreshed yet; or the consent itself
    ends within days.
    """

    ACTIVE = "Active"
    EXPIRING = "Expiring"
    REFRESH_FAILING = "RefreshFailing"
    REAUTHORIZATION_REQUIRED = "ReauthorizationRequired"
    REVOKED = "Revoked"
    UNKNOWN = "Unknown"
    NOT_APPLICABLE = "NotApplicable"


class Rotation(StrEnum):
    """Whether the last refresh brought another refresh token: seen, not configured. None before the first."""

    ROTATING = "Rotating"
    STATIC = "Static"


class GrantError(_Model):
    """The last refresh that failed. `code`: a reason; `message`: for people; `time`: RFC 3339, of the first such."""

    code: str
    message: str
    time: str


class GrantStatus(_Model):
    """The token's state. Times are RFC 3339, None when the document does not say.

    `last_refresh_time`: when the tokens were issued. `next_refresh_time`: when the operator refreshes them.
    """

    state: GrantState
    expires_at: str | None = None
    last_refresh_time: str | None = None
    next_refresh_time: str | None = None
    refresh_token_expires_at: str | None = None
    rotation: Rotation | None = None
    scopes: str | None = None
    last_error: GrantError | None = None


class UpstreamStatus(_Model):
    """Which version of which secret the mirror was last made from."""

    name: str
    arn: str | None = None
    version_id: str | None = None
    region: Repeated | None = None


class TargetStatus(_Model):
    """The Secret as last written: its name, its keys, and when its content last changed (RFC 3339)."""

    name: str
    keys: list[Repeated]
    last_sync_time: Repeated


class ToolCredentialStatus(_Model):
    """What the operator says. Written only when something changed."""

    observed_generation: int | None = None
    conditions: list[Condition] = Field(default_factory=list)
    credential_type: CredentialType | None = None
    grant: GrantStatus | None = None
    upstream: UpstreamStatus | None = None
    target: TargetStatus | None = None
    last_handled_force_sync: str | None = None
