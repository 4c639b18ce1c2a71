"""When the Secret of a namespace that lost its binding goes, and when it is held back."""

from __future__ import annotations

import pytest

from tests.support.objects import credential_object, namespace_object
from tests.unit.engine.world import Clock
from tolstoy_operator.domain.existing import fingerprint_with
from tolstoy_operator.engine.bindings import HELD_PAUSE, Unbound
from tolstoy_operator.engine.inventory import Inventory
from tolstoy_operator.engine.records import Credential

GRACE = 600.0


class Bench:
    """Namespaces by number, each with one credential of `org`."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.inventory = Inventory(fingerprint_with(b"key"))
        self.unbound = Unbound(self.inventory, clock=self.clock, grace=GRACE)
        self._version = 0

    def bind(self, *numbers: int, orgs: str = "org") -> None:
        self._version += 1
        for number in numbers:
            self.inventory.observe_namespace(namespace_object(f"ns{number}", version=self._version, allowed_orgs=orgs))

    def credential(self, number: int, name: str = "c") -> Credential:
        key = (f"ns{number}", name)
        if self.inventory.credential(key) is None:
            spec = {"tool": "github", "orgId": "org"}
            self.inventory.observe_credential(
                credential_object(name, namespace=key[0], uid=f"{name}{number}", spec=spec)
            )
        found = self.inventory.credential(key)
        assert found is not None
        return found

    def lose(self, *numbers: int) -> list[float]:
        self.bind(*numbers, orgs="")
        return [self.unbound.seconds_left(self.credential(number)) for number in numbers]


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.bind(*range(30))
    for number in range(30):
        bench.credential(number)
    return bench


def test_the_grace_begins_at_the_first_look_and_ends(bench: Bench) -> None:
    assert bench.lose(0) == [GRACE]
    bench.clock.now += GRACE - 1
    assert bench.unbound.seconds_left(bench.credential(0)) == 1
    bench.clock.now += 1
    assert bench.unbound.seconds_left(bench.credential(0)) == 0


def test_a_binding_that_is_back_starts_it_anew(bench: Bench) -> None:
    bench.lose(0)
    bench.clock.now += GRACE
    bench.unbound.bound(bench.credential(0))
    assert bench.unbound.seconds_left(bench.credential(0)) == GRACE


def test_two_of_few_are_no_mass(bench: Bench) -> None:
    bench.lose(0, 1)
    bench.clock.now += GRACE
    assert not bench.unbound.held()


def test_a_tenth_is_no_mass_and_more_is(bench: Bench) -> None:
    bench.lose(0, 1, 2)
    bench.clock.now += GRACE
    assert bench.unbound.seconds_left(bench.credential(0)) == 0, "3 of 30"
    bench.lose(3)
    bench.clock.now += GRACE
    assert bench.unbound.seconds_left(bench.credential(0)) == HELD_PAUSE, "4 of 30"


def test_several_credentials_of_one_binding_count_once(bench: Bench) -> None:
    bench.lose(0)
    for name in ("d", "e", "f", "g"):
        bench.unbound.seconds_left(bench.credential(0, name))
    bench.clock.now += GRACE
    assert not bench.unbound.held()


@pytest.mark.parametrize("how", ["back", "deleted", "forgotten"])
def test_held_ends_when_enough_are_back_or_gone(bench: Bench, how: str, caplog: pytest.LogCaptureFixture) -> None:
    bench.lose(0, 1, 2, 3)
    bench.clock.now += GRACE
    assert bench.unbound.held()
    assert bench.unbound.held()
    for number in (2, 3):
        found = bench.credential(number)
        if how == "back":
            bench.bind(number)
            bench.unbound.bound(found)
        elif how == "deleted":
            bench.inventory.forget_credential(found.key, found.uid)
        else:
            bench.unbound.forget(found.uid)
    assert bench.unbound.held(), "it is judged once a second"
    bench.clock.now += 1
    assert not bench.unbound.held()
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_a_spec_that_cannot_be_read_is_no_binding(bench: Bench) -> None:
    bench.inventory.observe_credential(credential_object("bad", namespace="ns0", uid="bad", spec={"tool": "NO"}))
    broken = bench.inventory.credential(("ns0", "bad"))
    assert broken is not None
    assert bench.unbound.seconds_left(broken) == GRACE
