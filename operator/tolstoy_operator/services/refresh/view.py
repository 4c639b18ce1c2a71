"""One look at a secret: which version is current, whose labels stand where, and which refresh token it carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tolstoy_operator.domain.errors import SecretNotFound, SecretPendingDeletion, StoreUnavailable
from tolstoy_operator.domain.oauthdocument import (
    MalformedDocument,
    OAuthDocument,
    Scheme,
    fingerprint,
    intact,
    transplant,
)
from tolstoy_operator.domain.refresh import Origin, origin, origin_by
from tolstoy_operator.domain.refreshids import OWNER_LABEL
from tolstoy_operator.domain.refreshrecords import Ownership, Record, decode
from tolstoy_operator.stores.base import CURRENT, SecretStore, VersionInfo


@dataclass(frozen=True, slots=True)
class View:
    """What one look showed. It may be stale: whatever rests on it is validated again by the write that follows.

    `origin`: the current refresh token's identity and how attempts on it are reserved; `token`: its fingerprint.
    `owner`: the cluster that alone refreshes this secret, None when nothing is said about that. `created_at`: of the
    current version, epoch seconds. `ahead`: the version that `document` will have, when its tokens are newer than those
    of the `current` document and wait in the journal.
    """

    name: str
    arn: str
    version: str
    labels: Mapping[str, str]
    document: OAuthDocument
    origin: Origin
    token: str
    owner: str | None
    created_at: float
    current: OAuthDocument
    ahead: str | None = None

    @property
    def of(self) -> str:
        """The identity of the current refresh token."""
        return self.origin.of

    @property
    def scheme(self) -> Scheme:
        """How attempts on the current refresh token are reserved.

        By its owner only while the same ownership lasts: afterwards they are written where everybody meets them.
        """
        interrupted = self.labels.get(OWNER_LABEL) != self.origin.owner
        return Scheme.CLAIM if self.origin.scheme is Scheme.OWNER and interrupted else self.origin.scheme

    def moved_on(self, version: str, result: OAuthDocument) -> View:
        """The same look, with newer tokens that wait in the journal as `version`."""
        known = origin(self.arn, version, result)
        token = fingerprint(self.arn, result.refresh_token)
        document = transplant(self.current, result, base=version)
        return replace(self, document=document, origin=known, token=token, ahead=version)

    def carries(self, label: str) -> bool:
        """Whether the current version has the label."""
        return self.labels.get(label) == self.version


async def look(store: SecretStore, name: str) -> View:
    """Raises `StoreError` and `MalformedDocument`."""
    described = await store.describe(name)
    if described.pending_deletion:
        raise SecretPendingDeletion(name, "scheduled for deletion")
    arn, version = described.arn, described.labels.get(CURRENT)
    if version is None:
        raise SecretNotFound(name, "no version is current")
    found = await store.get(name, version_id=version, label=None)
    document = OAuthDocument.parse(found.value)
    token = fingerprint(arn, document.refresh_token)
    known = origin(arn, version, document)
    if token and not intact(arn, document):
        known = await _trace(store, name, arn, described.labels, token)
    owner = await _owner(store, name, described.labels)
    return View(name, arn, version, described.labels, document, known, token, owner, found.created_at, document)


async def _owner(store: SecretStore, name: str, labels: Mapping[str, str]) -> str | None:
    version = labels.get(OWNER_LABEL)
    if version is None:
        return None
    record = decode((await store.get(name, version_id=version, label=None)).value)
    if not isinstance(record, Ownership):
        raise MalformedDocument(f"the version under {OWNER_LABEL} is not ours")
    return record.cluster


async def _trace(store: SecretStore, name: str, arn: str, labels: Mapping[str, str], token: str) -> Origin:
    """Where the refresh token of a document that is not ours was seen before.

    Somebody may have edited a document and dropped what we had noted in it, once or several times. The token is still
    the same, and so are the attempts on it. Without a trace of ours, the oldest version that holds it stands for it.

    Raises `StoreUnavailable` when the list is older than the labels: the trace may be in what it does not show yet.
    """
    oldest, claimed = labels[CURRENT], None
    versions = await listed(store, name, labels)
    for info in sorted(versions, key=lambda info: info.created_at, reverse=True):
        record = await _read_listed(store, name, info)
        if record is None:
            continue
        known = origin_by(arn, record, token)
        if isinstance(record, OAuthDocument):
            if known is not None:
                return known
            oldest = info.version_id if fingerprint(arn, record.refresh_token) == token else oldest
        claimed = claimed or known
    return claimed or Origin(oldest, Scheme.CLAIM)


async def listed(store: SecretStore, name: str, labels: Mapping[str, str]) -> Sequence[VersionInfo]:
    """All versions, at least those that had `labels`. Raises `StoreUnavailable` when the list is older than that."""
    versions = await store.list_versions(name)
    if not {info.version_id for info in versions}.issuperset(labels.values()):
        raise StoreUnavailable(name, "the list of versions does not show the latest ones yet")
    return versions


async def _read_listed(store: SecretStore, name: str, info: VersionInfo) -> Record | None:
    """What a version holds; None when it makes no sense, or has been removed, which happens to one without a label."""
    try:
        return decode((await store.get(name, version_id=info.version_id, label=None)).value)
    except MalformedDocument:
        return None
    except SecretNotFound:
        if info.labels:
            raise StoreUnavailable(name, f"version {info.version_id} is listed, and cannot be read yet") from None
        return None


async def read_version(store: SecretStore, name: str, version: str) -> tuple[Record, float] | None:
    """What a version holds, and when it was made (epoch seconds); None when it is gone or makes no sense."""
    try:
        found = await store.get(name, version_id=version, label=None)
        return decode(found.value), found.created_at
    except (SecretNotFound, MalformedDocument):
        return None
