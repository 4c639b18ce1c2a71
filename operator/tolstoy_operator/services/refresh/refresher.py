"""One pass of the refresh protocol over one secret.

The order of the steps is the protocol; each step's own reasoning stands where it is done. A pass looks, helps, decides,
and at most once spends a refresh token. Whenever a write shows that the world has moved, the pass starts over.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from tolstoy_operator.domain.errors import LabelMoved, StoreError
from tolstoy_operator.domain.oauthdocument import DOCUMENT_LIMIT, MalformedDocument, OAuthDocument
from tolstoy_operator.domain.refresh import (
    Answer,
    Attempt,
    ProviderTraits,
    Recovery,
    as_seen,
    best,
    fates,
    last_moment,
    may_wait,
    patience,
    recovery,
    refusals,
    response_lost,
    spare_versions,
    too_short_to_share,
    too_soon,
)
from tolstoy_operator.domain.refreshids import DEAD_LABEL, LOST_LABEL, REVOKING_LABEL
from tolstoy_operator.domain.refreshrecords import Fate
from tolstoy_operator.domain.tokenoutcome import Accepted, InDoubt, NotSent, NotSentCause, Rejected, Rejection
from tolstoy_operator.services.refresh.endings import (
    Current,
    Ending,
    Failed,
    Journalled,
    Problem,
    StartOver,
    Waiting,
    without_store,
)
from tolstoy_operator.services.refresh.forward import Forward, MovedBack
from tolstoy_operator.services.refresh.ownership import standing
from tolstoy_operator.services.refresh.parts import Memory, Parts
from tolstoy_operator.services.refresh.ports import TokenEndpoint
from tolstoy_operator.services.refresh.spending import Grip, Spending
from tolstoy_operator.services.refresh.view import View, look
from tolstoy_operator.stores.base import PREVIOUS

_ROUNDS = 6
_SOON_S = (2.0, 5.0)
_POLL_S = 15.0
_log = logging.getLogger(__name__)


def no_refresh_token(document: OAuthDocument) -> Failed | None:
    """What is said where only a refresh token would help and there is none."""
    if document.refresh_token is not None:
        return None
    return Failed(Problem.REAUTHORIZATION_REQUIRED, "no refresh token available")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What to refresh. `due` judges a version and its document: another replica may have refreshed it already.

    `insist`: try once although the provider's refusal is on record (a slow probe, or a person's command). `foreseen`:
    what a request would come to, where that is known without one; nothing is reserved for it then. `lacks`: what a
    document lacks for a request at all.
    """

    name: str
    traits: ProviderTraits
    endpoint: TokenEndpoint
    due: Callable[[str, OAuthDocument], bool]
    insist: bool = False
    foreseen: Callable[[OAuthDocument], NotSent | Rejected | None] = lambda _document: None
    lacks: Callable[[OAuthDocument], Failed | None] = no_refresh_token


class Refresher:
    """The protocol of one replica. Safe against every other replica; passes over one secret do not overlap here."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._forward = Forward(parts)
        self._spending = Spending(parts)
        self._memories: dict[str, Memory] = {}
        self._busy: set[str] = set()

    async def run(self, target: Target) -> Ending:
        """One pass. Raises nothing: whatever the store says becomes an ending."""
        if target.name in self._busy:
            return Waiting(_SOON_S[0], "a pass over this secret is under way")
        self._busy.add(target.name)
        try:
            return await self._rounds(target)
        except MalformedDocument as error:
            return Failed(Problem.SECRET_MALFORMED, str(error))
        except StoreError as error:
            return without_store(error)
        finally:
            self._busy.discard(target.name)

    async def _rounds(self, target: Target) -> Ending:
        for _ in range(_ROUNDS):
            try:
                return await self._round(target)
            except StartOver:
                continue
        return Waiting(self._soon(), "others are changing this secret")

    async def _round(self, target: Target) -> Ending:
        view = await look(self._parts.store, target.name)
        memory = self._memory(view)
        if view.document.revoked:
            return Failed(Problem.REVOKED, "the grant was revoked")
        attempts = await self._parts.ledger(view.scheme).attempts(view, view.of)
        if view.carries(REVOKING_LABEL):
            if not self._is_left_over(view, attempts, memory):
                return Failed(Problem.REVOKING, "the grant is being revoked")
            await self._parts.unmark(view.name, view.version)
            raise StartOver
        news = await self._forward.news(view, attempts)
        if isinstance(news, MovedBack):
            return self._moved_back(view, memory)
        if news is not None:
            if not self._waits(view, news):
                return await self._forward.commit(view, news, attempts)
            view = view.moved_on(news.version, news.document)
            memory = self._memory(view)
            attempts = await self._parts.ledger(view.scheme).attempts(view, view.of)
            if best(attempts) is not None:
                raise StartOver
        if (barred := await standing(self._parts, view, memory)) is not None:
            return barred
        if (verdict := _verdict(view)) is not None and not target.insist:
            return verdict
        if not target.due(view.version, view.document):
            return self._as_it_is(view)
        target = replace(target, traits=as_seen(target.traits, view.arn, view.document))
        obstacle = await self._obstacle(target, view, attempts, memory)
        return obstacle or await self._spend(target, view, attempts, memory)

    def _is_left_over(self, view: View, attempts: Sequence[Attempt], memory: Memory) -> bool:
        """Whether nobody goes on with the revocation that was marked.

        Only the owner of a secret may, and every other one gives up long before the mark is taken for left over. Should
        somebody go on all the same, it sets its mark again, and ends what was refreshed meanwhile as well.
        """
        claim = attempts[-1].claim if attempts else None
        ours = claim is not None and claim.revokes and claim.cluster == self._parts.cluster
        age = memory.sightings.age(f"mark on {view.version}", self._parts.clocks.read())
        return (self._parts.owns(view) and not ours) or age > self._parts.rules.mark_s

    async def _spend(self, target: Target, view: View, attempts: Sequence[Attempt], memory: Memory) -> Ending:
        reserved = target.traits.claims
        if reserved:
            grip = await self._spending.reserve(view, attempts, memory)
        else:
            grip = self._spending.unreserved(view, attempts, memory)
        outcome = await self._spending.send(grip, target.endpoint, memory, fenced=reserved)
        if not isinstance(outcome, Accepted):
            return await self._without_tokens(grip, outcome, target.traits, attempts, memory)
        document = self._spending.answer(grip, outcome, target.traits)
        answer = await self._spending.keep(grip, document, reserved=reserved)
        if self._waits(view, answer):
            pause = self._until_upstream(view)
            return Journalled(answer.version, document, pause, replaced_ends=view.document.expires_at)
        try:
            return await self._forward.commit(view, answer, ())
        except StoreError:
            if answer.stored:
                raise
            return Journalled(answer.version, document, self._soon(), replaced_ends=view.document.expires_at)

    def _as_it_is(self, view: View) -> Ending:
        if view.ahead is not None:
            return Journalled(view.ahead, view.document, self._until_upstream(view), refreshed=False)
        return Current(view.version, view.document, view.labels.get(PREVIOUS))

    def _waits(self, view: View, answer: Answer) -> bool:
        """Whether the answer stays in our journal for now, because the store cannot take a version for each."""
        age = self._parts.clocks.read().wall - view.created_at
        return not answer.stored and self._parts.owns(view) and may_wait(answer, age=age, rules=self._parts.rules)

    def _until_upstream(self, view: View) -> float:
        age = self._parts.clocks.read().wall - view.created_at
        return max(self._parts.rules.upstream_every_s - age, _SOON_S[0])

    async def _obstacle(self, target: Target, view: View, attempts: Sequence[Attempt], memory: Memory) -> Ending | None:
        """Why no request may be made now, although one is due."""
        if (lacking := target.lacks(view.document)) is not None:
            return lacking
        if (outcome := target.foreseen(view.document)) is not None:
            return _unspent(outcome)
        if (waiting := await self._not_yet(target, view, attempts, memory)) is not None:
            return waiting
        return await self._no_room(target, view)

    async def _not_yet(self, target: Target, view: View, attempts: Sequence[Attempt], memory: Memory) -> Waiting | None:
        now, rules, traits = self._parts.clocks.read(), self._parts.rules, target.traits
        if attempts and traits.claims:
            last = attempts[-1]
            needed = patience(last, memory.fates.get(last.nonce), traits, rules, cluster=self._parts.cluster)
            rest = needed - memory.sightings.age(f"attempt {last.n} {last.nonce}", now)
            if rest > 0:
                return Waiting(min(rest, _POLL_S), "another attempt is under way")
        if (rest := too_soon(view.arn, view.document, now=now.wall, rules=rules)) > 0:
            return Waiting(rest, "the last refresh was a moment ago")
        if memory.refused == 1:
            rest = rules.confirm_after_s[0] - memory.sightings.age("refusal", now)
            if rest > 0:
                return Waiting(rest, "the refusal is confirmed before it is believed")
        if await self._too_early(target, view, fates(attempts, memory.fates)):
            rest = last_moment(view.document, rules) - now.wall
            if rest > 0:
                return Waiting(rest, "an attempt is in doubt, and another one could end the access token that works")
        return None

    async def _too_early(self, target: Target, view: View, known: Mapping[int, Fate]) -> bool:
        """Whether a token in doubt is better left alone until its access token is about to expire."""
        match recovery(target.traits, known):
            case Recovery.NOW:
                return False
            case Recovery.PROBE:
                return await target.endpoint.alive(view.document) is None
        return True

    async def _no_room(self, target: Target, view: View) -> Failed | None:
        """Nothing is spent whose result could not be stored."""
        document, rules = view.document, self._parts.rules
        if len(document.encode().reveal().encode()) + target.traits.largest_reply > DOCUMENT_LIMIT:
            return Failed(Problem.SECRET_MALFORMED, "the document leaves no room for new tokens")
        if document.expires_at is not None and document.last_updated is not None and not self._parts.owns(view):
            lifetime = document.expires_at - document.last_updated
            if too_short_to_share(lifetime, rules):
                return Failed(Problem.VERSION_BUDGET_EXCEEDED, "tokens this short-lived need exclusive mode")
        versions, now = await self._parts.store.list_versions(view.name), self._parts.clocks.read().wall
        unlabelled = [now - version.created_at for version in versions if not version.labels]
        spare = spare_versions(unlabelled, len(versions) - len(unlabelled), rules)
        if spare < rules.spare_versions:
            return Failed(Problem.VERSION_BUDGET_EXCEEDED, f"the secret can take only {max(spare, 0)} versions more")
        return None

    async def _without_tokens(
        self,
        grip: Grip,
        outcome: NotSent | Rejected | InDoubt,
        traits: ProviderTraits,
        attempts: Sequence[Attempt],
        memory: Memory,
    ) -> Ending:
        match outcome:
            case InDoubt():
                await self._spending.keep_doubt(grip, outcome)
                pause = 0.0 if traits.forgiving else outcome.retry_after
                return Failed(Problem.REFRESH_FAILING, f"no usable answer ({outcome.cause})", pause, in_doubt=True)
            case Rejected(rejection=Rejection.REAUTHORIZE):
                return await self._refused(grip, outcome, attempts, memory)
            case _:
                return _unspent(outcome)

    async def _refused(self, grip: Grip, outcome: Rejected, attempts: Sequence[Attempt], memory: Memory) -> Ending:
        """A refusal is believed when the document has not changed meanwhile and a second try says the same."""
        memory.refused += 1
        memory.sightings.age("refusal", self._parts.clocks.read())
        view = await look(self._parts.store, grip.view.name)
        if view.version != grip.view.version:
            raise StartOver
        known = fates(attempts, memory.fates) | {grip.claim.n: Fate.REFUSED}
        if max(refusals(known), memory.refused) < 2:
            pause = self._parts.random.uniform(*self._parts.rules.confirm_after_s)
            return Failed(Problem.REFRESH_FAILING, f"refused ({outcome.code}), to be confirmed", pause, planned=True)
        unseen = grip.view.origin.scheme is not grip.view.scheme  # attempts of a former owner
        label = LOST_LABEL if unseen or response_lost(known) else DEAD_LABEL
        await self._parts.step("verdict")
        try:
            await self._parts.store.move_label(
                view.name, label, from_version=view.labels.get(label), to_version=view.version
            )
        except LabelMoved:
            raise StartOver from None
        return replace(_VERDICTS[label], verdict=_verdict(view) is None)

    def _moved_back(self, view: View, memory: Memory) -> Ending:
        """Sending a spent token would end the grant, and rolling forward would fight whoever moved the secret back."""
        age = memory.sightings.age(f"moved back {view.version}", self._parts.clocks.read())
        if age < self._parts.rules.settled_s:
            return Waiting(self._soon(), "the current version has been refreshed already")
        return Failed(
            Problem.REAUTHORIZATION_REQUIRED,
            "the secret was moved back to a version whose refresh token has been used",
        )

    def forget(self, name: str) -> None:
        """Let go of what only this process knows of a secret, as its end would."""
        self._memories.pop(name, None)

    def _memory(self, view: View) -> Memory:
        memory = self._memories.get(view.name)
        if memory is None or memory.of != view.of:
            memory = self._memories[view.name] = Memory(view.of)
        return memory

    def _soon(self) -> float:
        return self._parts.random.uniform(*_SOON_S)


def _verdict(view: View) -> Failed | None:
    """What is on record about the current refresh token, by whichever replica of whichever cluster."""
    return next((verdict for label, verdict in _VERDICTS.items() if view.carries(label)), None)


def _unspent(outcome: NotSent | Rejected) -> Failed:
    """What an outcome means that left the refresh token as it was."""
    match outcome:
        case Rejected(rejection=Rejection.NETWORK_REFUSED):
            cause = f"{outcome.code}, from something in front of the provider: a firewall, or a list of addresses"
            return Failed(Problem.REFRESH_FAILING, cause, outcome.retry_after)
        case Rejected():
            return Failed(_PROBLEMS.get(outcome.rejection, Problem.REFRESH_FAILING), outcome.code, outcome.retry_after)
        case NotSent(cause=NotSentCause.POLICY):
            return Failed(Problem.TOKEN_ENDPOINT_NOT_ALLOWED, outcome.detail)
        case NotSent():
            return Failed(Problem.REFRESH_FAILING, f"not sent ({outcome.cause}) {outcome.detail}".rstrip())


_VERDICTS = {
    LOST_LABEL: Failed(Problem.ROTATION_RESPONSE_LOST, "the response of an earlier attempt was lost"),
    DEAD_LABEL: Failed(Problem.REAUTHORIZATION_REQUIRED, "the provider refuses the refresh token"),
}
_PROBLEMS = {
    Rejection.CLIENT_MISCONFIGURED: Problem.CLIENT_MISCONFIGURED,
    Rejection.REQUEST_MISCONFIGURED: Problem.CLIENT_MISCONFIGURED,
}
