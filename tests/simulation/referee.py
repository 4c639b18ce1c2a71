"""Watches the whole world from outside, and says which promise was broken, or which exception explains a loss.

Only the referee knows everything: when a request was really sent and processed, where its reply was stored first, who
wrote which version. Replicas never see it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.simulation.journal import SimulatedCluster
from tests.simulation.loop import Loop, Process
from tests.simulation.network import Weather
from tests.simulation.provider import Behaviour, RefreshToken, Request, SimulatedProvider
from tests.simulation.store import SERVICE as STORE
from tests.simulation.store import SimulatedStore
from tolstoy_operator.domain.refresh import RefreshRules
from tolstoy_operator.services.refresh.endings import Failed, Problem

ENOUGH_S = 40.0
"""A process that runs, and reaches a store, for this long has stored what it holds."""
OPERATOR = "op"
"""Names of replicas begin so; everybody else is a person or the consent application."""


class Violation(Exception):
    """A promise was broken."""


@dataclass(slots=True)
class Stored:
    """Where a refresh token was durable first. `place`: a cluster's name, or "" for the store."""

    time: float
    place: str


class Referee:
    """Raises nothing while the world runs: it collects what it finds in `violations`."""

    def __init__(
        self,
        loop: Loop,
        store: SimulatedStore,
        provider: SimulatedProvider,
        clusters: list[SimulatedCluster],
        processes: list[Process],
        rules: RefreshRules,
        weather: Weather,
        *,
        sole_writer: bool,
        forgiving: bool,
        thrifty: bool,
    ) -> None:
        self.loop, self.store, self.provider, self.rules = loop, store, provider, rules
        self.weather = weather
        self.processes = {process.name: process for process in processes}
        self.sole_writer, self.forgiving, self.thrifty = sole_writer, forgiving, thrifty
        self.violations: list[str] = []
        self.counts: Counter[str] = Counter()
        self.stored: dict[str, list[Stored]] = {}
        self.told: Counter[str] = Counter()
        self.tell: Callable[[str], None] = lambda _text: None
        self._disturbed_at = -1e9
        self._disowned_at: float | None = None
        store.on_current = self.current_moved
        store.on_version = self.version_written
        provider.on_second_use = self.second_use
        for cluster in clusters:
            cluster.on_object = self.object_written
            cluster.on_mirror = self.mirrored

    def _broken(self, what: str) -> None:
        kind = what.split(":", maxsplit=1)[0]
        if any(known.startswith(kind) for known in self.violations):
            return
        self.violations.append(what)
        self.tell(f"BROKEN  {what}")

    # What is durable where.

    def version_written(self, _version: str, value: str, actor: str) -> None:
        self._note(value, "", actor)

    def object_written(self, cluster: str, _key: str, payload: str) -> None:
        self._note(payload, cluster, OPERATOR)

    def _note(self, value: str, place: str, actor: str) -> None:
        document: dict[str, Any] = json.loads(value)
        token = document.get("refreshToken")
        if isinstance(token, str) and actor.startswith(OPERATOR):
            self.stored.setdefault(token, []).append(Stored(self.loop.now, place))

    # Promise 1: one request for one expiry.

    def second_use(self, token: RefreshToken, request: Request) -> None:
        if self.provider.behaviour is Behaviour.FIXED:
            return
        for other in token.requests:
            if other is request or other.issued is None:
                continue
            first, again = sorted((other, request), key=lambda sent: sent.sent)
            why = self._excuse(first, again)
            self.counts[f"second use: {why or 'UNEXPLAINED'}"] += 1
            if why is None:
                self._broken(
                    f"promise 1: {again.process} sent {token.text} again at {again.sent:.1f}, although"
                    f" {first.process} had sent it at {first.sent:.1f} (claimed {first.claimed:.1f})"
                )

    def _excuse(self, first: Request, again: Request) -> str | None:
        """Which of the known gaps explains that `again` was sent."""
        if any(self._stopped_before_send(request) for request in (first, again)):
            return "(a) stopped between the fence and a stored result"
        if any(self._believes_in_a_former_owner(request) for request in (first, again)):
            return "(d) the owner was taken off by hand, and a replica of it reads an old copy"
        stored = [stored for stored in self.stored.get(first.issued or "", []) if stored.time <= again.sent]
        places = {place.place for place in stored}
        if places & {"", again.cluster}:
            late = min(place.time for place in stored) - first.claimed > self.rules.ttl_s
            return "(a) stopped between the fence and a stored result" if late else None
        patient = again.claimed - first.claimed >= self.rules.ttl_s - 1.0
        if places:
            return "(c) result only in another cluster, cut off from the store" if patient else None
        return self._lost(first, again, patient=patient)

    def _unstorable(self, request: Request, start: float, end: float) -> str | None:
        """Why a process that held new tokens for so long had not stored them."""
        stops = self.processes[request.process].stops
        chances = [
            self.weather.reachable(request.cluster, service, start, end, stops)
            for service in (STORE, f"api {request.cluster}")
        ]
        if max(chances) >= ENOUGH_S:
            return None
        stopped = self.processes[request.process].ran(start, end) < ENOUGH_S
        return "(a) stopped between the fence and a stored result" if stopped else "(c) no store was in reach"

    def _stopped_before_send(self, request: Request) -> bool:
        return request.sent - request.fenced > self.rules.request_deadline_s

    def disowned(self) -> None:
        """Somebody takes the owner's label off."""
        self._disowned_at = self.loop.now

    def _believes_in_a_former_owner(self, request: Request) -> bool:
        since, until = self.weather.stuck.get(request.process, (0.0, 0.0))
        return self._disowned_at is not None and since < self._disowned_at < request.claimed < until

    def _lost(self, first: Request, again: Request, *, patient: bool) -> str | None:
        """The same for a result that nobody had stored when `again` was sent."""
        owner = self.processes[first.process]
        if owner.life != first.life or not owner.alive:
            return "response lost: crash before it was durable"
        if first.delivered is not None and first.delivered <= again.sent:
            return self._unstorable(first, first.delivered, again.sent) if patient else None
        if first.processed is not None and first.processed - first.claimed > self.rules.ttl_s and patient:
            return "(b) processed after the claim had run out"
        given_up = first.given_up is not None and first.given_up <= again.sent
        if patient and not given_up:
            return "(a) stopped between the fence and a stored result"
        return "response lost" if given_up and (first.answered or self.forgiving or patient) else None

    # Promise 3: what somebody else wrote is never overwritten unread.

    def current_moved(self, old: str | None, new: str, actor: str) -> None:
        if not actor.startswith(OPERATOR):
            self._disturbed_at = self.loop.now
            return
        if old is None:
            return
        before, after = self.store.document(old), self.store.document(new)
        books = after.get("tolstoy", {})
        if books.get("base") != old:
            if not self.sole_writer:
                self._broken(f"promise 3: {actor} replaced {old[:8]} by {new[:8]}, which was made from another")
        elif before.get("note") != after.get("note"):
            self._broken(f"promise 3: {actor} dropped the edit {before.get('note')!r}")

    # Promise 6: publication is monotone.

    def mirrored(self, cluster: str, old: str | None, new: str) -> None:
        if old is None or self.loop.now - self._disturbed_at < 2000.0:
            return
        version: str | None = old
        for _ in range(20):
            if version is None or version not in self.store.versions:
                return
            version = self.store.document(version).get("tolstoy", {}).get("base")
            if version == new:
                self._broken(f"promise 6: {cluster} published {new[:8]} after its successor {old[:8]}")
                return

    # Promise 4: a lost response is never told as the user's fault.

    def reported(self, process: Process, ending: object) -> None:
        if not isinstance(ending, Failed):
            return
        self.told[ending.problem.value] += 1
        token = self._token_seen_by(process)
        if token is None or token.family.ended_by in ("user", "operator"):
            return
        if ending.problem is Problem.REAUTHORIZATION_REQUIRED and "refuses" in ending.cause:
            spent = token.spent_by
            if spent is not None and not self.stored.get(spent.issued or "") and not self._excepted(token):
                self._broken(f"promise 4: {process.name} blamed the user for a lost response ({token.text})")

    def _excepted(self, token: RefreshToken) -> bool:
        return any(
            self._stopped_before_send(request) or (request.processed or 0.0) - request.claimed > self.rules.ttl_s
            for request in token.requests
        )

    # At the end, when the weather has been fine for long enough.

    def busy(self) -> bool:
        """Whether a refresh is under way at this moment."""
        recent = self.loop.now - 60.0
        return any(request.sent > recent for request in self.provider.requests[-3:])

    def final(self, *, blocked: str) -> None:
        """Promise 2: nothing that was durable is lost; and whatever can be alive, is."""
        self._judge_tombstone()
        token = self._current_token()
        if token is None:
            return
        family = token.family
        if not family.alive:
            self.counts[f"family ended: {family.ended_by}"] += 1
            return
        if blocked:
            self.counts[f"not judged: {blocked}"] += 1
            return
        if self.thrifty:  # the store is behind on purpose; what matters is in the owner's journal
            fresh = any(request.issued for request in self.provider.requests if request.sent > self._one_life_ago())
            if not fresh and token.spent_by is None:
                self._broken(f"liveness: {token.text} could have been used")
            return
        if token.spent_by is not None and self.stored.get(token.spent_by.issued or ""):
            self._broken(f"promise 2: {token.spent_by.issued} was stored, yet {token.text} is current")
        access = self.store.document(self.store.labels["AWSCURRENT"]).get("accessToken")
        if isinstance(access, str) and not self.provider.lives(access) and token.spent_by is None:
            self._broken(f"liveness: the access token is dead, and {token.text} could have been used")

    def _judge_tombstone(self) -> None:
        """What is called revoked is dead."""
        books = self.store.document(self.store.labels["AWSCURRENT"]).get("tolstoy") or {}
        if not books.get("revoked") or books.get("base") not in self.store.versions:
            return
        self.counts["revoked"] += 1
        buried = self.provider.refresh_tokens.get(self.store.document(books["base"]).get("refreshToken", ""))
        if buried is not None and buried.family.alive:
            self._broken(f"revocation: {buried.family.name} is called revoked and lives")

    def _one_life_ago(self) -> float:
        return self.loop.now - self.provider.lifetime

    def _current_token(self) -> RefreshToken | None:
        return self._token_of(self.store.labels["AWSCURRENT"])

    def _token_seen_by(self, process: Process) -> RefreshToken | None:
        """Whoever reads an old copy of the store speaks of what was current then."""
        moment, until = self.weather.stuck.get(process.name, (0.0, 0.0))
        labels = self.store.labels_at(moment) if self.loop.now < until else self.store.labels
        return self._token_of(labels["AWSCURRENT"])

    def _token_of(self, version: str) -> RefreshToken | None:
        if version not in self.store.versions:
            return None
        return self.provider.refresh_tokens.get(self.store.document(version).get("refreshToken", ""))
