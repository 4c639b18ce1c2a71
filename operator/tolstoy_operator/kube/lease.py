"""Leader election over one `coordination.k8s.io/v1` Lease: of several replicas, one acts.

Why at most one acts at a time, without comparing the clocks of two hosts:
- A holder counts `renew_deadline` from *before* it sent its last successful write. `is_leader` is computed from the
  clock at each look, so a process that was paused is no leader from its first instruction on.
- Everybody else counts `duration` from *after* they first saw the Lease in its present state (its resourceVersion), and
  then writes under that resourceVersion. A late or duplicated write of anyone makes that write a conflict.
- So a takeover is at least `duration - renew_deadline` later than the end of the old leadership, as long as two clocks
  do not run apart by more than a tenth, and count the time that a machine sleeps (`steady_clock` does).

The margin is for calls that were in flight. Nothing that must be correct rests on the Lease: it saves work, it does not
fence writes.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from tolstoy_operator.kube.errors import Conflict

_log = logging.getLogger(__name__)

Lease = dict[str, Any]
_T = TypeVar("_T")
_LONGEST_DURATION = 60.0
_SHORTEST_PAUSE = 0.05


class LeaseApi(Protocol):
    """Access to one Lease. Bodies are whole objects as the API server has them."""

    async def get(self) -> Lease | None:
        """The Lease, None when there is none. Must not be answered from a cache."""
        ...

    async def create(self, body: Lease) -> Lease:
        """POST. Returns the stored object. Raises `Conflict` when there is one already."""
        ...

    async def replace(self, body: Lease) -> Lease:
        """PUT under `metadata.resourceVersion`. Returns the stored object. Raises `Conflict` when that is stale."""
        ...


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """Seconds. `retry`: between attempts, and the longest wait for an answer. A takeover needs `duration` + `retry`."""

    duration: float = 10.0
    renew_deadline: float = 7.0
    retry: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < 2 * self.retry < self.renew_deadline < 0.8 * self.duration:
            raise ValueError("a Lease needs 2 * retry < renew_deadline < 0.8 * duration")


def steady_clock() -> float:
    """Seconds of a clock that nobody sets and that goes on while the machine sleeps, where the system has one."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


def new_identity(pod_name: str) -> str:
    """A holder identity that no other process has: a restarted container is a new candidate."""
    return f"{pod_name}_{uuid.uuid4()}"


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _nothing() -> None:
    return None


class LeaseElector:
    """One candidate. `run()` it, look at `is_leader` before each act, `release()` it after the last.

    `on_started` and `on_stopped` are called on each change, from `run()` or `release()`; they must not block.
    """

    def __init__(
        self,
        api: LeaseApi,
        identity: str,
        *,
        name: str,
        timing: LeaseTiming | None = None,
        clock: Callable[[], float] = steady_clock,
        now: Callable[[], datetime] = _utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
        on_started: Callable[[], None] = _nothing,
        on_stopped: Callable[[], None] = _nothing,
    ) -> None:
        self.identity = identity
        self._api = api
        self._name = name
        self._timing = timing or LeaseTiming()
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._jitter = jitter
        self._on_started = on_started
        self._on_stopped = on_stopped
        self._leading = asyncio.Event()
        self._released = False
        self._attempting = asyncio.Lock()
        self._lead_until = float("-inf")
        self._held: Lease | None = None
        self._seen: str | None = None
        self._seen_at = float("-inf")

    @property
    def is_leader(self) -> bool:
        """Whether this process may act at this very moment."""
        return self._leading.is_set() and self._clock() < self._lead_until

    async def wait_leader(self) -> None:
        """Return once this process has become the leader. It may have ceased to be when the caller looks."""
        await self._leading.wait()

    async def run(self) -> None:
        """Try to get the Lease and to keep it, until cancelled or released. Never raises on its own."""
        try:
            while not self._released:
                started = self._clock()
                async with self._attempting:
                    await self._attempt()
                await self._sleep(self._pause(started))
                self._stop_if_overdue()
        finally:
            self._stop("this process ends")

    async def release(self) -> None:
        """Stop acting and give the Lease up, so that another replica need not wait. Call it after the last act.

        Takes two retry periods at most and raises nothing: what is not given up expires.
        """
        self._released = True
        self._stop("it is released")
        try:
            async with asyncio.timeout(2 * self._timing.retry), self._attempting:
                if not await self._give_up():
                    await self._give_up()  # a renewal that was cut short took effect after all
        except Exception as error:
            _log.info("cannot release the lease %s, it will expire: %s", self._name, error)

    async def _attempt(self) -> None:
        """One try to renew or to acquire; whatever goes wrong is a failed try."""
        if self._released:
            return
        left = max(0.0, self._lead_until - self._clock()) if self._leading.is_set() else None
        try:
            async with asyncio.timeout(left):
                await self._renew_or_acquire()
        except Exception as error:
            self._held = None  # what the server has now is unknown: read before the next write
            level = logging.WARNING if self._leading.is_set() else logging.INFO
            _log.log(level, "lease %s: no answer to build on: %s", self._name, error)
        self._stop_if_overdue()

    async def _renew_or_acquire(self) -> None:
        if self._held is not None:
            await self._write(self._held)
            return
        lease = await self._answer(self._api.get())
        mine = lease is not None and _holder(lease) == self.identity
        if not mine:
            self._stop("somebody else holds it")
        if mine or self._is_free(lease):
            await self._write(lease)

    async def _answer(self, request: Awaitable[_T]) -> _T:
        async with asyncio.timeout(self._timing.retry):
            return await request

    def _is_free(self, lease: Lease | None) -> bool:
        """Whether a Lease of somebody else may be taken: given up, or unchanged for its duration while we watched."""
        version = "" if lease is None else str(lease["metadata"]["resourceVersion"])
        first_look = self._seen is None
        if version != self._seen:
            self._seen, self._seen_at = version, self._clock()
        if lease is None:
            # A Lease that vanished under its holder is waited for like any other; one that never was is not.
            return first_look or self._clock() - self._seen_at >= self._timing.duration
        return not _holder(lease) or self._clock() - self._seen_at >= self._duration_of(lease)

    def _duration_of(self, lease: Lease) -> float:
        """The longer of ours and the holder's, who may be configured differently."""
        theirs = lease.get("spec", {}).get("leaseDurationSeconds")
        return max(self._timing.duration, min(theirs, _LONGEST_DURATION) if isinstance(theirs, int) else 0.0)

    async def _write(self, lease: Lease | None) -> None:
        """Put our name and the time on it. Success makes or keeps us leader, counted from before the request."""
        sent = self._clock()
        body = self._body(lease)
        stored = await self._answer(self._api.create(body) if lease is None else self._api.replace(body))
        self._held = stored
        self._seen = str(stored["metadata"]["resourceVersion"])
        self._seen_at = self._clock()
        self._lead_until = sent + self._timing.renew_deadline
        if not self._leading.is_set() and not self._released and self._clock() < self._lead_until:
            _log.info("lease %s: leading as %s", self._name, self.identity)
            self._leading.set()
            self._on_started()

    def _body(self, lease: Lease | None) -> Lease:
        now = self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        old = (lease or {}).get("spec", {})
        spec = {
            **old,
            "holderIdentity": self.identity,
            "leaseDurationSeconds": round(self._timing.duration),
            "renewTime": now,
        }
        if old.get("holderIdentity") != self.identity:
            spec |= {"acquireTime": now, "leaseTransitions": int(old.get("leaseTransitions") or 0) + bool(lease)}
        if lease is not None:
            return {**lease, "spec": spec}
        metadata = {"name": self._name}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    async def _give_up(self) -> bool:
        lease = self._held or await self._answer(self._api.get())
        self._held = None
        if lease is None or _holder(lease) != self.identity:
            return True
        body = self._body(lease)
        body["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            await self._answer(self._api.replace(body))
        except Conflict:
            return False
        _log.info("lease %s: released", self._name)
        return True

    def _pause(self, started: float) -> float:
        """Seconds until the next attempt: a retry period after the last began, or when something ends before that."""
        now = self._clock()
        if self._leading.is_set():
            return max(0.0, min(started + self._timing.retry, self._lead_until) - now)
        expiry = self._seen_at + self._timing.duration - now
        pause = self._timing.retry * (1 + 0.2 * self._jitter())
        return max(_SHORTEST_PAUSE, min(pause, expiry)) if expiry > 0 else pause

    def _stop_if_overdue(self) -> None:
        if self._leading.is_set() and self._clock() >= self._lead_until:
            self._stop("it could not be renewed in time")

    def _stop(self, why: str) -> None:
        self._lead_until = float("-inf")
        if self._leading.is_set():
            self._leading.clear()
            _log.log(logging.INFO if self._released else logging.WARNING, "lease %s: not leading, %s", self._name, why)
            self._on_stopped()


def _holder(lease: Lease) -> str:
    return str(lease.get("spec", {}).get("holderIdentity") or "")
