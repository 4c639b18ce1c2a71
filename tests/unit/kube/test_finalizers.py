"""Our finalizer goes on and off single objects without touching anything that was not looked at."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tests.support.fakekube import FakeKube
from tolstoy_operator.api.names import FINALIZER
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.client import KubeClient
from tolstoy_operator.kube.errors import Conflict, Forbidden
from tolstoy_operator.kube.finalizers import FinalizersApi, release_finalizers

PATH = paths.credential("shop", "github")
THEIRS = "example.com/theirs"


class Place:
    """One credential, and the API under test."""

    def __init__(self, *finalizers: str) -> None:
        self.kube = FakeKube()
        self.body = self.kube.put(PATH, {"spec": {}, "metadata": {"finalizers": list(finalizers)}})
        self.api = FinalizersApi(cast(KubeClient, self.kube))

    @property
    def seen(self) -> tuple[str, str, str, list[str], int]:
        """What the caller knows, as it was looked at in the beginning."""
        meta = self.body["metadata"]
        return "shop", "github", meta["uid"], meta.get("finalizers", []), int(meta["resourceVersion"])

    def finalizers(self) -> list[str]:
        body = self.kube.find(PATH)
        assert body is not None
        return list(body["metadata"].get("finalizers", []))

    def change(self, **meta: Any) -> None:
        self.kube.edit(PATH, lambda body: body["metadata"].update(meta))


@pytest.mark.parametrize("others", [(), (THEIRS,)])
async def test_it_comes_and_goes(others: tuple[str, ...]) -> None:
    place = Place(*others)

    place.body = await place.api.add(*place.seen) or {}
    assert place.finalizers() == [*others, FINALIZER]

    await place.api.remove(*place.seen)
    assert place.finalizers() == list(others)


async def test_it_is_not_put_on_what_has_changed() -> None:
    place = Place()
    place.change(finalizers=[THEIRS])

    with pytest.raises(Conflict):
        await place.api.add(*place.seen)

    assert place.finalizers() == [THEIRS]


async def test_it_goes_whatever_else_has_changed() -> None:
    place = Place(FINALIZER)
    place.change(labels={"a": "b"})

    await place.api.remove(*place.seen)

    assert place.finalizers() == []


async def test_somebody_elses_is_never_taken_off_instead() -> None:
    place = Place(THEIRS, FINALIZER)
    place.change(finalizers=[FINALIZER, THEIRS])

    with pytest.raises(Conflict):
        await place.api.remove(*place.seen)

    assert place.finalizers() == [FINALIZER, THEIRS]


@pytest.mark.parametrize("method", ["add", "remove"])
async def test_a_successor_of_the_same_name_is_left_alone(method: str) -> None:
    place = Place(FINALIZER)
    place.kube.remove(PATH)
    place.kube.put(PATH, {"spec": {}, "metadata": {"finalizers": [FINALIZER]}})

    with pytest.raises(Conflict):
        await getattr(place.api, method)(*place.seen)

    assert place.finalizers() == [FINALIZER]


async def test_what_is_gone_needs_nothing() -> None:
    place = Place(FINALIZER)
    place.kube.remove(PATH)

    assert await place.api.remove(*place.seen) is None
    assert await place.api.add(*place.seen) is None


async def test_a_refusal_is_told() -> None:
    place = Place()
    place.kube.fail("PATCH", PATH, Forbidden())

    with pytest.raises(Forbidden):
        await place.api.add(*place.seen)


async def test_all_of_them_before_the_operator_goes() -> None:
    place = Place(THEIRS, FINALIZER)
    other = paths.credential("shop", "other")
    place.kube.put(other, {"spec": {}, "metadata": {"finalizers": [THEIRS]}})

    assert await release_finalizers(cast(KubeClient, place.kube)) == 1

    assert place.finalizers() == [THEIRS]
