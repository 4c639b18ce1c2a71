"""What the rows of Secrets Manager's answers mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.stores.base import CURRENT, PREVIOUS, SecretDescription, SecretListing, SecretVersion, VersionInfo


def version(row: Mapping[str, Any]) -> SecretVersion:
    """Of an answer to GetSecretValue, or one of a batch. A binary secret has no value."""
    text = row.get("SecretString")
    return SecretVersion(
        name=row["Name"],
        arn=row["ARN"],
        version_id=row["VersionId"],
        labels=_labels(tuple(row.get("VersionStages", ()))),
        value=None if text is None else SecretValue(text),
        created_at=float(row["CreatedDate"]),
    )


@lru_cache(maxsize=64)
def _labels(stages: tuple[str, ...]) -> frozenset[str]:
    """Kept once: nearly all values in memory carry the same label."""
    return frozenset(stages)


def version_info(row: Mapping[str, Any]) -> VersionInfo:
    """Of an answer to ListSecretVersionIds."""
    return VersionInfo(
        version_id=row["VersionId"],
        labels=frozenset(row.get("VersionStages", ())),
        created_at=float(row["CreatedDate"]),
    )


def description(row: Mapping[str, Any]) -> SecretDescription:
    """Of an answer to DescribeSecret."""
    stages: Mapping[str, Sequence[str]] = row.get("VersionIdsToStages", {})
    return SecretDescription(
        name=row["Name"],
        arn=row["ARN"],
        labels={label: version_id for version_id, labels in stages.items() for label in labels},
        pending_deletion=row.get("DeletedDate") is not None,
    )


def listing(row: Mapping[str, Any]) -> SecretListing:
    """Of an answer to ListSecrets."""
    stages: Mapping[str, Sequence[str]] = row.get("SecretVersionsToStages", {})
    return SecretListing(
        name=row["Name"],
        arn=row["ARN"],
        current_version_id=_version_at(stages, CURRENT),
        previous_version_id=_version_at(stages, PREVIOUS),
        changed_at=float(row.get("LastChangedDate") or row["CreatedDate"]),
        pending_deletion=row.get("DeletedDate") is not None,
    )


def _version_at(stages: Mapping[str, Sequence[str]], label: str) -> str | None:
    return next((version_id for version_id, labels in stages.items() if label in labels), None)
