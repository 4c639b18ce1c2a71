"""Reading a provider's answer to a token request.

A provider that rotates refresh tokens has already forgotten the old one when its answer arrives, so a reader that
stumbles loses the grant. This one is total (no bytes make it raise), bounded, pure, and errs on one side: what cannot
be read is in doubt and kept, never thrown away and never taken for a failure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from http import HTTPStatus

from tolstoy_operator.domain import tokenerrors
from tolstoy_operator.domain.replyfields import Document, at, decode, first, http_date, lowered, moment, number, word
from tolstoy_operator.domain.replyrules import STANDARD, LifetimeUnit, ReplyRules
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.domain.tokenoutcome import (
    RAW_LIMIT,
    TOKEN_LIMIT,
    Accepted,
    DoubtCause,
    InDoubt,
    Note,
    Rejected,
    Rejection,
    Tokens,
)

REPLY_LIMIT = 256 * 1024
"""Largest body in bytes that is looked at."""
LONGEST_LIFETIME = 10 * 365 * 86_400.0
_SCOPE_LENGTH = 4096
_UNUSABLE = re.compile("[\x00-\x1f\x7f\x80-\x9f\ud800-\udfff\ufffd]")
"""No token holds these: controls, halves of characters, the mark of a decoding error."""


class Grant(StrEnum):
    """What the request offered. A refused assertion is our mistake, a refused refresh token is not."""

    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - a grant type
    CLIENT_CREDENTIALS = "client_credentials"
    JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What the reader must know of the request: `at` = Unix seconds read before the first byte left."""

    at: float
    grant: Grant = Grant.REFRESH_TOKEN
    access_token: SecretValue | None = None
    """The access token in use, to notice when the provider answers with the same one."""


def parse_reply(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    rules: ReplyRules = STANDARD,
    sent: Sent,
    whole: bool = True,
) -> Rejected | Accepted | InDoubt:
    """What a reply says. Never raises; a body over `REPLY_LIMIT` bytes counts as unreadable.

    `whole` False: `body` is what came before the connection failed. A success that is whole JSON even so lacks nothing
    and is taken at its word; everything else is in doubt.
    """
    try:
        return interpret(status, headers, body, rules=rules, sent=sent, whole=whole)
    except Exception:
        # A crash here would lose tokens that exist nowhere else. Tests call `interpret` to show that it does not raise.
        return InDoubt(DoubtCause.UNREADABLE, status, raw=kept(body))


def interpret(
    status: int, headers: Mapping[str, str], body: bytes, *, rules: ReplyRules, sent: Sent, whole: bool = True
) -> Rejected | Accepted | InDoubt:
    """`parse_reply` without its safety net."""
    document, form = (None, False) if len(body) > REPLY_LIMIT else decode(body)
    if form and not whole:
        document = None  # JSON shows by itself that it is whole, a form does not
    reply = _Reply(status, lowered(headers), body, document, _container(document, rules), rules, sent, whole)
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        refused = reply.refused()
        return refused if whole or isinstance(refused, InDoubt) else InDoubt(DoubtCause.TRUNCATED, status)
    outcome = reply.succeeded()
    if form and isinstance(outcome, Accepted):
        return replace(outcome, notes=outcome.notes | {Note.FORM_ENCODED})
    return outcome


def _container(document: Document | None, rules: ReplyRules) -> object:
    """The object that holds an access token, None when there is none."""
    for path in rules.containers if document is not None else ():
        candidate = at(document, path)
        if _is_token_like(first(candidate, rules.access_token)):
            return candidate
    return None


def _is_token_like(value: object) -> bool:
    return bool(value.strip()) if isinstance(value, str) else isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True, repr=False)
class _Reply:
    """One reply taken apart. `document` None: no object; `container` None: no access token in it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    document: Document | None
    container: object
    rules: ReplyRules
    sent: Sent
    whole: bool

    def succeeded(self) -> Rejected | Accepted | InDoubt:
        """A reply whose status says success, which its body may contradict."""
        if self.document is None:
            return self._doubt(self._why_unreadable())
        error = tokenerrors.says_error(self.document) or self._unsuccessful(self.document)
        if self.container is None:
            if error or tokenerrors.overridden(self.document, self.rules):
                return self._refusal()
            return self._doubt(DoubtCause.NO_ACCESS_TOKEN)
        if error:
            return self._doubt(DoubtCause.CONTRADICTORY)
        return self._accepted() or self._doubt(DoubtCause.UNREADABLE)

    def refused(self) -> Rejected | InDoubt:
        """A reply whose status says refusal, which its body may contradict."""
        if self.container is not None and not tokenerrors.says_error(self.document):
            return self._doubt(DoubtCause.CONTRADICTORY)
        return self._refusal()

    def _doubt(self, cause: DoubtCause) -> InDoubt:
        return InDoubt(cause, self.status, raw=kept(self.body))

    def _why_unreadable(self) -> DoubtCause:
        if len(self.body) > REPLY_LIMIT:
            return DoubtCause.OVERSIZE
        if not self.whole:
            return DoubtCause.TRUNCATED
        return DoubtCause.UNREADABLE if self.body.strip() else DoubtCause.NO_ACCESS_TOKEN

    def _unsuccessful(self, document: Document) -> bool:
        return any(at(document, path) not in (None, wanted) for path, wanted in self.rules.success.items())

    def _refusal(self) -> Rejected | InDoubt:
        found = tokenerrors.codes(self.document)
        code = found.shown or tokenerrors.bare_code(self.status, self.headers)
        wait = tokenerrors.retry_after(self.status, self.headers, self.sent.at)
        own = tokenerrors.overridden(self.document, self.rules)
        if own is None and (self._may_be_processed() or tokenerrors.SERVER_ERROR in found):
            return InDoubt(DoubtCause.SERVER_ERROR, self.status, code, wait)
        rejection = own or self._meaning()
        if rejection is Rejection.REAUTHORIZE and self.sent.grant is not Grant.REFRESH_TOKEN:
            rejection = Rejection.REQUEST_MISCONFIGURED
        return Rejected(rejection, code, self.status, wait, tokenerrors.says_raced(self.document))

    def _may_be_processed(self) -> bool:
        return (
            self.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            or self.status < HTTPStatus.OK
            or self.status == HTTPStatus.REQUEST_TIMEOUT
        )

    def _meaning(self) -> Rejection:
        bare = tokenerrors.by_status(self.status, self.headers, readable=self.document is not None)
        return bare if bare is Rejection.THROTTLED else tokenerrors.standard(self.document) or bare

    def _accepted(self) -> Accepted | None:
        access = _token(self._first(self.rules.access_token))
        offered = self._first(self.rules.refresh_token)
        refresh = _token(offered)
        # An offered refresh token that cannot be read must not pass as "none offered": it may be the only one alive.
        if access is None or (refresh is None and offered is not None and offered is not False):
            return None
        token_type, type_notes = self._token_type()
        expires_at, expiry_notes = self._expiry(
            self.rules.expires_in, self.rules.expires_in_unit, self.rules.expires_at
        )
        refresh_expires_at, _ = self._expiry(
            self.rules.refresh_expires_in, LifetimeUnit.SECONDS, self.rules.refresh_expires_at
        )
        scope = _scope(self._first(self.rules.scope))
        tokens = Tokens(access, refresh, token_type, scope, expires_at, refresh_expires_at)
        same = {Note.SAME_ACCESS_TOKEN} if self.sent.access_token == access else set()
        return Accepted(tokens, self.status, frozenset(type_notes | expiry_notes | same))

    def _first(self, paths: tuple[str, ...]) -> object:
        return first(self.container, paths)

    def _token_type(self) -> tuple[str | None, set[Note]]:
        value = self._first(self.rules.token_type)
        name = word(value)
        if value is None or (name is not None and name.lower() in self.rules.bearer_types):
            return name, set()
        return name, {Note.TOKEN_TYPE_REFUSED}

    def _expiry(
        self, lifetime: tuple[str, ...], unit: LifetimeUnit, date: tuple[str, ...]
    ) -> tuple[float | None, set[Note]]:
        """When a token dies. A usable lifetime wins over a date; a date is measured against the reply's own `Date`."""
        left = number(self._first(lifetime))
        if left is not None:
            left = left / 1000 if unit is LifetimeUnit.MILLISECONDS else left
        else:
            stated = moment(self._first(date))
            if stated is None:
                return None, set() if self._first((*lifetime, *date)) is None else {Note.EXPIRY_UNUSABLE}
            here = http_date(self.headers.get("date"))
            left = stated - (self.sent.at if here is None else here)
        if left <= 0:
            return None, {Note.EXPIRY_IN_PAST}
        return (self.sent.at + left, set()) if left <= LONGEST_LIFETIME else (None, {Note.EXPIRY_UNUSABLE})


def _token(value: object) -> SecretValue | None:
    """A token, from text or a whole number. None when it is neither, is too long, or holds what no token holds."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not text.strip() or len(text) > TOKEN_LIMIT or _UNUSABLE.search(text):
        return None
    return SecretValue(text)


def _scope(value: object) -> str | None:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = " ".join(value)
    if not isinstance(value, str) or len(value) > _SCOPE_LENGTH or _UNUSABLE.search(value):
        return None
    return value.strip() or None


def kept(body: bytes) -> SecretValue:
    """What is kept of a reply that cannot be read: its beginning."""
    return SecretValue(body[:RAW_LIMIT].decode("utf-8", "backslashreplace")[:RAW_LIMIT])
