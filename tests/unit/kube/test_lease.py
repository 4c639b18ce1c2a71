"""The elector against a Lease in memory, on virtual time."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from tests.support.fakelease import EPOCH, Replica, replicas, virtual, virtual_time
from tests.support.virtualtime import run_virtual
from tolstoy_operator.kube.lease import LeaseTiming, new_identity, steady_clock


@virtual
async def test_the_first_one_leads_at_once_and_the_lease_says_so() -> None:
    async with replicas("a") as (server, [a]):
        await a.elector.wait_leader()
        assert virtual_time() == 0
        assert a.elector.is_leader
        assert server.lease is not None
        assert (server.lease["apiVersion"], server.lease["kind"]) == ("coordination.k8s.io/v1", "Lease")
        assert server.spec == {
            "holderIdentity": "a",
            "leaseDurationSeconds": 10,
            "acquireTime": "2026-01-01T00:00:00.000000Z",
            "renewTime": "2026-01-01T00:00:00.000000Z",
            "leaseTransitions": 0,
        }
        await asyncio.sleep(60.5)
        assert server.spec["renewTime"] == "2026-01-01T00:01:00.000000Z"
        assert server.spec["acquireTime"] == "2026-01-01T00:00:00.000000Z"
        assert a.changes == [("started", 0)]


@virtual
async def test_a_leader_costs_one_request_and_a_standby_one_in_two_seconds() -> None:
    async with replicas("a", "b") as (server, [a, b]):
        await asyncio.sleep(100)
        assert 45 <= a.link.requests <= 52
        assert 40 <= b.link.requests <= 52
        assert server.writes == a.link.requests - 1


@virtual
async def test_after_a_crash_another_takes_over_within_15_seconds_but_not_before_the_lease_ran_out() -> None:
    async with replicas("a", "b", "c") as (server, [a, *others]):
        await asyncio.sleep(31)
        renewed = 30
        await a.crash()
        waiting = [asyncio.create_task(one.elector.wait_leader()) for one in others]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert renewed + 10 <= virtual_time() <= 31 + 12.5
        await asyncio.sleep(1)
        assert sum(one.elector.is_leader for one in others) == 1
        assert server.spec["leaseTransitions"] == 1
        for one in waiting:
            one.cancel()


@virtual
async def test_a_released_lease_is_taken_at_the_next_look() -> None:
    async with replicas("a", "b") as (server, [a, b]):
        await asyncio.sleep(31)
        await a.elector.release()
        assert not a.elector.is_leader
        assert [what for what, _ in a.changes] == ["started", "stopped"]
        assert (server.spec["holderIdentity"], server.spec["leaseDurationSeconds"]) == ("", 1)
        await b.elector.wait_leader()
        assert virtual_time() <= 31 + 2.4
        await asyncio.sleep(60)
        assert a.task.done()
        assert [what for what, _ in a.changes] == ["started", "stopped"]


@virtual
async def test_release_by_a_standby_touches_nothing() -> None:
    async with replicas("a", "b") as (server, [a, b]):
        await asyncio.sleep(31)
        writes = server.writes
        await b.elector.release()
        assert server.writes == writes
        assert server.spec["holderIdentity"] == "a"
        assert a.elector.is_leader


@virtual
async def test_release_undoes_a_renewal_whose_answer_was_lost() -> None:
    async with replicas("a") as (server, [a]):
        await asyncio.sleep(3.5)
        a.link.fault = lambda: (0.0, "", 60.0)
        await asyncio.sleep(1)  # the renewal of second 4 is underway: it took effect, and its answer does not come
        a.link.fault = lambda: (0.0, "", 0.0)
        await a.elector.release()
        assert server.spec["holderIdentity"] == ""


@virtual
async def test_release_tries_again_when_an_older_write_of_ours_comes_between() -> None:
    async with replicas("a") as (server, [a]):
        await asyncio.sleep(3.9)
        assert server.lease is not None
        server.lease["metadata"]["resourceVersion"] = "from a renewal whose answer was lost"
        await a.elector.release()
        assert server.spec["holderIdentity"] == ""


@virtual
async def test_a_lease_won_during_release_is_given_back_unused() -> None:
    async with replicas("a") as (server, [a]):
        a.link.fault = lambda: (0.0, "", 1.0)
        await asyncio.sleep(1.5)  # it has read that there is no Lease, and is creating one
        await a.elector.release()
        assert a.changes == []
        assert server.spec["holderIdentity"] == ""


@virtual
async def test_release_gives_up_in_time_when_the_server_hangs() -> None:
    async with replicas("a") as (_, [a]):
        await asyncio.sleep(3)
        a.link.fault = lambda: (600.0, "", 0.0)
        await asyncio.sleep(1.5)
        await a.elector.release()
        assert virtual_time() <= 4.5 + 4
        assert not a.elector.is_leader


@pytest.mark.parametrize(
    "fault", [(0.0, "refused", 0.0), (600.0, "", 0.0), (0.0, "", 600.0), (0.0, "answer lost", 0.0)]
)
def test_a_leader_that_gets_no_answer_stops_at_the_renew_deadline(fault: tuple[float, str, float]) -> None:
    async def main() -> None:
        async with replicas("a") as (_, [a]):
            await asyncio.sleep(9)  # last renewed at 8
            a.link.fault = lambda: fault
            await asyncio.sleep(20)
            assert a.changes == [("started", 0), ("stopped", pytest.approx(15, abs=0.01))]
            assert not a.elector.is_leader
            a.link.fault = lambda: (0.0, "", 0.0)
            await asyncio.sleep(3)
            assert a.elector.is_leader

    run_virtual(main())


@virtual
async def test_leadership_counts_from_when_the_renewal_was_sent() -> None:
    async with replicas("a") as (server, [a]):
        a.link.fault = lambda: (0.0, "", 1.5)
        await asyncio.sleep(20)
        a.link.up = False
        sent = datetime.fromisoformat(server.spec["renewTime"])  # it arrives at once, only the answer takes its time
        await asyncio.sleep(20)
        what, when = a.changes[-1]
        assert what == "stopped"
        assert when == pytest.approx((sent - EPOCH).total_seconds() + 7, abs=0.01)


@virtual
async def test_short_trouble_does_not_end_leadership() -> None:
    async with replicas("a", "b") as (_, [a, b]):
        for fault in ((0.0, "refused", 0.0), (0.0, "", 600.0), (600.0, "", 0.0), (0.0, "answer lost", 0.0)):
            await asyncio.sleep(20)
            a.link.fault = lambda fault=fault: fault  # type: ignore[misc]
            await asyncio.sleep(3)
            a.link.fault = lambda: (0.0, "", 0.0)
        await asyncio.sleep(20)
        assert a.changes == [("started", 0)]
        assert b.changes == []


@virtual
async def test_a_paused_process_is_no_leader_when_it_wakes_even_before_its_loop_runs() -> None:
    async with replicas("a") as (_, [a]):
        await asyncio.sleep(9)
        a.frozen_until = 100
        await asyncio.sleep(90)
        assert a.changes == [("started", 0)]  # its loop has not run yet
        assert not a.elector.is_leader
        await asyncio.sleep(5)
        assert [what for what, _ in a.changes] == ["started", "stopped", "started"]


@virtual
async def test_a_leader_stops_at_once_when_it_reads_another_name() -> None:
    async with replicas("a") as (server, [a]):
        await asyncio.sleep(9)
        assert server.lease is not None
        server.lease["spec"]["holderIdentity"] = "somebody"
        server.lease["metadata"]["resourceVersion"] = "edited"
        await asyncio.sleep(3.5)  # a conflict at 10, a read at 12
        assert a.changes[-1] == ("stopped", 12)


@virtual
async def test_a_deleted_lease_is_not_taken_while_its_holder_may_lead() -> None:
    async with replicas("a", "b") as (server, [a, b]):
        await asyncio.sleep(9)
        a.link.up = False
        server.lease = None
        while not b.elector.is_leader:
            assert virtual_time() < 25
            await asyncio.sleep(0.1)
        assert not a.elector.is_leader
        assert virtual_time() >= 19


@virtual
async def test_a_longer_duration_of_the_holder_is_respected() -> None:
    async with replicas() as (server, _):
        server.create({"metadata": {"name": "x"}, "spec": {"holderIdentity": "old", "leaseDurationSeconds": 30}})
        b = Replica(server, "b")
        await b.elector.wait_leader()
        assert 30 <= virtual_time() <= 33
        assert server.spec["leaseTransitions"] == 1
        await b.crash()


@virtual
async def test_a_mad_duration_does_not_lock_everybody_out() -> None:
    async with replicas() as (server, _):
        server.create({"metadata": {"name": "x"}, "spec": {"holderIdentity": "old", "leaseDurationSeconds": 10**9}})
        b = Replica(server, "b")
        await b.elector.wait_leader()
        assert virtual_time() <= 63
        await b.crash()


@virtual
async def test_what_others_put_on_the_lease_stays() -> None:
    async with replicas() as (server, _):
        labels = {"team": "platform"}
        server.create({"metadata": {"name": "x", "labels": labels}, "spec": {"holderIdentity": "", "strategy": "s"}})
        a = Replica(server, "a")
        await a.elector.wait_leader()
        assert server.lease is not None
        assert server.lease["metadata"]["labels"] == labels
        assert server.spec["strategy"] == "s"
        await a.crash()


@virtual
async def test_an_answer_that_makes_no_sense_is_a_failed_try() -> None:
    async with replicas() as (server, _):
        server.lease = {"metadata": {}, "spec": None}
        a = Replica(server, "a")
        await asyncio.sleep(30)
        assert not a.task.done()
        server.lease = None
        await a.elector.wait_leader()
        await a.crash()


def test_timings_that_cannot_be_safe_are_refused() -> None:
    for bad in ((10, 9, 2), (10, 7, 4), (0, 0, 0), (10, 7, 0)):
        with pytest.raises(ValueError, match="renew_deadline"):
            LeaseTiming(*bad)


def test_identities_differ_and_the_clock_moves() -> None:
    assert new_identity("pod") != new_identity("pod")
    assert new_identity("pod").startswith("pod_")
    assert steady_clock() <= steady_clock()
