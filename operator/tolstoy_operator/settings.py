"""Settings from environment variables, checked before anything starts.

The names of the application that this operator replaces stay (`AWS_REGION`, `SECRETS_CACHE_DURATION_MS`, …); the rest
follow the same plain style. A bad value ends the process with exit code 2 and one line per problem.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Seconds = Annotated[float, Field(gt=0, le=86_400 * 30)]


def _split(text: object) -> object:
    return tuple(filter(None, map(str.strip, text.split(",")))) if isinstance(text, str) else text


CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Regions = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")], ...], NoDecode, BeforeValidator(_split)
]
Namespaces = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")], ...],
    NoDecode,
    BeforeValidator(_split),
]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


_PATTERNS_IN_WORDS = {
    "AWS_REGION": "must be the name of a region, such as eu-west-1",
    "ALLOWED_REGIONS": "must be names of regions, such as eu-west-1, separated by commas",
    "WATCH_NAMESPACES": "must be names of namespaces, separated by commas",
    "AWS_SECRET_NAME": "must be the name of a secret, letters, digits and / _ + = . @ - only; an ARN is none",
    "CLUSTER_ID": "must be 63 letters, digits and . _ - at most",
}


class SettingsError(Exception):
    """The environment holds a value that cannot be used. The text has one line per problem, without the values."""


class Settings(BaseSettings):
    """Everything an installation can choose. Field names in capitals are the environment variables."""

    model_config = SettingsConfigDict(env_prefix="", case_sensitive=False, extra="ignore", frozen=True)

    use_aws_secrets: bool = Field(True, description="Secrets Manager when true, the embedded SQLite store when false")
    aws_region: str = Field("", pattern=r"^([a-z]{2}(-[a-z]+)+-\d)?$", description="Region of the secrets")
    allowed_regions: Regions = Field((), description="Regions that AWS_REGION may be; empty: any")
    aws_secret_name: str = Field(
        "conductor-db-secret",
        min_length=1,
        max_length=512,
        pattern=r"^[A-Za-z0-9/_+=.@-]*$",
        description="Name of the platform's database secret; the policy of `iam-policy` lets it be read",
    )
    sqlite_path: str = Field("/var/lib/tolstoy/secrets.db", min_length=1, description="File of the embedded store")

    secrets_cache_duration_ms: int = Field(
        300_000, ge=0, le=86_400_000, description="How long a value is served unread"
    )
    secrets_stale_max_age_s: Seconds = Field(86_400, description="Oldest value served while upstream is unreachable")
    secrets_sweep_interval_s: Seconds = Field(60, description="Pause between sweeps for changed versions")
    secrets_full_sweep_interval_s: Seconds = Field(21_600, description="Pause between sweeps of all versions")
    secrets_writes_per_second: int = Field(
        25, ge=1, le=50, description="Writes to Secrets Manager at most; it takes 50 from all of an account in a region"
    )

    watch_namespaces: Namespaces = Field((), description="Only these namespaces; none: the whole cluster")
    resync_interval_s: Seconds = Field(600, description="Pause between LIST sweeps that repair missed watch events")
    unbind_grace_s: Seconds = Field(600, description="How long the Secret of an unbound namespace stays")
    stall_after_s: Seconds = Field(600, description="How long a missing secret or binding counts as in progress")
    workers: int = Field(32, ge=1, le=256, description="Credentials reconciled at the same time")

    cluster_id: str = Field(
        "", pattern=r"^[A-Za-z0-9._-]{0,63}$", description="Name of this cluster among those that share the secrets"
    )
    exclusive_refresh: bool = Field(False, description="Only this cluster refreshes; the others mirror")
    sole_writer: bool = Field(False, description="Nobody but this cluster writes the secrets: one write a refresh")
    refresh_time_scale: float = Field(
        1.0, gt=0, le=1, description="All times of the refresh protocol times this; less than 1 only on a bench"
    )
    allow_shared_revocation: bool = Field(
        False, description="Credentials may end grants that other clusters may use; not needed in exclusive mode"
    )
    revocation_timeout_s: Seconds = Field(1800, description="How long a deletion waits for the revocation it asked for")
    validate_tokens: bool = Field(
        True, description="Providers that offer it for nothing are asked now and then whether an access token works"
    )
    refresh_workers: int = Field(16, ge=1, le=256, description="Tokens refreshed at the same time")
    token_endpoint_hosts: CommaList = Field((), description="Hosts for tools that are in no catalogue entry")
    token_endpoint_networks: CommaList = Field((), description="Networks of providers whose addresses are not public")
    token_endpoint_origins: CommaList = Field((), description="Exact origins without any check: development only")
    providers_dir: str = Field("", description="Directory of catalogue entries of the organisation's own")

    immediate_propagation: bool = Field(
        True, description="Pods that mount a changed Secret are touched, so that their kubelet looks at once"
    )
    restart_workloads: bool = Field(True, description="Workloads that a credential names are restarted")
    pod_touches_per_second: int = Field(50, ge=1, le=1000, description="The rate of these touches")

    leader_election: bool = Field(True, description="Several replicas: one acts, the others stand by")
    pod_name: str = Field("tolstoy-operator", min_length=1, max_length=253, description="Identity in the Lease")
    pod_namespace: str = Field("tolstoy-system", min_length=1, max_length=63, description="Namespace of the Lease")

    http_host: str = Field("0.0.0.0", min_length=1, description="Address of the health and metrics server")  # noqa: S104 - probes and scrapes reach a pod by its own address
    http_port: int = Field(8080, ge=0, le=65_535, description="Port of the health and metrics server, 0 = any free one")
    metrics_per_credential: bool = Field(False, description="One series per credential; off keeps cardinality bounded")
    log_level: LogLevel = Field("INFO", description="Level of our own loggers; libraries never go below INFO")

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _region_when_aws(self) -> Self:
        if self.use_aws_secrets and not self.aws_region:
            raise ValueError("AWS_REGION must be set while USE_AWS_SECRETS is true")
        if self.use_aws_secrets and self.allowed_regions and self.aws_region not in self.allowed_regions:
            raise ValueError(
                "AWS_REGION is not one of ALLOWED_REGIONS: nothing is read from or written to another region"
            )
        return self

    @model_validator(mode="after")
    def _cluster_when_namespaced(self) -> Self:
        if self.watch_namespaces and not self.cluster_id:
            raise ValueError("CLUSTER_ID must be set with WATCH_NAMESPACES: other namespaces may have another operator")
        return self

    @model_validator(mode="after")
    def _cluster_when_exclusive(self) -> Self:
        if self.exclusive_refresh and not self.cluster_id:
            raise ValueError("CLUSTER_ID must be set while EXCLUSIVE_REFRESH is true")
        if self.sole_writer and not self.exclusive_refresh:
            raise ValueError("SOLE_WRITER needs EXCLUSIVE_REFRESH")
        return self


def load_settings() -> Settings:
    """Read the environment. Raises `SettingsError` that names each bad variable and why, never its value."""
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError(
            "\n".join(_describe(item["loc"], item["type"], item["msg"]) for item in error.errors())
        ) from None


def _describe(location: tuple[int | str, ...], kind: str, message: str) -> str:
    variable = str(location[0]).upper() if location else "settings"
    if kind == "string_pattern_mismatch":
        message = _PATTERNS_IN_WORDS[variable]
    return f"{variable}: {message.removeprefix('Value error, ')}"
