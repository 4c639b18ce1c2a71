"""The protocol with one part left out. A simulation that does not notice proves nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from unittest.mock import patch

from tests.simulation import store as store_module
from tests.simulation.store import SERVICE, SimulatedStore, StoreClient
from tolstoy_operator.domain.elapsed import shortest
from tolstoy_operator.domain.errors import StoreError
from tolstoy_operator.domain.oauthdocument import OAuthDocument, Scheme
from tolstoy_operator.domain.refresh import Answer, Attempt, Origin
from tolstoy_operator.domain.refreshrecords import Fate
from tolstoy_operator.services.refresh import refresher as refresher_module
from tolstoy_operator.services.refresh import spending as spending_module
from tolstoy_operator.services.refresh.endings import Current, StartOver
from tolstoy_operator.services.refresh.forward import Forward
from tolstoy_operator.services.refresh.ledger import Kind, Ledger
from tolstoy_operator.services.refresh.parts import Memory, Parts
from tolstoy_operator.services.refresh.refresher import Refresher
from tolstoy_operator.services.refresh.spending import Grip, Spending
from tolstoy_operator.services.refresh.view import View
from tolstoy_operator.stores.base import CURRENT

Make = Callable[[Parts], Refresher]


class _WithoutClaim(Spending):
    async def reserve(self, view: View, attempts: Sequence[Attempt], memory: Memory, *, revokes: bool = False) -> Grip:
        await self._parts.step("claim")
        return self.unreserved(view, attempts, memory)


class _WithoutFence(Spending):
    async def send(self, grip, endpoint, memory, *, fenced):  # type: ignore[no-untyped-def]
        return await super().send(grip, endpoint, memory, fenced=False)


class _WithoutJournal(Spending):
    async def keep(self, grip: Grip, document: OAuthDocument, *, reserved: bool) -> Answer:
        """Straight to the current version; only the memory of the process holds what came."""
        spot = grip.ledger.spot(grip.view, grip.claim.of, grip.claim.n, Kind.RESULT)
        await self._parts.store.put(grip.view.name, document.encode(), version_id=spot.id, labels=["OTHER"])
        return Answer(document, spot.id)


class _WithoutSecondPlace(Spending):
    async def keep(self, grip: Grip, document: OAuthDocument, *, reserved: bool) -> Answer:
        """One try, in one place."""
        try:
            return await self._put(grip, document, grip.ledger.first, reserved=reserved)
        except StoreError:
            raise StartOver from None


class _WithoutCompareAndSwap(Forward):
    async def commit(self, view: View, answer: Answer, attempts: Sequence[Attempt]) -> Current:
        version, document = await self._prepare(view, answer, attempts)
        await self._parts.step("commit")
        now = (await self._parts.store.describe(view.name)).labels[CURRENT]
        await self._parts.store.move_label(view.name, CURRENT, from_version=now, to_version=version)
        return Current(version, document, now, refreshed=True, rotated=True)


class _WithoutHelp(Forward):
    async def news(self, view: View, attempts: list[Attempt]) -> None:
        return None


class _WithoutSeal(Ledger):
    async def seal(self, view: View, attempt: Attempt) -> bool:
        return True


def _spending(kind: type[Spending]) -> Make:
    def make(parts: Parts) -> Refresher:
        made = Refresher(parts)
        made._spending = kind(parts)
        return made

    return make


def _forward(kind: type[Forward]) -> Make:
    def make(parts: Parts) -> Refresher:
        made = Refresher(parts)
        made._forward = kind(parts)
        return made

    return make


def _patched(target: str, replacement: object) -> Callable[[], object]:
    return lambda: patch(target, replacement)


def _nothing_known(_attempts: Sequence[Attempt], witnessed: Mapping[str, Fate]) -> dict[int, Fate]:
    return dict.fromkeys(range(0), Fate.IN_DOUBT) if witnessed is not None else {}


async def _untraced(_store: object, _name: str, _arn: str, labels: Mapping[str, str], _token: str) -> Origin:
    return Origin(labels[CURRENT], Scheme.CLAIM)


async def _lend(client: StoreClient, _name: str, label: str, *, from_version: str) -> bool:
    actor, store = client._process.name, client._store
    return await client._network.call(
        client._process, SERVICE, lambda: _lent_twice(store, actor, label, from_version), writes=True
    )


def _lent_twice(store: SimulatedStore, actor: str, label: str, version: str) -> bool:
    """As if the label were moved onto the version: for the second one it is there already, which is a success."""
    store.take(actor, label, version)
    return store.labels.get(label) is None


FACTORIES: Mapping[str, Make] = {
    "without the claim": _spending(_WithoutClaim),
    "without the fence": _spending(_WithoutFence),
    "without the journal": _spending(_WithoutJournal),
    "without the second place for results": _spending(_WithoutSecondPlace),
    "without the compare-and-swap": _forward(_WithoutCompareAndSwap),
    "without help for a crashed peer": _forward(_WithoutHelp),
}
"""Variants that are objects of their own."""

PATCHES: Mapping[str, Callable[[], object]] = {
    "without the seal": _patched("tolstoy_operator.services.refresh.parts.Ledger", _WithoutSeal),
    "without waiting for the claim of another": _patched(
        f"{refresher_module.__name__}.patience", lambda *_arguments, **_named: 0.0
    ),
    "without tracing edited documents": _patched("tolstoy_operator.services.refresh.view._trace", _untraced),
    "without carrying doubts": _patched(f"{refresher_module.__name__}.fates", _nothing_known),
    "with a lease that two can have": _patched(f"{store_module.__name__}.StoreClient.take_label", _lend),
    "with a fence by the slowest clock": _patched(f"{spending_module.__name__}.longest", shortest),
}
"""Variants that replace one function of the protocol."""
