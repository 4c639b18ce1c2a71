"""Where attempts are written down: claims, results, seals.

In shared mode they are versions of the secret, so that every cluster meets them; in exclusive mode they are Kubernetes
objects, which cost the secret no version. Either way a record is created once under an id that follows from what it is
about, and a second place takes a result when the first one fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import Protocol

from tolstoy_operator.domain.errors import AlreadyExists, SecretNotFound
from tolstoy_operator.domain.oauthdocument import OAuthDocument, Scheme
from tolstoy_operator.domain.refresh import Answer, Attempt
from tolstoy_operator.domain.refreshids import (
    CLAIM_LABEL,
    DOUBT_LABEL,
    LEASE_LABEL,
    PENDING_LABEL,
    claim_id,
    late_id,
    result_id,
)
from tolstoy_operator.domain.refreshrecords import Claim, Doubt, Record, Seal, decode, encode
from tolstoy_operator.services.refresh.ports import Journal
from tolstoy_operator.services.refresh.view import View
from tolstoy_operator.stores.base import SecretStore


class Kind(StrEnum):
    """What is written about an attempt."""

    CLAIM = "claim"
    RESULT = "result"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a record about attempt `n` on the token `of` belongs."""

    name: str
    arn: str
    of: str
    n: int
    kind: Kind

    @property
    def id(self) -> str:
        """The version id; in a journal, the second part of the key."""
        return _IDS[self.kind](self.arn, self.of, self.n)


_MOST_ATTEMPTS = 1000
"""On one token: hourly ones for a month."""
_IDS = {Kind.CLAIM: claim_id, Kind.RESULT: result_id, Kind.LATE: late_id}


class Place(Protocol):
    """A set of records that are created once. Methods raise `StoreError`."""

    async def create(self, spot: Spot, record: Record) -> None:
        """The same record again is a success; another one at the spot: `AlreadyExists`."""
        ...

    async def read(self, spot: Spot) -> Record | None:
        """None when nothing is there."""
        ...


class StorePlace:
    """Records as versions of the secret itself."""

    def __init__(self, store: SecretStore) -> None:
        self._store = store

    async def create(self, spot: Spot, record: Record) -> None:
        """One version, under the labels that its kind of record has."""
        await self._store.put(spot.name, encode(record), version_id=spot.id, labels=_labels(spot, record))

    async def read(self, spot: Spot) -> Record | None:
        """Also a version without labels, until it is pruned."""
        try:
            return decode((await self._store.get(spot.name, version_id=spot.id, label=None)).value)
        except SecretNotFound:
            return None


class JournalPlace:
    """Records as Kubernetes objects of this cluster."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def create(self, spot: Spot, record: Record) -> None:
        """One object."""
        value = encode(record)
        try:
            await self._journal.create(_key(spot), value, secret=spot.name)
        except AlreadyExists:
            if await self._journal.read(_key(spot)) != value:
                raise

    async def read(self, spot: Spot) -> Record | None:
        """Linearizable, as the journal is."""
        value = await self._journal.read(_key(spot))
        return None if value is None else decode(value)


class Ledger:
    """The attempts on one refresh token, and how the next one is reserved."""

    def __init__(self, scheme: Scheme, store: SecretStore, journal: Journal, *, cluster: str) -> None:
        places: tuple[Place, Place] = StorePlace(store), JournalPlace(journal)
        self.scheme = scheme
        self.first, self.second = places if scheme is not Scheme.OWNER else places[::-1]
        self._store = store
        self._cluster = cluster

    async def attempts(self, view: View, of: str) -> list[Attempt]:
        """All attempts on the token `of`, oldest first. Found by walking ids: labels can be taken by anybody."""
        found: list[Attempt] = []
        for n in count():
            attempt = await self._attempt(view, of, n)
            if attempt is not None:
                found.append(attempt)
            elif of == view.of or not self.leases(n):  # of another token no label tells whether it was leased
                return found
        raise AssertionError

    async def reserve(self, view: View, claim: Claim) -> bool:
        """Take attempt `claim.n`; False when somebody else has it. An ambiguous answer raises `StoreError`."""
        if self.leases(claim.n):
            taken = await self._lease(view)
            if taken is not None:
                return taken
        try:
            await self.first.create(self.spot(view, claim.of, claim.n, Kind.CLAIM), claim)
        except AlreadyExists:
            return False
        return True

    def leases(self, n: int) -> bool:
        """Whether attempt `n` is reserved by a label instead of a record."""
        return self.scheme is Scheme.LEASE and n == 0

    async def seal(self, view: View, attempt: Attempt) -> bool:
        """Close the places of an attempt's result, so that its owner cannot fill them unseen.

        False when a result stands there already that this view did not show.
        """
        seal = Seal(view.of, attempt.n, view.token)
        spot = self.spot(view, view.of, attempt.n, Kind.RESULT)
        try:
            await self.first.create(spot, seal)
            if self._reachable(attempt.claim):
                await self.second.create(spot, seal)
        except AlreadyExists:
            return False
        return True

    def spot(self, view: View, of: str, n: int, kind: Kind) -> Spot:
        """Where a record belongs."""
        return Spot(view.name, view.arn, of, n, kind)

    async def _attempt(self, view: View, of: str, n: int) -> Attempt | None:
        record = await self.first.read(self.spot(view, of, n, Kind.CLAIM))
        claim = record if isinstance(record, Claim) else None
        result, late = self.spot(view, of, n, Kind.RESULT), self.spot(view, of, n, Kind.LATE)
        slot = await self.first.read(result)
        leased = self.leases(n) and of == view.of and view.labels.get(LEASE_LABEL) != of
        if claim is None and slot is None and not leased:
            return None
        for place in (self.first, self.second) if self._reachable(claim) else (self.first,):
            found = slot if place is self.first else await place.read(result)
            slot = slot or (found if isinstance(found, Doubt) else None)
            answer = self._found(found, result, place)
            if answer is None and isinstance(found, Seal):
                answer = self._found(await place.read(late), late, place)
            if answer is not None:
                return Attempt(n, claim, slot, answer)
        return Attempt(n, claim, slot)

    def _reachable(self, claim: Claim | None) -> bool:
        """Whether the claimer's second place is ours as well: another cluster's Kubernetes objects are not."""
        return self.scheme is Scheme.OWNER or claim is None or claim.cluster == self._cluster

    def _found(self, record: Record | None, spot: Spot, place: Place) -> Answer | None:
        if not isinstance(record, OAuthDocument) or record.bookkeeping is None:
            return None
        return Answer(record, spot.id, stored=isinstance(place, StorePlace))

    async def _lease(self, view: View) -> bool | None:
        """None when the store cannot lend a label: then a claim decides, for everybody.

        A label is lent by taking it off. Moving it onto a version would not do: a label that is there already is a
        success for Secrets Manager, and so for the second one who asks.
        """
        return await self._store.take_label(view.name, LEASE_LABEL, from_version=view.of)


def _labels(spot: Spot, record: Record) -> tuple[str, ...]:
    if isinstance(record, Doubt):
        return (DOUBT_LABEL,)
    if not isinstance(record, OAuthDocument):
        return (CLAIM_LABEL,)
    lent = spot.kind is Kind.RESULT and record.bookkeeping is not None and record.bookkeeping.scheme is Scheme.LEASE
    return (PENDING_LABEL, CLAIM_LABEL, LEASE_LABEL) if lent else (PENDING_LABEL, CLAIM_LABEL)


def journal_keys(view: View) -> frozenset[str]:
    """The keys of all records that a journal may hold about the current refresh token."""
    spots = (Spot(view.name, view.arn, view.of, n, kind) for n in range(_MOST_ATTEMPTS) for kind in Kind)
    return frozenset(map(_key, spots))


def _key(spot: Spot) -> str:
    return f"{spot.kind}-{spot.id}"
