"""First tokens: from a Secret of the tenant to the store, once, and only where that is granted."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.engine.world import SHOP, UPSTREAM, World
from tests.unit.services.scene import Scene
from tolstoy_operator.api import names
from tolstoy_operator.domain.errors import StoreUnavailable
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.errors import Conflict, KubeUnavailable
from tolstoy_operator.observability.logs import AUDIT
from tolstoy_operator.services.refresh.endings import Current

SOURCE = paths.secrets(SHOP, "consent-result")
FROM: dict[str, Any] = {"initialTokensFrom": {"secretRef": {"name": "consent-result"}}}


def hand_over(world: World, label: str = names.IMPORT_VALUE, **data: str) -> None:
    """What the consent application writes."""
    ends = int((world.clock.now + 3600) * 1000)
    tokens = {"accessToken": "canary-t1", "refreshToken": "canary-r1", "expiresAt": str(ends), "clientId": "c"}
    issued = (world.clock.date() - timedelta(seconds=1)).isoformat()
    world.put_secret(
        "consent-result",
        {**tokens, "clientSecret": "canary-s", "lastUpdated": issued, **data},
        labels={names.MANAGED_LABEL: label},
    )


@pytest.fixture
def granted(world: World) -> World:
    world.store.remove(UPSTREAM)
    world.namespace(allow_import="true")
    return world


async def test_they_are_stored_mirrored_and_taken_away(granted: World) -> None:
    hand_over(granted)
    granted.credential(**FROM)
    await granted.settle()
    assert json.loads(granted.store.read(UPSTREAM))["refreshToken"] == "canary-r1"
    assert (granted.data() or {})["accessToken"] == "canary-t1"
    assert granted.data("consent-result") is None
    assert granted.reason() == "Synced"


async def test_those_that_come_later_are_taken_when_they_come(granted: World) -> None:
    granted.credential(**FROM)
    await granted.settle()
    assert granted.reason() == "SecretNotFound"
    hand_over(granted)
    await granted.settle()
    assert granted.reason() == "Synced"


TOMBSTONE: dict[str, Any] = {"clientId": "c", "tolstoy": {"revoked": True}}


async def test_they_end_a_revocation(granted: World) -> None:
    granted.store.write(UPSTREAM, TOMBSTONE)
    granted.credential(**FROM)
    await granted.settle()
    assert granted.reason() == "Revoked"
    hand_over(granted)
    await granted.settle()
    assert granted.reason() == "Synced"
    assert (granted.data() or {})["accessToken"] == "canary-t1"


async def refresh(world: World) -> dict[str, Any]:
    """What is in the store is refreshed, half an hour later. Returns what is there then."""
    world.clock.now += 1800
    scene = Scene()
    scene.store, scene.time.now = world.store, world.clock.now
    scene.provider.family |= {json.loads(world.store.read(UPSTREAM))["refreshToken"]: 0}
    assert isinstance(await scene.refresh(), Current)
    return scene.document()


async def test_a_consent_that_had_to_wait_replaces_an_older_one_that_was_refreshed_meanwhile(world: World) -> None:
    issued = world.clock.date().isoformat()
    world.store.write(UPSTREAM, {"accessToken": "old", "refreshToken": "old", "clientId": "c", "lastUpdated": issued})
    world.credential(**FROM)
    world.clock.now += 60
    hand_over(world)
    await world.settle()
    assert world.reason() == "ImportNotGranted"
    await refresh(world)

    world.namespace(allow_import="true")
    await world.settle()

    assert json.loads(world.store.read(UPSTREAM))["refreshToken"] == "canary-r1"
    assert (world.reason(), world.events()[-1]) == ("Synced", "Synced")


async def test_a_consent_that_is_newer_stays_and_that_is_said(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.credential(**FROM)
    hand_over(world)
    await world.settle()
    newer = {"accessToken": "a", "refreshToken": "r", "clientId": "c", "lastUpdated": world.clock.date().isoformat()}
    world.store.write(UPSTREAM, newer)
    stored = await refresh(world)

    world.namespace(allow_import="true")
    with caplog.at_level(logging.INFO, AUDIT):
        await world.settle()

    assert json.loads(world.store.read(UPSTREAM)) == stored
    assert world.data("consent-result") is None
    (event,) = [body for body in world.kube.all(paths.events(SHOP)).values() if body["reason"] == "ImportSkipped"]
    assert event["type"] == "Warning"
    assert "its tokens are of 2026-05-01T11:59:59Z" in event["note"]
    assert f"the consent in {UPSTREAM} is of 2026-05-01T12:00:00Z and stays" in event["note"]
    assert f"import of {UPSTREAM} ended kept" in caplog.messages


async def test_what_was_stored_and_refreshed_is_not_undone_by_what_could_not_be_taken_away(granted: World) -> None:
    hand_over(granted)
    granted.credential(**FROM)
    granted.kube.fail("DELETE", "consent-result", KubeUnavailable(), times=1)
    granted.deliver()
    with pytest.raises(KubeUnavailable):
        await granted.reconcile()
    stored = await refresh(granted)

    await granted.look_at_all()

    assert json.loads(granted.store.read(UPSTREAM)) == stored
    assert granted.data("consent-result") is None


async def test_not_without_the_right(world: World) -> None:
    hand_over(world)
    before = world.store.read(UPSTREAM)
    world.credential(**FROM)
    await world.settle()
    assert world.reason() == "ImportNotGranted"
    assert world.store.read(UPSTREAM) == before
    assert world.data("consent-result") is not None


@pytest.mark.parametrize("spec", [{}, {**FROM, "tool": None, "orgId": None, "secretName": "platform"}])
async def test_not_unless_a_spec_of_an_organisation_names_it(granted: World, spec: dict[str, Any]) -> None:
    granted.namespace(allow_import="true", allowed_secrets="platform")
    granted.store.write("platform", {"apiKey": "x"})
    hand_over(granted)
    granted.credential(**spec)
    await granted.settle()
    assert granted.data("consent-result") is not None


async def test_a_secret_without_the_label_is_not_looked_at(granted: World) -> None:
    hand_over(granted, label="true")
    granted.credential(**FROM)
    await granted.settle()
    assert granted.data("consent-result") is not None
    assert granted.reason() == "SecretNotFound"


@pytest.mark.parametrize("data", [{"expiresAt": "soon"}, {"accessToken": "", "refreshToken": ""}])
async def test_what_makes_no_sense_is_said_and_stays(granted: World, data: dict[str, str]) -> None:
    hand_over(granted, **data)
    granted.credential(**FROM)
    await granted.settle()
    assert granted.reason() == "SecretMalformed"
    assert "consent-result" in granted.message()
    assert "canary" not in granted.message()
    assert granted.data("consent-result") is not None


async def test_data_that_cannot_be_decoded_is_said(granted: World) -> None:
    hand_over(granted)
    granted.kube.edit(SOURCE, lambda body: body["data"].update(accessToken="***"))
    granted.credential(**FROM)
    await granted.settle()
    assert granted.reason() == "SecretMalformed"


async def test_a_store_that_does_not_answer_loses_nothing(granted: World) -> None:
    hand_over(granted)
    for operation in ("get", "create", "put", "describe"):
        granted.store.fail(operation, StoreUnavailable)
    granted.credential(**FROM)
    await granted.settle()
    assert granted.reason() == "UpstreamUnavailable"
    assert granted.data("consent-result") is not None
    granted.store.heal()
    await granted.look_at_all()
    assert granted.reason() == "Synced"


async def test_one_that_changes_meanwhile_is_taken_once_more(granted: World) -> None:
    hand_over(granted)
    granted.credential(**FROM)
    granted.kube.fail("DELETE", "consent-result", Conflict(), times=1)
    await granted.settle()
    await granted.look_at_all()
    assert granted.data("consent-result") is None


async def test_one_whose_label_was_taken_off_meanwhile_is_left_alone(granted: World) -> None:
    hand_over(granted)
    granted.credential(**FROM)
    granted.deliver()
    granted.kube.edit(SOURCE, lambda body: body["metadata"].update(labels={}))
    await granted.reconcile()
    assert granted.data("consent-result") is not None
    assert granted.store.count("put", "create") == 0


async def test_one_that_is_gone_meanwhile_is_fine(granted: World) -> None:
    hand_over(granted)
    granted.credential(**FROM)
    granted.deliver()
    granted.kube.remove(SOURCE)
    await granted.reconcile()
    assert granted.reason() == "SecretNotFound"


async def test_the_api_server_away_is_an_error(granted: World) -> None:
    hand_over(granted)
    granted.credential(**FROM)
    granted.deliver()
    granted.kube.fail("GET", "consent-result", KubeUnavailable())
    with pytest.raises(KubeUnavailable):
        await granted.reconcile()
