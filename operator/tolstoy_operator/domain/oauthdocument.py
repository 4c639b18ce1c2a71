"""The OAuth document of a secret: what is read from it, and how new tokens go into it.

The document belongs to whoever wrote it. A refresh replaces the token members and one member of its own, `tolstoy`;
everything else is kept as found, in its order. `tolstoy` says where the tokens come from: that is how a replica knows
an edited copy of a document from a new consent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from tolstoy_operator.domain.nesting import MAX_DEPTH, is_too_deep
from tolstoy_operator.domain.replyfields import moment
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.domain.tokenoutcome import Tokens

MEMBER: Final = "tolstoy"
DOCUMENT_LIMIT: Final = 65_536
"""Bytes that one version of a secret can hold."""

_LATEST = 100_000_000_000
"""Seconds, the year 5138. A later time is none that was meant, and some are beyond what a calendar holds."""
_TOKEN_MEMBERS = (
    "accessToken",
    "refreshToken",
    "expiresAt",
    "refreshTokenExpiresAt",
    "scope",
    "tokenType",
    "lastUpdated",
)


_TEXTS = (
    "accessToken",
    "refreshToken",
    "tokenEndpoint",
    "clientId",
    "clientSecret",
    "privateKey",
    "private_key",
)
"""Members that are texts if they are there."""


class MalformedDocument(Exception):
    """The value is not a usable OAuth document. The text names the member, never its value."""


class Scheme(StrEnum):
    """How the next attempt on a document is reserved. Written into the document, never chosen locally."""

    CLAIM = "claim"
    LEASE = "lease"
    OWNER = "owner"


@dataclass(frozen=True, slots=True)
class Bookkeeping:
    """Where the tokens of a document come from.

    `base`: the version that this document replaced. `of` and `n`: which refresh token was spent for them, by which
    attempt; `under`: how that one was reserved. `scheme`: how attempts on the token in this document are reserved.
    `owner`: the version that makes a cluster the owner under which these tokens were issued, empty without one.
    `token`, `spent`: fingerprints of the refresh token in this document and of the spent one. `revoked`: there are no
    tokens, because the grant was revoked. `consented_at`: when the consent behind them was given, epoch seconds; None
    when nobody knows.
    """

    base: str
    of: str
    n: int
    under: Scheme
    scheme: Scheme
    token: str
    spent: str
    owner: str = ""
    revoked: bool = False
    consented_at: float | None = None

    @property
    def rotated(self) -> bool:
        """Whether the provider issued another refresh token, so that the spent one is gone."""
        return self.token != self.spent

    def to_member(self) -> dict[str, Any]:
        """As the value of the document's member."""
        return {
            "base": self.base,
            "of": self.of,
            "n": self.n,
            "under": self.under.value,
            "scheme": self.scheme.value,
            "token": self.token,
            "spent": self.spent,
            "owner": self.owner,
            **({"revoked": True} if self.revoked else {}),
            **({"consentedAt": self.consented_at} if self.consented_at is not None else {}),
        }

    @classmethod
    def from_member(cls, member: object) -> Bookkeeping | None:
        """None when it is not ours: a person may have put anything there."""
        if not isinstance(member, dict):
            return None
        texts = {key: member.get(key) for key in ("base", "of", "token", "spent", "owner")}
        n = member.get("n")
        if not all(isinstance(text, str) for text in texts.values()) or not isinstance(n, int):
            return None
        try:
            schemes = {key: Scheme(str(member.get(key))) for key in ("under", "scheme")}
            return cls(
                n=n,
                revoked=member.get("revoked") is True,
                consented_at=epoch_seconds(member.get("consentedAt")),
                **schemes,
                **texts,  # type: ignore[arg-type]  # all are texts, as was just checked
            )
        except ValueError:
            return None


@dataclass(frozen=True, slots=True, repr=False)
class OAuthDocument:
    """One parsed document. Immutable; its `repr` shows no member."""

    members: Mapping[str, Any]
    bookkeeping: Bookkeeping | None

    @classmethod
    def parse(cls, value: SecretValue | None) -> OAuthDocument:
        """Raises `MalformedDocument`."""
        if value is None:
            raise MalformedDocument("the value is binary, not a JSON object")
        text = value.reveal()
        if is_too_deep(text):
            raise MalformedDocument(f"the value nests deeper than {MAX_DEPTH} levels")
        try:
            members = json.loads(text)
        except ValueError:
            raise MalformedDocument("the value is not JSON") from None
        if not isinstance(members, dict):
            raise MalformedDocument("the value is not a JSON object")
        return cls.of(members)

    @classmethod
    def of(cls, members: Mapping[str, Any]) -> OAuthDocument:
        """Check the members that a refresh needs. Raises `MalformedDocument`."""
        for key in _TEXTS:
            if not isinstance(members.get(key), str | None):
                raise MalformedDocument(f"{key} is not a text")
        books = Bookkeeping.from_member(members.get(MEMBER))
        outlived = books is not None and books.revoked and not is_tombstone(members)
        return cls(members, None if outlived else books)

    @property
    def access_token(self) -> SecretValue | None:
        """None when absent or empty."""
        return self._secret("accessToken")

    @property
    def refresh_token(self) -> SecretValue | None:
        """None when absent or empty."""
        return self._secret("refreshToken")

    @property
    def client_secret(self) -> SecretValue | None:
        """None when absent or empty: a public client."""
        return self._secret("clientSecret")

    @property
    def private_key(self) -> SecretValue | None:
        """The application's own key, PEM or JWK; None when absent or empty. Google's key files spell it otherwise."""
        return self._secret("privateKey") or self._secret("private_key")

    @property
    def proof(self) -> SecretValue | None:
        """What the client proves itself with: its secret or its key; None for a public client."""
        return self.client_secret or self.private_key

    @property
    def token_type(self) -> str | None:
        """As the provider or the consent application wrote it; None when absent."""
        return self.word("tokenType")

    def word(self, *names: str) -> str | None:
        """The first of these members that is a text or a whole number and not empty."""
        for name in names:
            member = self.members.get(name)
            if isinstance(member, str | int) and not isinstance(member, bool) and member != "":
                return str(member)
        return None

    def holds(self, *names: str) -> bool:
        """Whether one of these members is such a `word`."""
        return self.word(*names) is not None

    @property
    def client_id(self) -> str | None:
        """None when absent or empty."""
        return self.members.get("clientId") or None

    @property
    def token_endpoint(self) -> str | None:
        """The URL as stored, not yet checked against any policy; None when absent or empty."""
        return self.members.get("tokenEndpoint") or None

    @property
    def expires_at(self) -> float | None:
        """When the access token expires, epoch seconds; None when unknown. Seconds and milliseconds are told apart."""
        return epoch_seconds(self.members.get("expiresAt"))

    @property
    def refresh_expires_at(self) -> float | None:
        """When the refresh token itself ends, epoch seconds; None when unknown."""
        return epoch_seconds(self.members.get("refreshTokenExpiresAt"))

    @property
    def scope(self) -> str | None:
        """As the provider or the consent application wrote it; None when absent."""
        scope = self.members.get("scope")
        return scope if isinstance(scope, str) and scope else None

    @property
    def last_updated(self) -> float | None:
        """When the tokens were issued according to `lastUpdated`, epoch seconds."""
        return epoch_seconds(self.members.get("lastUpdated"))

    @property
    def revoked(self) -> bool:
        """Whether this is the tombstone that a revocation left."""
        return is_tombstone(self.members)

    def encode(self) -> SecretValue:
        """The text to store. The same document always gives the same text."""
        text = json.dumps(self.members, ensure_ascii=False, separators=(",", ":"))
        try:
            text.encode()
        except UnicodeEncodeError:  # half of a surrogate pair, which only an escape can carry
            text = json.dumps(self.members, separators=(",", ":"))
        return SecretValue(text)

    def _secret(self, key: str) -> SecretValue | None:
        text = self.members.get(key)
        return SecretValue(text) if text else None

    def __repr__(self) -> str:
        return "OAuthDocument(...)"


def is_tombstone(members: Mapping[str, Any]) -> bool:
    """Whether these are the members that a revocation left. With tokens among them it is a new grant.

    Whoever stores that may have kept what we had noted of the old one.
    """
    member = members.get(MEMBER)
    marked = isinstance(member, dict) and member.get("revoked") is True
    return marked and not any(members.get(token) for token in ("accessToken", "refreshToken"))


def fingerprint(arn: str, token: SecretValue | None) -> str:
    """Tells refresh tokens of one secret apart without showing them. Empty for no token."""
    if token is None:
        return ""
    return hashlib.sha256(f"{arn}|{token.reveal()}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def intact(arn: str, document: OAuthDocument) -> bool:
    """Whether the document still carries the refresh token that we put into it."""
    books = document.bookkeeping
    return books is not None and books.token == fingerprint(arn, document.refresh_token)


def consented_at(arn: str, document: OAuthDocument) -> float | None:
    """When the consent was given that the tokens come from, epoch seconds; None when nobody knows.

    That is what `lastUpdated` says, while the document is as the consent application wrote it. Each refresh moves
    `lastUpdated`, and hands on what was known before the first one.
    """
    books = document.bookkeeping
    return books.consented_at if books is not None and intact(arn, document) else document.last_updated


def consent_end(arn: str, document: OAuthDocument, hard_limit: float | None) -> float | None:
    """When the grant ends whatever is done, epoch seconds; None when nobody knows or it does not end.

    `hard_limit`: seconds that the provider lets a consent live. A refresh writes down what came of it (see `merge`).
    """
    if document.refresh_token is None:
        return None
    began = consented_at(arn, document)
    if document.refresh_expires_at is not None or began is None or hard_limit is None:
        return document.refresh_expires_at
    return began + hard_limit


def merge(
    document: OAuthDocument,
    tokens: Tokens,
    bookkeeping: Bookkeeping,
    *,
    arn: str,
    now: float,
    lifetime: float | None = None,
    hard_limit: float | None = None,
) -> OAuthDocument:
    """New tokens put into `document`. `now`: epoch seconds.

    The end of the refresh token is what the reply states. Where the provider has a `hard_limit` (see `consent_end`) and
    states none, no refresh puts the end off, so the one known so far stays.

    A refresh token that was not issued is kept. Without a stated expiry the access token is taken to live `lifetime`
    seconds; without either its expiry is unknown, and the member goes: the old one would be a lie. The fingerprint of
    the bookkeeping is set here.
    """
    expires_at = tokens.expires_at if tokens.expires_at is not None else (now + lifetime if lifetime else None)
    members = dict(document.members)
    members["accessToken"] = tokens.access_token.reveal()
    if tokens.refresh_token:
        members["refreshToken"] = tokens.refresh_token.reveal()
    _set_or_drop(members, "expiresAt", _milliseconds(expires_at))
    refresh_ends = tokens.refresh_expires_at
    if refresh_ends is None and hard_limit is not None:
        refresh_ends = consent_end(arn, document, hard_limit)
    if refresh_ends is not None or tokens.refresh_token:
        _set_or_drop(members, "refreshTokenExpiresAt", _milliseconds(refresh_ends))
    if tokens.scope is not None:
        members["scope"] = tokens.scope
    if tokens.token_type is not None:
        members["tokenType"] = tokens.token_type
    members["lastUpdated"] = _iso(now)
    return _with(members, replace(bookkeeping, token=fingerprint(arn, tokens.refresh_token or document.refresh_token)))


def transplant(onto: OAuthDocument, source: OAuthDocument, *, base: str) -> OAuthDocument:
    """`onto` (version `base`) with the tokens of `source`: whoever edited keeps the edit, and the live tokens stay."""
    if source.bookkeeping is None:
        raise ValueError("only a result of ours has tokens to give")
    members = dict(onto.members)
    for key in _TOKEN_MEMBERS:
        _set_or_drop(members, key, source.members.get(key))
    return _with(members, replace(source.bookkeeping, base=base))


def tombstone(document: OAuthDocument, bookkeeping: Bookkeeping, *, now: float) -> OAuthDocument:
    """What stays after a revocation: everything except the tokens."""
    members = {key: value for key, value in document.members.items() if key not in _TOKEN_MEMBERS}
    members["lastUpdated"] = _iso(now)
    return _with(members, replace(bookkeeping, token="", revoked=True))


def _with(members: dict[str, Any], bookkeeping: Bookkeeping) -> OAuthDocument:
    members[MEMBER] = bookkeeping.to_member()
    return OAuthDocument(members, bookkeeping)


def _set_or_drop(members: dict[str, Any], key: str, value: object) -> None:
    if value is None:
        members.pop(key, None)
    else:
        members[key] = value


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch_seconds(value: object) -> float | None:
    """A time in any spelling as epoch seconds; None when it is no time, or none of these millennia."""
    found = moment(value)
    return found if found is not None and 0 < found <= _LATEST else None
