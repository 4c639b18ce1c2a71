"""Rolling forward: a result that is durable becomes current, whoever made it.

The owner of an attempt commits by the same code with which a peer helps after a crash. So there is one way to decide
which document follows the current one, and one compare-and-swap that makes it so.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from tolstoy_operator.domain.errors import AlreadyExists, LabelMoved, SecretNotFound
from tolstoy_operator.domain.oauthdocument import OAuthDocument, Scheme, intact, transplant
from tolstoy_operator.domain.refresh import Answer, Attempt, best, target_id
from tolstoy_operator.domain.refreshids import LEASE_LABEL, PENDING_LABEL, late_id, rebase_id, result_id
from tolstoy_operator.domain.refreshrecords import Claim, Seal
from tolstoy_operator.services.refresh.endings import Current, StartOver
from tolstoy_operator.services.refresh.ledger import Kind
from tolstoy_operator.services.refresh.parts import Parts
from tolstoy_operator.services.refresh.view import View, listed, read_version
from tolstoy_operator.stores.base import CURRENT, PREVIOUS

_LONGEST_CHAIN = 8
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MovedBack:
    """The current version was made current again by hand, after its refresh token had been spent."""


class Forward:
    """Finds the result that the current version lacks, and makes it current."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def news(self, view: View, attempts: list[Attempt]) -> Answer | MovedBack | None:
        """The result that should replace the current version: the newest of those that follow from it.

        Raises `StartOver` when another version has to be current first.
        """
        await self._put_back(view)
        answer = best(attempts) or await self._pending(view) or await self._left_over(view)
        if answer is None:
            return await self._successor(view)
        exact = answer.books.base == view.version
        if not exact and not answer.books.rotated:
            return None  # the token in the edited document was not spent by this
        newest = await self._newest(view, answer)
        undone = view.labels.get(PREVIOUS) == target_id(view.arn, view.version, newest)
        if undone or (exact and await self._was_current(view, answer)):
            return MovedBack() if answer.books.rotated else None
        return newest

    async def _put_back(self, view: View) -> None:
        """Make current again what somebody wrote between the current version and the one that it was made from.

        One write instead of two compares nothing, and so can go over such a version. Whoever sent it sees that, if it
        gets an answer, and lives, and what it reads is fresh.
        """
        replaced, books = view.labels.get(PREVIOUS), view.document.bookkeeping
        alone = self._parts.sole_writer and self._parts.owns(view)
        if not alone or books is None or replaced is None or replaced == books.base:
            return
        made = {info.version_id: info.created_at for info in await listed(self._parts.store, view.name, view.labels)}
        if books.base in made and made[books.base] < made[replaced] <= made[view.version]:
            await self._swap(view.name, view.version, replaced)
            raise StartOver

    async def _successor(self, view: View) -> Answer | MovedBack | None:
        """What the versions tell of a token about which nothing is written down any more: a later one has spent it.

        An older version that is current again was moved back by hand; a newer one is an old copy that somebody saved.
        """
        version, books = view.labels.get(PREVIOUS), view.document.bookkeeping
        if books is not None and books.base == version:
            return None  # the usual case
        newest: Answer | None = None
        for _ in range(_LONGEST_CHAIN):
            found = await self._answer_at(view, version) if version is not None else None
            if found is None or not intact(view.arn, found[0].document):
                return None
            answer, created_at = found
            newest = newest or answer
            if answer.books.spent == view.token and answer.books.rotated:
                return MovedBack() if view.created_at < created_at else newest
            if answer.books.token == view.token:
                return None
            version = answer.books.base
        return None

    async def _answer_at(self, view: View, version: str) -> tuple[Answer, float] | None:
        """The result that a version is, and when it was made; None when it is none."""
        found = await read_version(self._parts.store, view.name, version)
        if found is None:
            return None
        record, created_at = found
        if not isinstance(record, OAuthDocument) or record.bookkeeping is None:
            return None
        return Answer(record, version), created_at

    async def _was_current(self, view: View, answer: Answer) -> bool:
        """Only what was current has successors, unless the chain grew in the journal."""
        if not await self._successors(view, answer):
            return False
        try:
            await self._parts.store.get(view.name, version_id=answer.version, label=None)
        except SecretNotFound:
            return False
        return True

    async def commit(self, view: View, answer: Answer, attempts: Sequence[Attempt]) -> Current:
        """Make the result current. Raises `StartOver` when somebody else moved first."""
        if any(attempt.answer is answer and isinstance(attempt.slot, Seal) for attempt in attempts):
            await self._settle(view, answer, len(attempts))
        if self._one_write(view, answer):
            return await self._overwrite(view, answer)
        version, document = await self._prepare(view, answer, attempts)
        await self._swap(view.name, view.version, version)
        _log.info("%s: version %s follows %s", view.name, version, view.version)
        return _made(view, version, document, answer)

    async def _settle(self, view: View, answer: Answer, n: int) -> None:
        """A result that came after its place had been sealed takes the next attempt, which needs no request.

        From then on whoever would go on, on an old view of the store, meets it where results are looked for.
        """
        ledger, now = self._parts.ledger(view.scheme), self._parts.clocks.read()
        claim = Claim(
            of=view.of,
            n=n,
            token=view.token,
            scheme=view.scheme,
            owner=self._parts.owner,
            cluster=self._parts.cluster,
            nonce=self._parts.random.nonce(),
            started_at=now.wall,
        )
        await self._parts.step("settle")
        if not await ledger.reserve(view, claim):
            raise StartOver
        try:
            await ledger.first.create(ledger.spot(view, view.of, n, Kind.RESULT), answer.document)
        except AlreadyExists:
            raise StartOver from None

    def _one_write(self, view: View, answer: Answer) -> bool:
        alone = self._parts.sole_writer and self._parts.owns(view)
        return alone and not answer.stored and answer.books.base == view.version

    async def _swap(self, name: str, old: str, new: str) -> None:
        await self._parts.step("commit")
        try:
            await self._parts.store.move_label(name, CURRENT, from_version=old, to_version=new)
        except LabelMoved:
            raise StartOver from None

    async def _prepare(self, view: View, answer: Answer, attempts: Sequence[Attempt]) -> tuple[str, OAuthDocument]:
        """The version that shall be current, stored under its id."""
        if answer.books.base != view.version:
            document = transplant(view.current, answer.document, base=view.version)
            await self._parts.step("rebase")
            return await self._rebase(view, answer, document), document
        if answer.stored:
            return answer.version, answer.document
        await self._parts.step("upstream")
        return await self._store(view, answer, attempts), answer.document

    async def _rebase(self, view: View, answer: Answer, document: OAuthDocument) -> str:
        """An attempt that nobody reserved can have two answers, one in each place; this may be the second one."""
        version = target_id(view.arn, view.version, answer)
        try:
            await self._parts.store.put(view.name, document.encode(), version_id=version, labels=[PENDING_LABEL])
        except AlreadyExists:
            if answer.books.rotated:
                raise
            version = rebase_id(view.arn, version, answer.books.of, answer.books.n)
            await self._parts.store.put(view.name, document.encode(), version_id=version, labels=[PENDING_LABEL])
        return version

    async def _store(self, view: View, answer: Answer, attempts: Sequence[Attempt]) -> str:
        """Where the result belongs, or beside it when its place has been sealed, which an old view does not show."""
        books = answer.books
        late = late_id(view.arn, books.of, books.n)
        lent = [LEASE_LABEL] if books.scheme is Scheme.LEASE else []
        for version in (answer.version, late):
            labels = [PENDING_LABEL] if version == late else [PENDING_LABEL, *lent]
            try:
                await self._parts.store.put(view.name, answer.document.encode(), version_id=version, labels=labels)
            except AlreadyExists:
                if version == late:
                    raise
                await self._settle(view, answer, len(attempts))
            else:
                return version
        raise AssertionError

    async def _overwrite(self, view: View, answer: Answer) -> Current:
        """One write instead of two. What it replaced unseen is put back."""
        store, version = self._parts.store, answer.version
        await self._parts.step("overwrite")
        await store.put(view.name, answer.document.encode(), version_id=version, labels=[CURRENT])
        labels = (await store.describe(view.name)).labels
        replaced = labels.get(PREVIOUS)
        if labels.get(CURRENT) == view.version:  # an earlier write of ours, undone since
            await self._swap(view.name, view.version, version)
        elif labels.get(CURRENT) != version:
            raise StartOver
        elif replaced is not None and replaced != view.version:
            await self._swap(view.name, version, replaced)
            raise StartOver
        return _made(view, version, answer.document, answer)

    async def _pending(self, view: View) -> Answer | None:
        """The newest result, when it is for this token or beats the result that is current."""
        version = view.labels.get(PENDING_LABEL)
        if version is None or version == view.version:
            return None
        found = await self._answer_at(view, version)
        if found is None:
            return None
        answer, current = found[0], view.document.bookkeeping
        books = answer.books
        beats = (
            current is not None and books.of == current.of and books.n > current.n and intact(view.arn, view.document)
        )
        return answer if beats or books.of == view.of else None

    async def _left_over(self, view: View) -> Answer | None:
        """What this cluster brought while it was the owner, and could not write upstream in time.

        Others have gone on meanwhile, perhaps under the same ids: the tokens are put into the document as it is now.
        """
        if view.origin.scheme is view.scheme:
            return None
        found = best(await self._parts.ledger(view.origin.scheme).attempts(view, view.of))
        if found is None:
            return None
        document = transplant(view.current, found.document, base=view.version)
        version = rebase_id(view.arn, view.version, found.books.of, found.books.n)
        return Answer(document, version, stored=False)

    async def _successors(self, view: View, answer: Answer) -> list[Attempt]:
        of = result_id(view.arn, answer.books.of, answer.books.n)
        return await self._parts.ledger(answer.books.scheme).attempts(view, of)

    async def _newest(self, view: View, answer: Answer) -> Answer:
        """The end of the chain: an old copy of a document gets the tokens that are alive now."""
        while (later := best(await self._successors(view, answer))) is not None:
            answer = later
        return answer


def _made(view: View, version: str, document: OAuthDocument, answer: Answer) -> Current:
    return Current(
        version,
        document,
        view.version,
        refreshed=True,
        rotated=answer.books.rotated,
        replaced_ends=view.document.expires_at,
    )
