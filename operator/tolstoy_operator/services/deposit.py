"""A document that a person brings: checked as the operator will check it when it reads it, then the current version.

This is how an installation without AWS gets what no consent application brings, such as API keys. It takes the way of
every other write, through `SecretsService`, so that it is audited like one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tolstoy_operator.api.v1 import CredentialType
from tolstoy_operator.domain.documents import check_type, parse_document
from tolstoy_operator.domain.naming import check_upstream_name
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.services.secrets import SecretsService


class Done(StrEnum):
    """What was done to the secret. `UNCHANGED`: it holds this very text already, so nothing was written."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Deposit:
    """How it ended: what the document is, and the id of the version that holds it."""

    done: Done
    type: CredentialType
    version_id: str


async def deposit(
    secrets: SecretsService, name: str, value: SecretValue, wanted: CredentialType = CredentialType.AUTO
) -> Deposit:
    """Make `value` the current version of the secret, which is created where there is none.

    `wanted`: the shape that the document must have, `Auto` = the one that its members tell. Raises `InvalidName` and
    `MalformedSecret` before the store is asked anything, and `StoreError`.
    """
    check_upstream_name(name)
    found = check_type(parse_document(value), wanted)
    if not await secrets.exists(name):
        return Deposit(Done.CREATED, found, await secrets.create(name, value))
    current = (await secrets.get(name)).version
    if current.value == value:
        return Deposit(Done.UNCHANGED, found, current.version_id)
    return Deposit(Done.UPDATED, found, await secrets.update(name, value))
