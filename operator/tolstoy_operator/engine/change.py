"""That the data of a credential's Secret has changed, for those who make something of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tolstoy_operator.api.v1 import CredentialType
from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.restart import is_anew
from tolstoy_operator.engine.mirror import Written
from tolstoy_operator.engine.records import Credential
from tolstoy_operator.stores.base import SecretVersion


@dataclass(frozen=True, slots=True)
class Change:
    """What the data has become. `found`: what the upstream document is. `anew`: more than new tokens of one grant."""

    found: CredentialType | None
    anew: bool


OnData = Callable[[Credential, Change], None]
"""Told of each change. It returns at once."""


def change_of(
    credential: Credential, version: SecretVersion, written: Written, found: CredentialType | None
) -> Change | None:
    """The change, if there is one. Raises `MalformedDocument`.

    A status of an earlier version than the Secret is one, too: the process that made it may have ended between the two.
    Unless it was this process, which has told of the version and could not write the status.
    """
    status = credential.status
    before = status.upstream.version_id if status.upstream is not None and status.target is not None else None
    if before is not None and credential.told == version.version_id:
        before = credential.told
    lags = before not in (None, version.version_id)
    if written is not Written.DATA and not (written is Written.NOTHING and lags):
        return None
    document = OAuthDocument.parse(version.value) if found is CredentialType.OAUTH2 else None
    return Change(found, is_anew(before, version.version_id, arn=version.arn, document=document))
