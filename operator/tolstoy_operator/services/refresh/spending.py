"""One attempt to spend a refresh token: reserve it, send once, make the answer durable."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle

from tolstoy_operator.domain.elapsed import ClockReading, longest
from tolstoy_operator.domain.errors import AlreadyExists, StoreError
from tolstoy_operator.domain.oauthdocument import Bookkeeping, OAuthDocument, consented_at, merge
from tolstoy_operator.domain.refresh import LEASE_NONCE, Answer, Attempt, ProviderTraits, fates, next_scheme
from tolstoy_operator.domain.refreshids import OWNER_LABEL, REVOKING_LABEL
from tolstoy_operator.domain.refreshrecords import Claim, Doubt, Fate
from tolstoy_operator.domain.tokenoutcome import Accepted, InDoubt, NotSent, Outcome, Rejected, Rejection
from tolstoy_operator.services.refresh.endings import StartOver
from tolstoy_operator.services.refresh.ledger import Kind, Ledger, Place, StorePlace
from tolstoy_operator.services.refresh.parts import Memory, Parts
from tolstoy_operator.services.refresh.ports import TokenEndpoint
from tolstoy_operator.services.refresh.view import View
from tolstoy_operator.stores.base import CURRENT

_AGAIN_S = 0.5
_LONGEST_PAUSE_S = 5.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Grip:
    """The right to spend the token of `view` in attempt `claim.n`, as long as the fence lets it."""

    view: View
    ledger: Ledger
    claim: Claim
    started: ClockReading


class Spending:
    """Everything between the decision to refresh and a durable answer."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def reserve(self, view: View, attempts: Sequence[Attempt], memory: Memory, *, revokes: bool = False) -> Grip:
        """Take the next attempt: to spend the token or, if it `revokes`, to end it.

        Raises `StartOver` when somebody else was quicker or the secret has changed.
        """
        started = self._parts.clocks.read()
        ledger = self._parts.ledger(view.scheme)
        if attempts and _open(attempts[-1], memory):
            await self._parts.step("seal")
            if not await ledger.seal(view, attempts[-1]):
                raise StartOver
        claim = replace(self._claim(view, attempts, memory, started), revokes=revokes)
        grip = Grip(view, ledger, claim, started)
        memory.fates[grip.claim.nonce] = Fate.NOT_SENT
        await self._parts.step("claim")
        if not await self._write(grip):
            raise StartOver
        self.note(grip, memory, Fate.NOT_SENT)
        await self._parts.step("verify")
        if not await self._stands(grip):
            raise StartOver
        return grip

    def unreserved(self, view: View, attempts: Sequence[Attempt], memory: Memory) -> Grip:
        """For a refresh token that can be used by several at once."""
        started = self._parts.clocks.read()
        return Grip(view, self._parts.ledger(view.scheme), self._claim(view, attempts, memory, started), started)

    async def send(self, grip: Grip, endpoint: TokenEndpoint, memory: Memory, *, fenced: bool) -> Outcome:
        """The one request of the attempt."""

        def before_send() -> bool:
            elapsed = longest(grip.started, self._parts.clocks.read())
            return not fenced or elapsed <= self._parts.rules.fence_s

        self.note(grip, memory, Fate.IN_DOUBT)
        await self._parts.step("send")
        outcome = await endpoint.send(grip.view.document, before_send=before_send)
        self.note(grip, memory, _fate(outcome))
        return outcome

    def answer(self, grip: Grip, accepted: Accepted, traits: ProviderTraits) -> OAuthDocument:
        """The current document with the new tokens in it.

        They count as issued when the attempt began: an answer that comes late must not look like one that lives short.
        """
        view, now = grip.view, grip.started.wall
        expires_at = accepted.tokens.expires_at
        lifetime = expires_at - now if expires_at is not None else traits.lifetime_s
        owns = self._parts.owns(view)
        scheme = next_scheme(traits, lifetime, self._parts.rules, owner=owns)
        claim = grip.claim
        books = Bookkeeping(
            base=view.ahead or view.version,
            of=claim.of,
            n=claim.n,
            under=claim.scheme,
            scheme=scheme,
            token="",
            spent=view.token,
            owner=view.labels[OWNER_LABEL] if owns else "",
            consented_at=consented_at(view.arn, view.document),
        )
        return merge(
            view.document,
            accepted.tokens,
            books,
            arn=view.arn,
            now=now,
            lifetime=traits.lifetime_s,
            hard_limit=traits.refresh_hard_s,
        )

    async def keep(self, grip: Grip, document: OAuthDocument, *, reserved: bool) -> Answer:
        """Store the answer in the first place that takes it. Does not give up while the process lives.

        Raises `StartOver` when it came too late, or when the attempt was not reserved and somebody else's answer stands
        there: it is as good.
        """
        pause = _AGAIN_S
        for step, place in cycle((("keep", grip.ledger.first), ("journal", grip.ledger.second))):
            await self._parts.step(step)
            try:
                return await self._put(grip, document, place, reserved=reserved)
            except StoreError as error:
                _log.warning("new tokens cannot be stored yet: %s", error)
            if place is grip.ledger.second:
                await self._parts.clocks.sleep(self._parts.random.uniform(pause / 2, pause))
                pause = min(2 * pause, _LONGEST_PAUSE_S)
        raise AssertionError

    async def keep_doubt(self, grip: Grip, doubt: InDoubt) -> None:
        """Keep an unreadable reply for a person, unless nothing of it came. It is worth one try in each place."""
        if not doubt.raw:
            return
        view, claim = grip.view, grip.claim
        record = Doubt(claim.of, claim.n, view.token, claim.scheme, doubt.cause.value, doubt.raw)
        await self._parts.step("doubt")
        for place in (grip.ledger.first, grip.ledger.second):
            try:
                await place.create(grip.ledger.spot(view, claim.of, claim.n, Kind.RESULT), record)
            except StoreError as error:
                _log.warning("an unreadable reply cannot be stored: %s", error)
            else:
                return

    def note(self, grip: Grip, memory: Memory, fate: Fate) -> None:
        """Remember how the attempt stands."""
        memory.fates[grip.claim.nonce] = fate
        if grip.ledger.leases(grip.claim.n):
            memory.fates[LEASE_NONCE] = fate

    def _claim(self, view: View, attempts: Sequence[Attempt], memory: Memory, started: ClockReading) -> Claim:
        return Claim(
            of=view.of,
            n=len(attempts),
            token=view.token,
            scheme=self._parts.ledger(view.scheme).scheme,
            owner=self._parts.owner,
            cluster=self._parts.cluster,
            nonce=self._parts.random.nonce(),
            started_at=started.wall,
            fates=fates(attempts, memory.fates),
        )

    async def _write(self, grip: Grip) -> bool:
        """Write the claim. The same write again is harmless, so it is repeated while the fence stands open."""
        while True:
            try:
                return await grip.ledger.reserve(grip.view, grip.claim)
            except StoreError as error:
                elapsed = longest(grip.started, self._parts.clocks.read())
                if not error.transient or grip.ledger.leases(grip.claim.n) or elapsed > self._parts.rules.fence_s / 2:
                    raise
            await self._parts.clocks.sleep(_AGAIN_S)

    async def _stands(self, grip: Grip) -> bool:
        """Look once more. No proof, as reads may be stale: it saves requests when the world has visibly moved.

        The claim itself is not read back: it was created once, and by us.
        """
        view, labels = grip.view, (await self._parts.store.describe(grip.view.name)).labels
        unchanged = labels.get(CURRENT) == view.version and labels.get(OWNER_LABEL) == view.labels.get(OWNER_LABEL)
        return unchanged and labels.get(REVOKING_LABEL) != view.version

    async def _put(self, grip: Grip, document: OAuthDocument, place: Place, *, reserved: bool) -> Answer:
        """Into the place of the result, or beside it when a taker has sealed it: then we were very late.

        Raises `StartOver` in that case, since others may have gone on meanwhile.
        """
        for kind in (Kind.RESULT, Kind.LATE):
            spot = grip.ledger.spot(grip.view, grip.claim.of, grip.claim.n, kind)
            try:
                await place.create(spot, document)
            except AlreadyExists:
                if not reserved:
                    raise StartOver from None
                if kind is Kind.LATE:
                    raise
            else:
                if kind is Kind.LATE:
                    raise StartOver
                return Answer(document, spot.id, stored=isinstance(place, StorePlace))
        raise AssertionError


def _open(last: Attempt, memory: Memory) -> bool:
    """Whether another process may still fill the place of this attempt's result."""
    return last.answer is None and not isinstance(last.slot, Doubt) and last.nonce not in memory.fates


def _fate(outcome: Outcome) -> Fate:
    match outcome:
        case NotSent():
            return Fate.NOT_SENT
        case Accepted() | InDoubt():  # new tokens are in doubt until they are stored
            return Fate.IN_DOUBT
        case Rejected(rejection=Rejection.REAUTHORIZE):
            return Fate.REFUSED
    return Fate.REJECTED
