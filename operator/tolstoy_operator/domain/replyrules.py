"""How one provider's replies differ from the standard: where the tokens are, what an error code means.

The defaults are RFC 6749 with the tolerance that costs nothing; a catalogue entry changes only what its provider does
differently. Paths are member names joined by dots; a number is a position in a list (`errors.0.code`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tolstoy_operator.domain.tokenoutcome import Rejection


class LifetimeUnit(StrEnum):
    """What a number in `expires_in` counts."""

    SECONDS = "s"
    MILLISECONDS = "ms"


@dataclass(frozen=True, slots=True)
class TextRule:
    """A meaning that hangs on a description: `text` (lower case) occurs in it, and the code is `code`."""

    code: str
    text: str
    rejection: Rejection


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyRules:
    """One provider's reply format. Of several paths the first that holds a value counts.

    `containers`: paths of the object that holds the tokens ("" = the whole reply); access and refresh token are always
    taken from the same one. `success`: members that say whether a reply is a success; one that is present with another
    value makes it a refusal. `errors`: the provider's own meaning of an error code, at any status.
    """

    containers: tuple[str, ...] = ("",)
    access_token: tuple[str, ...] = ("access_token", "accessToken")
    refresh_token: tuple[str, ...] = ("refresh_token", "refreshToken")
    token_type: tuple[str, ...] = ("token_type", "tokenType")
    scope: tuple[str, ...] = ("scope",)
    expires_in: tuple[str, ...] = ("expires_in", "expiresIn")
    expires_in_unit: LifetimeUnit = LifetimeUnit.SECONDS
    expires_at: tuple[str, ...] = ("expires_at", "expiresAt")
    refresh_expires_in: tuple[str, ...] = (
        "refresh_token_expires_in",
        "x_refresh_token_expires_in",
        "refresh_expires_in",
    )
    refresh_expires_at: tuple[str, ...] = ("refresh_token_expires_at", "refreshTokenExpiresAt")
    bearer_types: frozenset[str] = frozenset({"bearer"})
    success: Mapping[str, str | int | bool] = field(default_factory=dict)
    errors: Mapping[str, Rejection] = field(default_factory=dict)
    texts: tuple[TextRule, ...] = ()


STANDARD = ReplyRules()
"""The rules of a provider that is in no catalogue."""
