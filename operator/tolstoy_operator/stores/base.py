"""The contract of a secret store: versions that never change, and labels that move.

A secret has immutable versions, each with an id chosen by the writer; labels point at versions and at most one
version has a given label. `CURRENT` is the version that readers get. Three primitives carry the refresh protocol:
create a version if its id is free (`put`), compare-and-swap of a label (`move_label`), and private labels beside
CURRENT. Both stores pass one conformance suite.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tolstoy_operator.domain.errors import InvalidRequest, StoreError
from tolstoy_operator.domain.secretvalue import SecretValue

CURRENT = "AWSCURRENT"
PREVIOUS = "AWSPREVIOUS"
MAX_VALUE_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class SecretVersion:
    """One version with its value. `value` is None when the secret is binary. `created_at`: epoch seconds."""

    name: str
    arn: str
    version_id: str
    labels: frozenset[str]
    value: SecretValue | None
    created_at: float


@dataclass(frozen=True, slots=True)
class SecretDescription:
    """Metadata of a secret: `labels` maps each label to its version id; `pending_deletion` means values are locked."""

    name: str
    arn: str
    labels: Mapping[str, str]
    pending_deletion: bool


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """A version without its value. `created_at`: epoch seconds."""

    version_id: str
    labels: frozenset[str]
    created_at: float


@dataclass(frozen=True, slots=True)
class SecretListing:
    """One row of a listing. `changed_at`: epoch seconds.

    `current_version_id`, `previous_version_id`: None when no version has that label.
    """

    name: str
    arn: str
    current_version_id: str | None
    previous_version_id: str | None
    changed_at: float
    pending_deletion: bool


class SecretStore(Protocol):
    """All methods raise a `StoreError` subclass on failure and nothing else."""

    @property
    def region(self) -> str:
        """Where the secrets live: an AWS region, or `local`."""
        ...

    async def get(self, name: str, *, version_id: str | None = None, label: str | None = CURRENT) -> SecretVersion:
        """Read one version.

        With both `version_id` and `label`: that version only while it carries the label (a conditional read), else
        `SecretNotFound`. With `label=None` and a `version_id`: the version whatever its labels.
        """
        ...

    async def get_many(self, names: Sequence[str]) -> Mapping[str, SecretVersion | StoreError]:
        """The current versions of any number of names. Every name is answered: with its version or its own error."""
        ...

    async def describe(self, name: str) -> SecretDescription:
        """Labels and state, no value. Works on a secret that is pending deletion."""
        ...

    async def list_versions(self, name: str) -> Sequence[VersionInfo]:
        """All versions that still exist, unlabelled ones too."""
        ...

    def list_changed(self, *, prefix: str, since: float | None) -> AsyncIterator[SecretListing]:
        """Secrets whose name starts with `prefix`, latest change first, until one changed before `since`.

        `since` None lists all. May lag behind writes by up to five minutes on AWS, so overlap the watermark. Secrets
        that are pending deletion are included.
        """
        ...

    async def create(self, name: str, value: SecretValue, *, version_id: str) -> str:
        """Create the secret with its first version as CURRENT. Returns the version id.

        Same name and version id with the same value again is a success (idempotent). Raises `AlreadyExists`,
        `SecretPendingDeletion`, `InvalidRequest`.
        """
        ...

    async def put(self, name: str, value: SecretValue, *, version_id: str, labels: Sequence[str] = (CURRENT,)) -> None:
        """Add a version under an id, create-if-absent, and attach `labels` (taken from wherever they are, uncompared).

        At least one label, and an id of 32 to 64 characters. The same id with the same value is a success and moves
        no label; with another value: `AlreadyExists`.
        """
        ...

    async def move_label(self, name: str, label: str, *, from_version: str | None, to_version: str | None) -> None:
        """Compare-and-swap: the label moves only if it is on `from_version` now (None: on no version).

        `to_version` None takes the label off; CURRENT can only move. A label that is on `to_version` already is a
        success, since a repeated call cannot be told from a first one. PREVIOUS follows CURRENT by itself. Raises
        `LabelMoved` when the comparison fails, `SecretNotFound` when there is no version `to_version`.
        """
        ...

    async def take_label(self, name: str, label: str, *, from_version: str) -> bool | None:
        """Take a label off its version, as something that only one caller can have.

        True for the one call that did it. False when the label is not there (any more), and when the answer to a call
        of ours was lost, so that nobody knows who did it. None when the store cannot tell callers apart.
        """
        ...

    async def validate_access(self) -> None:
        """Prove with one cheap call that the store answers and lets us in."""
        ...

    async def close(self) -> None:
        """Release connections and threads."""
        ...


def check_value(name: str, value: SecretValue) -> None:
    """Raise `InvalidRequest` unless `value` can be stored: 1 to 65,536 bytes of UTF-8."""
    try:
        size = len(value.reveal().encode())
    except UnicodeEncodeError:
        size = None
    if size is None:
        raise InvalidRequest(name, "the value is not valid Unicode text")
    if not 1 <= size <= MAX_VALUE_BYTES:
        raise InvalidRequest(name, f"the value has {size} bytes, the limits are 1 and {MAX_VALUE_BYTES}")
