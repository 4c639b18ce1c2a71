"""One look at a secret: which version is current, whose labels stand where, and which refresh token it carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tolstoy_operator.domain.errors import SecretNotFound, SecretPendingDeletion
from tolstoy_operator.domain.oauthdocument import MalformedDocument, OAuthDocument, Scheme, fingerprint
from tolstoy_operator.domain.refresh import intact, origin
from tolstoy_operator.domain.refreshids import CLAIM_LABEL, PENDING_LABEL
from tolstoy_operator.domain.refreshrecords import Doubt, Record, decode
from tolstoy_operator.stores.base import CURRENT, PREVIOUS, SecretStore


@dataclass(frozen=True, slots=True)
class View:
    """What one look showed. It may be stale: whatever rests on it is validated again by the write that follows.

    `of`: the identity of the current refresh token; `token`: its fingerprint.
    """

    name: str
    arn: str
    version: str
    labels: Mapping[str, str]
    document: OAuthDocument
    of: str
    token: str

    def carries(self, label: str) -> bool:
        """Whether the current version has the label."""
        return self.labels.get(label) == self.version

    @property
    def scheme(self) -> Scheme:
        """How the next attempt is reserved. A document that somebody else wrote names no scheme: by claim."""
        books = self.document.bookkeeping
        return books.scheme if books is not None and intact(self.arn, self.document) else Scheme.CLAIM


async def look(store: SecretStore, name: str) -> View:
    """Raises `StoreError` and `MalformedDocument`."""
    described = await store.describe(name)
    if described.pending_deletion:
        raise SecretPendingDeletion(name, "scheduled for deletion")
    version = described.labels.get(CURRENT)
    if version is None:
        raise SecretNotFound(name, "no version is current")
    found = await store.get(name, version_id=version, label=None)
    document = OAuthDocument.parse(found.value)
    token = fingerprint(described.arn, document.refresh_token)
    of = origin(described.arn, version, document)
    if of == version and token and not intact(described.arn, document):
        of = await _known_elsewhere(store, described.arn, name, described.labels, token) or version
    return View(name, described.arn, version, described.labels, document, of, token)


async def _known_elsewhere(
    store: SecretStore, arn: str, name: str, labels: Mapping[str, str], token: str
) -> str | None:
    """Whether a document that is not ours is a copy: of one that an attempt is on, or of the one before it."""
    for label in (CLAIM_LABEL, PENDING_LABEL, PREVIOUS):
        version = labels.get(label)
        if version is None or version == labels[CURRENT]:
            continue
        try:
            record = decode((await store.get(name, version_id=version, label=None)).value)
        except (SecretNotFound, MalformedDocument):
            continue
        if of := _same_token(arn, version, record, token):
            return of
    return None


def _same_token(arn: str, version: str, record: Record, token: str) -> str | None:
    if isinstance(record, OAuthDocument):
        if fingerprint(arn, record.refresh_token) == token:
            return origin(arn, version, record)
        books = record.bookkeeping
        return books.of if books is not None and books.spent == token else None
    if isinstance(record, Doubt):
        return None
    return record.of if record.token == token else None
