"""A grant of sensitive keys that is taken back: what it let through leaves the Secrets, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.engine.world import SHOP, UPSTREAM, World
from tolstoy_operator.api import names
from tolstoy_operator.domain.errors import StoreUnavailable
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.errors import Unprocessable

OAUTH = {"accessToken": "a1", "refreshToken": "r1", "clientId": "c1", "clientSecret": "s1"}
TARGET: dict[str, Any] = {"keys": ["accessToken", "refreshToken"], "template": {"B": "${clientId}:${clientSecret}"}}
LEFT = {"accessToken": "a1"}


@pytest.fixture
async def granted(world: World) -> World:
    world.store.write(UPSTREAM, OAUTH)
    world.namespace(allow_sensitive_keys="true")
    world.credential(target=TARGET)
    await world.settle()
    assert (world.data() or {}).keys() == {"accessToken", "refreshToken", "B"}
    return world


async def test_they_leave_and_the_rest_stays(granted: World) -> None:
    granted.namespace()
    await granted.settle()
    assert granted.data() == LEFT
    assert granted.reason() == "SensitiveKeyNotGranted"
    assert granted.status()["target"]["keys"] == ["accessToken"]
    granted.kube.writes()
    await granted.look_at_all()
    assert granted.kube.writes() == []


async def test_they_come_back_with_the_grant(granted: World) -> None:
    granted.namespace()
    await granted.settle()
    granted.namespace(allow_sensitive_keys="true")
    await granted.settle()
    assert (granted.data() or {})["refreshToken"] == "r1"
    assert granted.reason() == "Synced"


async def test_a_suspended_credential_is_no_exception(granted: World) -> None:
    granted.credential(target=TARGET, suspend=True)
    granted.namespace()
    await granted.settle()
    assert granted.data() == LEFT


async def test_a_store_that_is_away_is_no_exception(granted: World) -> None:
    for operation in ("get", "get_many"):
        granted.store.fail(operation, StoreUnavailable)
    granted.secrets.clear()
    granted.namespace()
    await granted.settle()
    assert granted.data() == LEFT


async def test_a_name_inside_a_member_makes_it_sensitive_too(world: World) -> None:
    world.store.write(UPSTREAM, {"config": {"private_key": "p1"}, "apiKey": "k1"})
    world.namespace(allow_sensitive_keys="true")
    world.credential(type="ApiKey", target={"keys": ["apiKey"], "template": {"config.json": "${config|json}"}})
    await world.settle()
    assert "p1" in (world.data() or {})["config.json"]
    world.namespace()
    await world.settle()
    assert world.data() == {"apiKey": "k1"}


@pytest.mark.parametrize("how", ["type", "immutable"])
async def test_a_secret_that_cannot_be_without_them_goes_as_a_whole(world: World, how: str) -> None:
    world.store.write(UPSTREAM, {"apiKey": "k1", "tls.key": "p1", "tls.crt": "c1"})
    world.namespace(allow_sensitive_keys="true")
    kind = "kubernetes.io/tls" if how == "type" else "Opaque"
    world.credential(type="ApiKey", target={"type": kind, "keys": ["tls.crt", "tls.key"]})
    await world.settle()
    if how == "type":  # what a real API server says to a TLS Secret without a key
        world.kube.fail("PATCH", "secrets/github", Unprocessable(reason="Invalid"))
    else:
        world.kube.edit(paths.secrets(SHOP, "github"), lambda body: body.update(immutable=True))
    world.namespace()
    await world.settle()
    assert world.data() is None


async def test_merged_keys_leave_the_secret_of_somebody_else(world: World) -> None:
    world.store.write(UPSTREAM, OAUTH)
    world.namespace(allow_sensitive_keys="true")
    world.put_secret("web", {"refreshToken2": "theirs"}, annotations={names.ALLOW_MERGE: "github"})
    world.credential(target={**TARGET, "name": "web", "creationPolicy": "Merge"})
    await world.settle()
    assert (world.data("web") or {})["refreshToken"] == "r1"
    world.namespace()
    await world.settle()
    assert world.data("web") == {"refreshToken2": "theirs", **LEFT}


async def test_a_secret_that_it_left_behind_by_a_new_name_is_stripped_as_well(granted: World) -> None:
    granted.namespace()
    granted.credential(target={**TARGET, "name": "other"})
    await granted.settle()
    assert granted.data("other") is None
    assert granted.data() == LEFT
