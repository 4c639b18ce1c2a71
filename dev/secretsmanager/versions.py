"""How versions and staging labels of one secret behave, as Secrets Manager documents it.

Versions never change. A label sits on at most one version; AWSCURRENT drags AWSPREVIOUS behind it; every other label
stays where it is until somebody moves it. A move either happens as a whole or not at all. The two stand-ins share
this module: what differs between them is how requests arrive and how much of the rest of the service there is.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TypedDict

from dev.secretsmanager.errors import AwsError, invalid_parameter, invalid_request, not_found, validation

CURRENT = "AWSCURRENT"
PREVIOUS = "AWSPREVIOUS"
MAX_VALUE_BYTES = 65_536
MAX_LABELS = 20
MAX_VERSIONS = 100
_DAY = 86_400.0


class Version(TypedDict, total=False):
    """One version; the keys are those of moto's own records. `secret_binary` is base64 text, `createdate` seconds."""

    version_id: str
    createdate: float
    version_stages: list[str]
    secret_string: str
    secret_binary: str


Versions = dict[str, Version]


def has_value(version: Version) -> bool:
    """A version that a rotation has only announced has no value yet."""
    return "secret_string" in version or "secret_binary" in version


def labels(versions: Versions) -> dict[str, str]:
    """Label to version id."""
    return {label: version_id for version_id, version in versions.items() for label in version["version_stages"]}


def stages(versions: Versions) -> dict[str, list[str]]:
    """Version id to its labels, without the versions that have none: those are deprecated, and hidden."""
    return {vid: sorted(version["version_stages"]) for vid, version in versions.items() if version["version_stages"]}


def select(versions: Versions, version_id: str | None, label: str | None) -> Version:
    """The version that GetSecretValue reads. Neither given: AWSCURRENT. Both given: they must name the same one."""
    if version_id is None:
        label = label or CURRENT
        version_id = labels(versions).get(label)
        missing = f"staging label: {label}"
    else:
        missing = f"VersionId: {version_id}"
    version = versions.get(version_id or "")
    if version is None or not has_value(version):
        raise not_found(f"Secrets Manager can't find the specified secret value for {missing}")
    if label is not None and label not in version["version_stages"]:
        raise invalid_request("You provided a VersionStage that is not associated to the provided VersionId.")
    return version


def attach(versions: Versions, label: str, to: str | None) -> None:
    """Put `label` on version `to` (None: on none), wherever it was before."""
    before = labels(versions).get(label)
    if before == to:
        return
    _take_off(versions, label)
    if to is not None:
        versions[to]["version_stages"].append(label)
    if label == CURRENT and before is not None:
        _take_off(versions, PREVIOUS)
        versions[before]["version_stages"].append(PREVIOUS)


def _take_off(versions: Versions, label: str) -> None:
    for version in versions.values():
        if label in version["version_stages"]:
            version["version_stages"].remove(label)


def move(versions: Versions, label: str, *, remove_from: str | None, move_to: str | None) -> None:
    """UpdateSecretVersionStage: a compare-and-swap that is checked in full before anything changes."""
    if move_to is not None and move_to not in versions:
        raise not_found(f"Secrets Manager can't find the specified secret version: {move_to}.")
    if not remove_from and not move_to:
        raise invalid_parameter("You must specify RemoveFromVersionId, MoveToVersionId, or both.")
    current = labels(versions).get(label)
    if current is not None and current != move_to:
        _compare(label, current, remove_from)
    if current is None and remove_from:
        raise invalid_parameter(f"Staging label {label} isn't attached to version {remove_from}.")
    if label == CURRENT and move_to is None:
        raise invalid_parameter(f"You can only move staging label {CURRENT} to a different secret version.")
    _check_label_count(versions, [label])
    attach(versions, label, move_to)


def _compare(label: str, current: str, expected: str | None) -> None:
    if not expected:
        raise invalid_parameter(
            f"The parameter RemoveFromVersionId can't be empty. Staging label {label} is currently attached to version "
            f"{current}, so you must explicitly reference that version in RemoveFromVersionId."
        )
    if expected != current:
        raise invalid_parameter(
            f"When you move staging label {label}, if you specify RemoveFromVersionId, it must be set to the version "
            f"that currently has the staging label {label}."
        )


def put(
    versions: Versions,
    *,
    arn: str,
    token: str | None,
    string: str | None,
    binary: str | None,
    put_labels: Sequence[str],
    now: float,
) -> str:
    """PutSecretValue: add a version whose id is the token. Returns the id.

    The same token with the same value is a success that moves no label; with another value it is refused.
    """
    check_value(string, binary)
    version_id = check_token(token) or str(uuid.uuid4())
    existing = versions.get(version_id)
    if existing is not None and has_value(existing):
        if existing.get("secret_string") == string and existing.get("secret_binary") == binary:
            return version_id
        raise token_in_use(version_id, arn)
    wanted = list(dict.fromkeys([*put_labels, *(existing["version_stages"] if existing else [])]))
    if not labels(versions) and CURRENT not in wanted:
        wanted.append(CURRENT)  # the first version of a secret is always the current one
    _check_label_count(versions, wanted)
    _make_room(versions, now)
    versions[version_id] = new_version(version_id, string, binary, now)
    for label in wanted:
        attach(versions, label, version_id)
    return version_id


def new_version(version_id: str, string: str | None, binary: str | None, now: float) -> Version:
    """A version that has no labels yet."""
    version = Version(version_id=version_id, createdate=round(now, 3), version_stages=[])
    if string is not None:
        version["secret_string"] = string
    if binary is not None:
        version["secret_binary"] = binary
    return version


def _make_room(versions: Versions, now: float) -> None:
    """Deprecated versions go once there are more than about a hundred, but none that is younger than a day."""
    if sum(1 for version in versions.values() if now - version["createdate"] < _DAY) >= MAX_VERSIONS:
        raise AwsError("LimitExceededException", "You've exceeded the quota of versions for this secret.")
    old = (
        vid for vid, version in versions.items() if not version["version_stages"] and now - version["createdate"] > _DAY
    )
    for version_id in sorted(old, key=lambda vid: versions[vid]["createdate"]):
        if len(versions) < MAX_VERSIONS:
            break
        del versions[version_id]


def _check_label_count(versions: Versions, added: Sequence[str]) -> None:
    if len(labels(versions).keys() | set(added)) > MAX_LABELS:
        raise AwsError("LimitExceededException", "You've exceeded the quota of staging labels for this secret.")


def check_token(token: str | None) -> str | None:
    """A ClientRequestToken becomes the version id; only its length is restricted."""
    if token is not None and not 32 <= len(token) <= 64:
        raise invalid_parameter("ClientRequestToken must be 32-64 characters long.")
    return token


def token_in_use(token: str, arn: str) -> AwsError:
    """Versions are immutable, so a token cannot be used for two values."""
    return AwsError(
        "ResourceExistsException",
        f"You can't use ClientRequestToken {token} because that value is already in use for a version of secret {arn}.",
    )


def check_value(string: str | None, binary: str | None) -> None:
    """A value has 1 to 65,536 bytes, as text or as binary."""
    if string is None and binary is None:
        raise invalid_request("You must provide either SecretString or SecretBinary.")
    if string is not None and binary is not None:
        raise invalid_parameter("You can't specify both a binary secret value and a string secret value.")
    size = len(string.encode("utf-8", "surrogatepass")) if string is not None else len(binary or "") * 3 // 4
    if not 1 <= size <= MAX_VALUE_BYTES:
        raise validation("secretString", f"have length between 1 and {MAX_VALUE_BYTES}")
