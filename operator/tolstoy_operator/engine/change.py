"""That the data of a credential's Secret has changed, for those who make something of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tolstoy_operator.api.v1 import CredentialType, ToolCredentialStatus
from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.restart import is_anew
from tolstoy_operator.engine.inventory import Credential
from tolstoy_operator.engine.mirror import Written
from tolstoy_operator.stores.base import SecretVersion


@dataclass(frozen=True, slots=True)
class Change:
    """What the data has become. `found`: what the upstream document is. `anew`: more than new tokens of one grant."""

    found: CredentialType | None
    anew: bool


OnData = Callable[[Credential, Change], None]
"""Told of each change. It returns at once."""


def change_of(
    status: ToolCredentialStatus, version: SecretVersion, written: Written, found: CredentialType | None
) -> Change | None:
    """The change, if there is one. `status`: the one before. Raises `MalformedDocument`.

    A status of an earlier version than the Secret is one, too: the process that made it may have ended between the two.
    """
    before = status.upstream.version_id if status.upstream is not None and status.target is not None else None
    lags = before not in (None, version.version_id)
    if written is not Written.DATA and not (written is Written.NOTHING and lags):
        return None
    document = OAuthDocument.parse(version.value) if found is CredentialType.OAUTH2 else None
    return Change(found, is_anew(before, version.version_id, arn=version.arn, document=document))
