"""Answers and request checks that both stand-ins share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dev.secretsmanager.errors import invalid_parameter, validation
from dev.secretsmanager.listing import MAX_BATCH
from dev.secretsmanager.versions import Version, Versions


def value_answer(arn: str, name: str, version: Version) -> dict[str, Any]:
    """The answer of GetSecretValue, and one entry of a batch."""
    answer: dict[str, Any] = {
        "ARN": arn,
        "Name": name,
        "VersionId": version["version_id"],
        "VersionStages": sorted(version["version_stages"]),
        "CreatedDate": version["createdate"],
    }
    if "secret_string" in version:
        answer["SecretString"] = version["secret_string"]
    if "secret_binary" in version:
        answer["SecretBinary"] = version["secret_binary"]
    return answer


def version_ids_answer(arn: str, name: str, stored: Versions, include_deprecated: bool) -> dict[str, Any]:
    """The answer of ListSecretVersionIds, in one page."""
    rows = [
        {"VersionId": vid, "VersionStages": sorted(version["version_stages"]), "CreatedDate": version["createdate"]}
        for vid, version in stored.items()
        if include_deprecated or version["version_stages"]
    ]
    return {"ARN": arn, "Name": name, "Versions": rows}


def check_batch(ids: Sequence[str] | None, filters: Sequence[Any] | None, max_results: int | None) -> None:
    """BatchGetSecretValue takes ids or filters, and a page size only with filters."""
    if bool(ids) == bool(filters):
        raise invalid_parameter("Either 'SecretIdList' or 'Filters' must be provided, but not both.")
    if ids and max_results:
        raise invalid_parameter(
            "'Filters' not specified. 'Filters' must also be specified when 'MaxResults' is provided."
        )
    if len(ids or []) > MAX_BATCH:
        raise validation("secretIdList", f"have length less than or equal to {MAX_BATCH}")
