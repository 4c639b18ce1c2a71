"""Who is worked on when, and that no trouble of one credential is anybody else's."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import pytest

from tests.support.objects import credential_object, namespace_object, secret_object
from tests.unit.engine.world import Clock
from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.domain.existing import fingerprint_with
from tolstoy_operator.engine import dispatcher as module
from tolstoy_operator.engine.bindings import Unbound
from tolstoy_operator.engine.dispatcher import Dispatcher
from tolstoy_operator.engine.inventory import Inventory
from tolstoy_operator.engine.records import Key
from tolstoy_operator.engine.workqueue import WorkQueue
from tolstoy_operator.kube.errors import Conflict, KubeUnavailable

KEY = ("shop", "github")


def synced() -> dict[str, object]:
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Synced",
        "message": "fine",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 1,
    }
    return {"conditions": [ready]}


class FakeJanitor:
    """Counts how often it was woken."""

    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


Answer = tuple[Reason | None, float | None]


class Bench:
    """A dispatcher whose reconciler does what the test says."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.inventory = Inventory(fingerprint_with(b"key"))
        self.queue = WorkQueue(self.clock)
        self.unbound = Unbound(self.inventory, clock=self.clock, grace=600)
        self.janitor = FakeJanitor()
        self.worked: list[tuple[Key, int]] = []
        self.outcomes: list[str] = []
        self.gone: list[Key] = []
        self.behave: Callable[[Key], Answer | Exception] = lambda key: (Reason.SYNCED, None)
        self.gate: asyncio.Event | None = None
        self.dispatcher = Dispatcher(
            inventory=self.inventory,
            queue=self.queue,
            reconcile=self.reconcile,
            unbound=self.unbound,
            janitor=self.janitor,  # type: ignore[arg-type]
            workers=2,
            uniform=lambda low, high: high,
            on_sync=lambda outcome, seconds: self.outcomes.append(outcome),
            on_gone=self.gone.append,
        )
        self._leading: asyncio.Task[None] | None = None

    async def reconcile(self, key: Key, failures: int) -> Answer:
        self.worked.append((key, failures))
        if self.gate is not None:
            await self.gate.wait()
        answer = self.behave(key)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def see(self, name: str = "github", **how: object) -> None:
        self.dispatcher.observe_credential(credential_object(name, **how), deleted=False)  # type: ignore[arg-type]

    def lead(self) -> asyncio.Task[None]:
        self._leading = asyncio.create_task(self.dispatcher.lead())
        return self._leading

    async def idle(self) -> None:
        """Until nobody has anything to do right now."""
        for _ in range(50):
            await asyncio.sleep(0)

    async def close(self) -> None:
        self.dispatcher.stop()
        if self.gate is not None:
            self.gate.set()
        if self._leading is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._leading


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.close()


async def test_a_standby_works_on_nothing_and_a_leader_starts_with_everything(bench: Bench) -> None:
    bench.see("a", uid="1")
    bench.see("b", uid="2", status=synced())
    await bench.idle()
    assert bench.queue.depth == 0
    bench.lead()
    await bench.idle()
    assert [key[1] for key, _ in bench.worked] == ["a", "b"]


async def test_what_was_never_synced_goes_first(bench: Bench) -> None:
    bench.gate = asyncio.Event()
    bench.lead()
    await bench.idle()
    for number in range(2):
        bench.see(f"busy-{number}", uid=f"b{number}")
    await bench.idle()
    bench.see("old", uid="1", status=synced())
    bench.see("new", uid="2")
    bench.dispatcher.look_later([("shop", "busy-0")])
    bench.gate.set()
    await bench.idle()
    assert [key[1] for key, _ in bench.worked] == ["busy-0", "busy-1", "new", "old", "busy-0"]


async def test_an_echo_is_no_work(bench: Bench) -> None:
    bench.lead()
    bench.see(version=10)
    await bench.idle()
    bench.see(version=11, labels={"x": "y"})
    await bench.idle()
    assert len(bench.worked) == 1


async def test_changes_of_secrets_and_namespaces_are_work_for_those_concerned(bench: Bench) -> None:
    bench.see()
    bench.lead()
    await bench.idle()
    bench.dispatcher.observe_secret(secret_object(version=20), deleted=False)
    await bench.idle()
    bench.dispatcher.observe_secret(secret_object(version=25), deleted=True)
    await bench.idle()
    bench.dispatcher.observe_namespace(namespace_object(version=5, allowed_orgs="a"), deleted=False)
    await bench.idle()
    bench.dispatcher.observe_namespace(namespace_object(version=9), deleted=True)
    await bench.idle()
    assert len(bench.worked) == 4
    assert bench.inventory.namespace("shop") is None


async def test_a_look_comes_when_it_was_asked_for(bench: Bench) -> None:
    pauses = iter([0.0, None])
    bench.behave = lambda key: (Reason.SYNCED, next(pauses))
    bench.see()
    bench.lead()
    while len(bench.worked) < 2:
        await asyncio.sleep(0.001)


async def test_failures_are_counted_until_it_ends_well(bench: Bench) -> None:
    answers: list[Answer | Exception] = [
        KubeUnavailable(),
        Conflict(),
        (Reason.UPSTREAM_UNAVAILABLE, None),
        RuntimeError("a defect"),
        (Reason.SYNCED, None),
        (None, None),
    ]
    bench.behave = lambda key: answers.pop(0)
    bench.see()
    bench.lead()
    for _ in range(6):
        await bench.idle()
        bench.dispatcher.look_later([KEY])
    await bench.idle()
    assert [failures for _, failures in bench.worked[:6]] == [0, 1, 2, 3, 4, 0]
    assert bench.outcomes[:6] == [
        "KubeUnavailable",
        "Conflict",
        "UpstreamUnavailable",
        "InternalError",
        "Synced",
        "Nothing",
    ]
    assert bench.dispatcher.failures(KEY) == 1, "the list of answers has ended, which is a defect, too"


@pytest.mark.parametrize("error", [KubeUnavailable(), Conflict(), RuntimeError("a defect")])
async def test_what_failed_is_tried_again_by_itself(bench: Bench, error: Exception) -> None:
    bench.behave = lambda key: error
    bench.see()
    bench.lead()
    await bench.idle()
    assert bench.queue.knows(KEY), "it is due some time"


async def test_a_reconciliation_that_never_ends_is_ended(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_RECONCILIATION", 0.01)
    bench.gate = asyncio.Event()
    bench.see()
    bench.lead()
    while not bench.outcomes:
        await asyncio.sleep(0.001)
    assert bench.outcomes == ["Timeout"]
    assert bench.dispatcher.failures(KEY) == 1


async def test_one_that_went_is_forgotten_and_others_are_told(bench: Bench) -> None:
    target = {"tool": "x", "orgId": "o", "target": {"name": "shared"}}
    bench.see("a", uid="1", spec=target)
    bench.see("b", uid="2", spec=target)
    bench.behave = lambda key: (Reason.TARGET_CONFLICT, 100.0)
    bench.lead()
    await bench.idle()
    bench.worked.clear()
    woken = bench.janitor.woken
    bench.dispatcher.observe_credential(credential_object("a", uid="1", version=50), deleted=True)
    await bench.idle()
    assert [key[1] for key, _ in bench.worked] == ["b"]
    assert bench.gone == [("shop", "a")]
    assert bench.janitor.woken == woken + 1
    assert bench.dispatcher.failures(("shop", "a")) == 0
    assert not bench.queue.knows(("shop", "a"))


async def test_one_that_goes_while_it_is_worked_on_is_not_looked_at_again(bench: Bench) -> None:
    bench.gate = asyncio.Event()
    bench.behave = lambda key: (Reason.SYNCED, 0.0)
    bench.see()
    bench.lead()
    await bench.idle()
    bench.dispatcher.observe_credential(credential_object(version=50), deleted=True)
    bench.gate.set()
    await bench.idle()
    assert not bench.queue.knows(KEY)
    assert bench.queue.running == 0


async def test_the_end_of_a_predecessor_after_its_successor_was_seen(bench: Bench) -> None:
    bench.see(uid="old", version=10)
    old = bench.inventory.credential(KEY)
    assert old is not None
    bench.unbound.seconds_left(old)
    bench.lead()
    await bench.idle()
    bench.see(uid="new", version=20)
    bench.dispatcher.observe_credential(credential_object(uid="old", version=19), deleted=True)
    await bench.idle()
    assert bench.inventory.credential(KEY) is not None
    assert bench.gone == []
    assert bench.unbound._since == {}, "the old one counts as lost no more"


async def test_stop_lets_what_is_in_hand_finish_and_takes_no_more(bench: Bench) -> None:
    bench.gate = asyncio.Event()
    for name in "abc":
        bench.see(name, uid=name)
    leading = bench.lead()
    await bench.idle()
    bench.dispatcher.stop()
    bench.see("d", uid="d")
    await bench.idle()
    assert not leading.done()
    bench.gate.set()
    await leading
    assert len(bench.worked) == 2


@pytest.mark.parametrize("deleted", [False, True], ids=["seen", "gone"])
@pytest.mark.parametrize("what", ["credential", "secret", "namespace"])
def test_it_knows_when_a_watch_told_something_last(what: str, deleted: bool) -> None:
    dispatcher = Bench().dispatcher
    bodies = {"credential": credential_object(), "secret": secret_object(), "namespace": namespace_object()}
    before = time.monotonic()
    assert dispatcher.last_observed < before
    getattr(dispatcher, f"observe_{what}")(bodies[what], deleted=deleted)
    assert before <= dispatcher.last_observed <= time.monotonic()


@pytest.mark.parametrize("answer", [(Reason.SYNCED, None), KubeUnavailable(), RuntimeError("a defect")], ids=str)
async def test_it_knows_when_it_finished_something_last(bench: Bench, answer: Answer | Exception) -> None:
    bench.behave = lambda key: answer
    bench.gate = asyncio.Event()
    before = time.monotonic()
    bench.see()
    bench.lead()
    await bench.idle()
    assert bench.worked
    assert bench.dispatcher.last_finished < before, "it has only begun"
    bench.gate.set()
    await bench.idle()
    assert before <= bench.dispatcher.last_finished <= time.monotonic()
