"""Several deletions of one grant: whoever goes first takes nothing from those that still wait."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from tests.unit.engine.test_departures import FAILING, KEY, Shop
from tests.unit.engine.world import REVOCATION_TIMEOUT, UPSTREAM, FakeRevocations
from tests.unit.services.scene import STRICT, Scene
from tolstoy_operator.domain.tokenhealth import Revocation, RevocationResult
from tolstoy_operator.kube.errors import KubeUnavailable
from tolstoy_operator.observability.audit import Actor
from tolstoy_operator.services.endpoints import Endpoints
from tolstoy_operator.services.refresh.revocation import Revoker
from tolstoy_operator.services.revocation import Outcome, RevocationService, Revoked

OTHER = "other"


@pytest.fixture
def shop() -> Shop:
    return Shop()


async def both_go(shop: Shop) -> None:
    """`OTHER` goes first, and half its time is over when the other one follows."""
    await shop.ask()
    await shop.ask(OTHER)
    shop.delete_credential(OTHER)
    shop.clock.now += REVOCATION_TIMEOUT / 2
    shop.delete_credential()


async def test_the_last_one_finishes(shop: Shop) -> None:
    await both_go(shop)
    shop.revocations.answers = [FAILING, FAILING, FAILING]
    await shop.depart()
    await shop.depart(OTHER)
    shop.clock.now += REVOCATION_TIMEOUT / 2

    assert await shop.depart(OTHER) is None
    assert shop.revocations.finished == [], "the other one has to know what was meant"
    assert await shop.depart() is None
    assert shop.revocations.finished == [UPSTREAM]
    assert shop.events() == ["RevocationPending", "RevocationPending", "RevocationFailed", "Revoked"]


@pytest.mark.parametrize("outcome", [Outcome.REVOKED, Outcome.SUPERSEDED])
async def test_one_that_waits_is_told_how_it_ended(shop: Shop, outcome: Outcome) -> None:
    await both_go(shop)
    shop.revocations.answers = [FAILING, Revoked(outcome, "because"), Revoked(outcome, "because")]
    await shop.depart()

    assert await shop.depart(OTHER) is None
    assert shop.revocations.finished == []
    assert await shop.depart() is None
    assert shop.revocations.finished == [UPSTREAM]


async def test_one_that_does_not_want_it_any_more_is_no_end(shop: Shop) -> None:
    await both_go(shop)
    shop.credential(OTHER, oauth={"revocationPolicy": "Orphan"})
    shop.revocations.answers = [FAILING]
    await shop.depart()

    assert await shop.depart(OTHER) is None
    assert shop.revocations.finished == []


async def test_what_was_given_up_is_not_begun_anew_when_its_finalizer_stayed(shop: Shop) -> None:
    """Its mark is gone, so that a consent which came meanwhile would be taken for what was meant."""
    await shop.ask()
    shop.delete_credential()
    shop.clock.now += REVOCATION_TIMEOUT
    shop.revocations.answers = [FAILING]
    shop.kube.fail("PATCH", "toolcredentials/github", KubeUnavailable(), times=1)
    with pytest.raises(KubeUnavailable):
        await shop.depart()

    assert await shop.departures.depart(KEY) is None

    assert shop.revocations.asked == [UPSTREAM]
    assert shop.finalizers() is None
    assert shop.events() == ["RevocationFailed"]


async def test_two_that_give_up_at_once_leave_nothing_behind(shop: Shop) -> None:
    """The finalizer of the first stays for a while, and the second one is the last all the same."""
    await both_go(shop)
    shop.clock.now += REVOCATION_TIMEOUT
    shop.revocations.answers = [FAILING, FAILING]
    shop.kube.fail("PATCH", f"toolcredentials/{OTHER}", KubeUnavailable(), times=1)
    with pytest.raises(KubeUnavailable):
        await shop.depart(OTHER)
    assert shop.revocations.finished == []

    assert await shop.depart() is None
    assert shop.revocations.finished == [UPSTREAM]
    assert await shop.depart(OTHER) is None
    assert shop.revocations.finished == [UPSTREAM]


class RealRevocations(FakeRevocations):
    """Not one that answers as told, but the protocol's own, at the provider of a scene."""

    def __init__(self, shop: Shop, scene: Scene) -> None:
        super().__init__()
        provider = scene.provider
        endpoint = SimpleNamespace(
            traits=STRICT, revocable=provider.revocable, revoke=provider.revoke, alive=provider.alive
        )
        self._service = RevocationService(
            revoker=Revoker(scene.parts()),
            endpoints=cast(Endpoints, SimpleNamespace(of=lambda _tool: endpoint)),
            secrets=shop.secrets,
            on_revocation=lambda _tool, _outcome: None,
            record=lambda _entry: None,
        )

    async def revoke(self, name: str, *, actor: Actor) -> Revoked:
        return await self._service.revoke(name, actor=actor)

    async def finish(self, name: str) -> None:
        await self._service.finish(name)


async def test_a_consent_that_came_meanwhile_is_no_prey_of_the_one_that_still_waits() -> None:
    shop, scene = Shop(), Scene()
    shop.revocations = RealRevocations(shop, scene)
    shop.restart()
    await both_go(shop)
    scene.provider.answer = Revocation(RevocationResult.RETRY, "http_503")
    assert await shop.depart() is not None
    shop.clock.now += REVOCATION_TIMEOUT / 2
    assert await shop.depart(OTHER) is None
    scene.consent(7)
    scene.provider.answer = None

    assert await shop.depart() is None

    assert shop.notes()[-1] == ("GrantKept", f"{UPSTREAM}: a new consent was stored meanwhile, and stays")
    assert {"access-7", "refresh-7"} <= scene.provider.alive_tokens
