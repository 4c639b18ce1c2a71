"""Revoking a grant, as one more pass of the refresh protocol.

A revocation must not meet a refresh half way, or what the refresh brings would live on. So it helps and waits as a
refresh does, takes the claim, and marks the version: from there on nobody refreshes it. What the provider confirmed is
buried under a tombstone by compare-and-swap. A consent that comes meanwhile is another grant, and stops it: whoever
began remembers which grant was meant, and the mark on the old version tells a process that does not.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

from tolstoy_operator.domain.elapsed import longest
from tolstoy_operator.domain.errors import (
    AlreadyExists,
    LabelMoved,
    SecretNotFound,
    SecretPendingDeletion,
    StoreError,
)
from tolstoy_operator.domain.oauthdocument import (
    Bookkeeping,
    MalformedDocument,
    OAuthDocument,
    Scheme,
    consented_at,
    fingerprint,
    intact,
    tombstone,
)
from tolstoy_operator.domain.refresh import LEASE_NONCE, Attempt, ProviderTraits, as_seen, fates, patience
from tolstoy_operator.domain.refreshids import EVERYBODY, LEASE_LABEL, NEXT_LABEL, REVOKING_LABEL, tombstone_id
from tolstoy_operator.domain.refreshrecords import Fate
from tolstoy_operator.domain.revocation import TokenKind, Verdict, judge, to_revoke
from tolstoy_operator.domain.tokenhealth import Revocation, RevocationResult
from tolstoy_operator.services.refresh.endings import Failed, MirrorOnly, Problem, StartOver, Waiting, without_store
from tolstoy_operator.services.refresh.forward import Forward, MovedBack
from tolstoy_operator.services.refresh.ownership import standing
from tolstoy_operator.services.refresh.parts import Memory, Parts
from tolstoy_operator.services.refresh.ports import RevocationEndpoint
from tolstoy_operator.services.refresh.spending import Spending
from tolstoy_operator.services.refresh.view import View, look
from tolstoy_operator.stores.base import CURRENT

_ROUNDS = 8
_SOON_S = (2.0, 5.0)
_POLL_S = 15.0
_LONGEST_CHAIN = 64
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to revoke."""

    name: str
    traits: ProviderTraits
    endpoint: RevocationEndpoint


@dataclass(frozen=True, slots=True)
class Buried:
    """The grant has ended, and `version` says so.

    `lives`: whether its last access token works on until it expires, as with providers that end refresh tokens only;
    None = nobody can tell. `doubt`: the response of an earlier refresh was lost, and what it brought may live on where
    the provider does not end whole grants. `already`: somebody else had revoked it.
    """

    version: str
    document: OAuthDocument
    lives: bool | None = None
    doubt: bool = False
    already: bool = False


@dataclass(frozen=True, slots=True)
class Superseded:
    """A new consent was stored after the revocation began. It stays."""


RevocationEnding = Buried | Superseded | Waiting | MirrorOnly | Failed


class Revoker:
    """Revocations of one replica. Safe against every other replica, and against refreshes of this one."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._forward = Forward(parts)
        self._spending = Spending(parts)
        self._memories: dict[str, Memory] = {}
        self._meant: dict[str, str] = {}
        """The version with which the revocation of a secret began, by the secret's name."""
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def run(self, order: Order) -> RevocationEnding:
        """One pass. Raises nothing: whatever the store says becomes an ending."""
        if not order.endpoint.revocable:
            return Failed(Problem.REVOCATION_UNSUPPORTED, "the provider has no revocation that the operator knows")
        turn = self._turn(order.name)
        if turn.locked():
            return Waiting(_SOON_S[0], "a revocation of this secret is under way")
        async with turn:
            try:
                return await self._rounds(order)
            except MalformedDocument as error:
                return Failed(Problem.SECRET_MALFORMED, str(error))
            except (SecretNotFound, SecretPendingDeletion) as error:
                return Failed(Problem.NOTHING_TO_REVOKE, error.cause)
            except StoreError as error:
                return without_store(error)

    async def finish(self, name: str) -> bool:
        """Nobody asks for this revocation any more, whatever became of it: take its mark off. A pass is waited for.

        Until then the mark stays, also on a version that has been buried or replaced: a process that is asked again
        after a crash would otherwise take a new consent for what was meant. A mark of another cluster stays. False when
        nothing could be written.
        """
        async with self._turn(name):
            return await self._finish(name)

    async def _finish(self, name: str) -> bool:
        began = self._meant.pop(name, None) is not None
        try:
            view = await look(self._parts.store, name)
            attempts = await self._parts.ledger(view.scheme).attempts(view, view.of)
            if self._belongs_to_another(view) or (not began and self._is_of_another_cluster(attempts)):
                return True
            await self._unmark(view)
            memory = self._memories.pop(name, None)
            leased = memory is not None and memory.fates.get(LEASE_NONCE) is Fate.NOT_SENT
            if leased and view.scheme is Scheme.LEASE:
                with suppress(LabelMoved):
                    await self._parts.store.move_label(name, LEASE_LABEL, from_version=None, to_version=view.of)
        except (StoreError, MalformedDocument) as error:
            _log.warning("a revocation is over and its mark could not be taken off: %s", error)
            return False
        return True

    async def _rounds(self, order: Order) -> RevocationEnding:
        for _ in range(_ROUNDS):
            try:
                return await self._round(order)
            except StartOver:
                continue
        return Waiting(self._parts.random.uniform(*_SOON_S), "others are changing this secret")

    async def _round(self, order: Order) -> RevocationEnding:
        view = await look(self._parts.store, order.name)
        if view.document.revoked:
            return Buried(view.version, view.document, already=True)
        meant = self._meant.setdefault(view.name, view.version)
        memory = self._memory(view)
        if (barred := await standing(self._parts, view, memory)) is not None:
            return barred
        attempts = await self._parts.ledger(view.scheme).attempts(view, view.of)
        news = await self._forward.news(view, attempts)
        if isinstance(news, MovedBack):
            return Failed(Problem.REVOCATION_FAILING, "the secret was moved back to a version that had been refreshed")
        if news is not None:
            await self._forward.commit(view, news, attempts)
            raise StartOver
        if await self._is_another_grant(view, meant):
            return Superseded()
        order = replace(order, traits=as_seen(order.traits, view.arn, view.document))
        if (ending := self._obstacle(order, view, attempts, memory)) is not None:
            return ending
        if not view.carries(REVOKING_LABEL):
            await self._mark(order, view, attempts, memory)
            raise StartOver
        doubt = Fate.IN_DOUBT in fates(attempts, memory.fates).values()
        return await self._revoke(order, view, len(attempts), doubt=doubt)

    def _obstacle(self, order: Order, view: View, attempts: list[Attempt], memory: Memory) -> Failed | Waiting | None:
        """Why nothing may be sent now, or ever."""
        if view.document.refresh_token is None and view.document.access_token is None:
            return Failed(Problem.NOTHING_TO_REVOKE, f"{order.name} holds no token")
        if not to_revoke(view.document, order.endpoint.revocable):
            return Failed(
                Problem.REVOCATION_UNSUPPORTED, "the provider does not revoke the kind of token that there is"
            )
        rest = self._patience(order, attempts, memory)
        return Waiting(min(rest, _POLL_S), "a refresh is under way") if rest > 0 else None

    def _patience(self, order: Order, attempts: list[Attempt], memory: Memory) -> float:
        """Seconds for which an attempt to spend the token may still bring a result."""
        if not attempts or not order.traits.claims:
            return 0.0
        last = attempts[-1]
        if last.claim is not None and last.claim.revokes:
            return 0.0
        parts = self._parts
        needed = patience(last, memory.fates.get(last.nonce), order.traits, parts.rules, cluster=parts.cluster)
        return needed - memory.sightings.age(f"attempt {last.n} {last.nonce}", parts.clocks.read())

    async def _mark(self, order: Order, view: View, attempts: list[Attempt], memory: Memory) -> None:
        """Have nobody refresh this version any more. The next round looks whether that came in time."""
        if order.traits.claims:
            grip = await self._spending.reserve(view, attempts, memory, revokes=True)
            if longest(grip.started, self._parts.clocks.read()) > self._parts.rules.fence_s:
                raise StartOver
        await self._parts.step("mark")
        before = view.labels.get(REVOKING_LABEL)
        with suppress(LabelMoved):
            await self._parts.store.move_label(view.name, REVOKING_LABEL, from_version=before, to_version=view.version)

    async def _revoke(self, order: Order, view: View, n: int, *, doubt: bool) -> RevocationEnding:
        document, endpoint = view.document, order.endpoint
        replies: dict[TokenKind, Revocation] = {}
        for kind in to_revoke(document, endpoint.revocable):
            await self._parts.step(f"revoke-{kind}")
            reply = replies[kind] = await endpoint.revoke(document, kind)
            if reply.result in (RevocationResult.RETRY, RevocationResult.REFUSED):
                break
        alive = await endpoint.alive(document)
        now = self._parts.clocks.read().wall
        verdict = judge(document, endpoint.revocable, replies, alive=alive, now=now)
        match verdict.result:
            case RevocationResult.DONE:
                return replace(await self._bury(view, n, verdict, now), doubt=doubt)
            case RevocationResult.UNSUPPORTED:
                return Failed(Problem.REVOCATION_UNSUPPORTED, f"the provider does not revoke this ({verdict.code})")
        return Failed(Problem.REVOCATION_FAILING, verdict.code, verdict.retry_after)

    async def _bury(self, view: View, n: int, verdict: Verdict, now: float) -> Buried:
        books = Bookkeeping(
            base=view.version,
            of=view.of,
            n=n,
            under=view.scheme,
            scheme=view.scheme,
            token="",
            spent=view.token,
            owner=view.origin.owner,
            consented_at=consented_at(view.arn, view.document),
        )
        document, version = tombstone(view.document, books, now=now), tombstone_id(view.arn, view.version)
        store = self._parts.store
        await self._parts.step("tombstone")
        try:
            await store.put(view.name, document.encode(), version_id=version, labels=[NEXT_LABEL])
        except AlreadyExists:  # made before, and not committed
            document = OAuthDocument.parse((await store.get(view.name, version_id=version, label=None)).value)
        await self._parts.step("bury")
        try:
            await store.move_label(view.name, CURRENT, from_version=view.version, to_version=version)
        except LabelMoved:
            raise StartOver from None
        _log.info("%s: its grant is revoked, version %s says so", view.name, version)
        return Buried(version, document, verdict.lives)

    async def _unmark(self, view: View) -> None:
        """Take the mark off, wherever it is."""
        marked = (await self._parts.store.describe(view.name)).labels.get(REVOKING_LABEL)
        if marked is not None:
            await self._parts.unmark(view.name, marked)

    def _belongs_to_another(self, view: View) -> bool:
        return view.owner not in (None, EVERYBODY) and not self._parts.owns(view)

    def _is_of_another_cluster(self, attempts: list[Attempt]) -> bool:
        claim = attempts[-1].claim if attempts else None
        return claim is not None and claim.revokes and claim.cluster != self._parts.cluster

    async def _is_another_grant(self, view: View, meant: str) -> bool:
        """Whether the current grant is not the one that was meant in the beginning, or that was marked."""
        known = {meant, view.labels.get(REVOKING_LABEL, view.version)} - {view.version}
        return any([not await self._descends(view, version) for version in known])

    async def _descends(self, view: View, ancestor: str) -> bool:
        """Whether the current tokens are those of an older version, or came of them by refreshes."""
        version, document = view.version, view.document
        token = await self._token_of(view, ancestor)
        for _ in range(_LONGEST_CHAIN):
            if version == ancestor or (token and fingerprint(view.arn, document.refresh_token) == token):
                return True
            if document.bookkeeping is None or not intact(view.arn, document):
                return False
            version = document.bookkeeping.base
            try:
                found = await self._parts.store.get(view.name, version_id=version, label=None)
            except SecretNotFound:
                return False
            document = OAuthDocument.parse(found.value)
        return False

    async def _token_of(self, view: View, version: str) -> str:
        found = await self._parts.store.get(view.name, version_id=version, label=None)
        return fingerprint(view.arn, OAuthDocument.parse(found.value).refresh_token)

    def _turn(self, name: str) -> asyncio.Lock:
        """Passes over one secret, and their end, do not overlap."""
        return self._turns.setdefault(name, asyncio.Lock())

    def _memory(self, view: View) -> Memory:
        memory = self._memories.get(view.name)
        if memory is None or memory.of != view.of:
            memory = self._memories[view.name] = Memory(view.of)
        return memory
