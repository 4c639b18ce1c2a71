"""One schedule: a world drawn from a seed, what goes wrong in it, and the verdict of the referee."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

from tests.simulation.journal import ClusterClient, SimulatedCluster
from tests.simulation.loop import Loop, Process
from tests.simulation.network import Network, Weather
from tests.simulation.people import People
from tests.simulation.provider import Behaviour, EndpointClient, Line, SimulatedProvider
from tests.simulation.referee import OPERATOR, Referee
from tests.simulation.replica import FaultPoints, Habits, Replica
from tests.simulation.store import SERVICE, SimulatedStore, StoreClient
from tests.simulation.story import listen, short
from tolstoy_operator.domain.refresh import OldAccessToken, ProviderTraits, RefreshRules, Rotation
from tolstoy_operator.services.refresh.endings import Ending, MirrorOnly
from tolstoy_operator.services.refresh.parts import Parts
from tolstoy_operator.services.refresh.refresher import Refresher
from tolstoy_operator.services.refresh.revocation import Buried, RevocationEnding, Superseded

QUIET_S = 2400.0
"""At the end nothing goes wrong for this long: longer than any wait of the protocol."""
PRUNED_AFTER_S = 7200.0
"""Versions without a label may vanish when they are older. Secrets Manager waits for a day; the pauses of the protocol
do not shrink with the lifetimes here, and must be over by then."""


@dataclass(slots=True)
class Result:
    """What one schedule gave. `counts` add up over schedules."""

    seed: int
    violations: list[str]
    counts: Counter[str]
    story: list[str] = field(default_factory=list)


class World:
    """Everything in one schedule."""

    def __init__(self, seed: int, *, refresher: Callable[[Parts], Refresher] = Refresher, tell: bool = False) -> None:
        self.seed, self.random, self.refresher = seed, Random(seed), refresher
        self.loop = Loop()
        self.story: list[str] | None = [] if tell else None
        draw = self.random
        self.behaviour = draw.choices(list(Behaviour), weights=[6, 2, 2, 1])[0]
        self.mode = draw.choices(["shared", "exclusive", "rivals", "mixed"], weights=[6, 2, 1, 1])[0]
        self.thrifty = self.mode == "exclusive" and draw.random() < 0.25
        self.lifetime = 600.0 if self.thrifty else draw.choice([1800.0, 3600.0, 3600.0, 7200.0])
        self.horizon = max(self.lifetime * draw.uniform(1.2, 3.2), 1900.0 + 2000.0 * draw.random())
        self.stormy = draw.random()
        self.provider = SimulatedProvider(
            self.loop,
            self.behaviour,
            lifetime=self.lifetime,
            grace=draw.choice([60.0, 3600.0]),
            old_dies=self.behaviour is not Behaviour.FIXED and draw.random() < 0.3,
        )
        self.rules = RefreshRules(
            shortest_shared_s=1260.0 if self.thrifty else 0.0,
            version_limit=10_000,
            mark_s=QUIET_S / 4,
            journal_crowd=1,
        )
        self.store = SimulatedStore(self.loop)
        self.network = Network(self.loop, draw, Weather())
        self.line = Line()
        self.faults = FaultPoints(strike=self._strike)
        self.clusters = [SimulatedCluster(self.loop, f"cluster{n}") for n in range(draw.choice([1, 1, 2, 3]))]
        self.processes = self._processes()
        self.traits = self._draw_traits()
        self.sole_writer = self.mode == "exclusive" and draw.random() < 0.3
        self.habits = {process.name: self._habits(process) for process in self.processes}
        self.referee = Referee(
            self.loop,
            self.store,
            self.provider,
            self.clusters,
            self.processes,
            self.rules,
            self.network.weather,
            sole_writer=self.sole_writer,
            forgiving=self.traits.forgiving,
            thrifty=self.thrifty,
        )
        self.strikes: Counter[str] = Counter()
        self._strikes: list[tuple[float, str, Callable[[Process], None]]] = [
            (0.35, "killed", self._kill),
            (0.65, "stopped", self._stop),
            (0.8, "cut off", lambda process: self._cut(process.cluster)),
            (1.0, "others stale", self._stick_others),
        ]
        self.people = People(self)
        self.blocked = ""
        self.revoking = ""
        if tell:
            self.referee.tell = self.tell
            listen(self)

    def run(self) -> Result:
        self.people.consent()
        self._plan_weather()
        self._plan_people()
        for process in self.processes:
            self._start(process)
        self.loop.run(self.horizon)
        self._calm()
        self.loop.run(self.horizon + QUIET_S + self.lifetime)
        for _ in range(10):
            if self.referee.busy():
                self.loop.run(self.loop.now + 30.0)
        self.referee.final(blocked=self.blocked or ("revocation under way" if self.revoking else ""))
        counts = self.referee.counts
        counts["expiries served"] += sum(request.issued is not None for request in self.provider.requests)
        counts["requests"] += len(self.provider.requests)
        counts["crashes"] += sum(process.crashes for process in self.processes)
        counts.update(self.strikes)
        counts.update({f"told {problem}": times for problem, times in self.referee.told.items()})
        return Result(self.seed, self.referee.violations, counts, self.story or [])

    # The cast.

    def _processes(self) -> list[Process]:
        draw = self.random
        count = max(len(self.clusters), draw.choice([2, 2, 3, 3, 4, 5, 8]))
        skews = [draw.choice([0.0, 0.0, draw.uniform(-600.0, 600.0)]) for _ in range(count)]
        return [
            Process(self.loop, f"{OPERATOR}{n}", self.clusters[n % len(self.clusters)].name, skew=skews[n])
            for n in range(count)
        ]

    def _habits(self, process: Process) -> Habits:
        draw = self.random
        first = process.cluster == self.clusters[0].name
        exclusive = {
            "shared": False,
            "exclusive": first,
            "rivals": True,
            "mixed": first and draw.random() < 0.5,
        }[self.mode]
        return Habits(
            traits=self.traits,
            rules=self.rules,
            lead=min(300.0, self.lifetime / 3) + draw.uniform(0.0, 5.0),
            exclusive=exclusive,
            sole_writer=self.sole_writer and exclusive,
        )

    def _draw_traits(self) -> ProviderTraits:
        fate = OldAccessToken.DIES if self.provider.old_dies else OldAccessToken.SURVIVES
        if self.random.random() < 0.3:
            return ProviderTraits(lifetime_s=self.lifetime)
        known = {
            Behaviour.STRICT: ProviderTraits(Rotation.ROTATES, 0.0, fate),
            Behaviour.GRACE: ProviderTraits(Rotation.ROTATES, self.provider.grace, fate),
            Behaviour.LENIENT: ProviderTraits(Rotation.ROTATES, 0.0, fate),
            Behaviour.FIXED: ProviderTraits(Rotation.NONE),
        }[self.behaviour]
        return replace(known, lifetime_s=self.lifetime)

    def _start(self, process: Process) -> None:
        cluster = next(cluster for cluster in self.clusters if cluster.name == process.cluster)
        replica = Replica(
            process,
            StoreClient(self.store, self.network, process),
            ClusterClient(cluster, self.network, process),
            EndpointClient(self.provider, self.network, process, self.line, self.rules),
            self.network,
            self.habits[process.name],
            self.faults,
            self._reported,
            lambda process: self.revoking == process.cluster,
            self.refresher,
        )
        process.start(replica.main())

    def _kill(self, process: Process) -> None:
        if not process.alive:
            return
        self.tell(f"{process.name} is killed")
        process.kill()
        self.loop.after(self.random.choice([1.0, 5.0, 60.0, 300.0]), lambda: self._restart(process))

    def _restart(self, process: Process) -> None:
        if not process.alive:
            self._start(process)

    def _reported(self, process: Process, ending: Ending | RevocationEnding) -> None:
        self.referee.reported(process, ending)
        if isinstance(ending, Buried | Superseded | MirrorOnly) and self.revoking == process.cluster:
            self.revoking = ""
        if self.story is not None:
            self.tell(f"{process.name} ends its pass: {short(ending)}")

    # What goes wrong.

    def _plan_weather(self) -> None:
        draw, weather, line = self.random, self.network.weather, self.line
        if self.stormy < 0.1:
            return
        weather.faults = draw.choice([0.0, 0.01, 0.04, 0.12])
        weather.lag = draw.choice([0.0, 0.0, 2.0, 30.0, 300.0])
        self.faults.probability = draw.choice([0.0, 0.03, 0.1, 0.2])
        line.unreachable = draw.choice([0.0, 0.1, 0.3])
        line.lost = draw.choice([0.0, 0.0, 0.1, 0.4])
        line.slow = draw.choice([0.0, 0.0, 0.1])
        line.unreadable = draw.choice([0.0, 0.0, 0.05])
        line.failing = draw.choice([0.0, 0.0, 0.2])
        line.stopped_before_send = draw.choice([0.0, 0.0, 0.0, 0.1])
        for _ in range(draw.choice([0, 0, 1, 3])):
            self._near_expiry(lambda: self._cut(draw.choice(self.clusters).name))
        for _ in range(draw.choice([0, 1, 3, 6])):
            self._near_expiry(lambda: self._kill(draw.choice(self.processes)))
        for _ in range(draw.choice([0, 0, 1, 3])):
            self._near_expiry(lambda: self._stop(draw.choice(self.processes)))
        for _ in range(draw.choice([0, 0, 1, 3])):
            self._near_expiry(lambda: self._stick(draw.choice(self.processes)))

    def _near_expiry(self, action: Callable[[], None]) -> None:
        """At a moment when something is going on, more often than not."""
        draw = self.random
        period = self.lifetime - 300.0
        cycle = draw.randrange(max(1, int(self.horizon // period) + 1))
        moment = cycle * period + draw.choice([draw.uniform(-5.0, 15.0), draw.uniform(0.0, 200.0)])
        if draw.random() < 0.2:
            moment = draw.uniform(0.0, self.horizon)
        self.loop.at(min(max(moment, 0.0), self.horizon), action)

    def _cut(self, cluster: str) -> None:
        draw = self.random
        services = draw.choice([[SERVICE], [f"api {cluster}"], [SERVICE, f"api {cluster}"]])
        until = self.loop.now + draw.choice([20.0, 100.0, 600.0, 1500.0])
        for service in services:
            self.network.weather.cut_off[cluster, service] = until
            self.network.weather.cuts.append((cluster, service, self.loop.now, until))
        self.tell(f"{cluster} is cut off from {', '.join(services)} until {until:.0f}")

    def _strike(self, process: Process, step: str) -> None:
        """Right before a step of the protocol."""
        fate = self.random.random()
        name, action = next((name, action) for share, name, action in self._strikes if fate < share)
        self.strikes[f"{name} before {step}"] += 1
        self.loop.after(0.0, lambda: action(process))

    def _stick_others(self, process: Process) -> None:
        for other in self.processes:
            if other is not process and self.random.random() < 0.7:
                self._stick(other)

    def _stick(self, process: Process) -> None:
        """The process reads from a copy of the store that no longer follows."""
        until = self.loop.now + self.random.choice([30.0, 200.0, 500.0, 1500.0])
        self.network.weather.stuck[process.name] = (self.loop.now, until)
        self.tell(f"{process.name} reads an old copy of the store until {until:.0f}")

    def _stop(self, process: Process) -> None:
        draw = self.random
        seconds = draw.choice([5.0, 30.0, 130.0, 200.0, 400.0, 1000.0])
        frozen = draw.choice([(), ("monotonic",), ("monotonic", "boottime")])
        self.tell(f"{process.name} stops for {seconds:.0f} s, clocks that stand still: {', '.join(frozen) or 'none'}")
        process.stop(seconds, *frozen)
        if "boottime" not in frozen and draw.random() < 0.3:  # of all three clocks together, no one could know
            process.set_wall_clock(draw.uniform(-400.0, 400.0))

    def _calm(self) -> None:
        """From here on everything works, and whoever is down comes back."""
        self.network.weather.faults = self.network.weather.lag = 0.0
        self.network.weather.cut_off.clear()
        self.network.weather.stuck.clear()
        self.faults.probability = 0.0
        for name in ("unreachable", "lost", "slow", "unreadable", "failing", "stopped_before_send"):
            setattr(self.line, name, 0.0)
        self.tell("from here on the weather is fine")

    # What people do.

    def _plan_people(self) -> None:
        draw, people = self.random, self.people
        if self.stormy < 0.2:
            return
        actions = [people.consent, people.edit, people.edit, people.stale_edit, people.move_back, people.user_revokes]
        for _ in range(draw.choice([0, 0, 1, 1, 2, 3])):
            self._near_expiry(draw.choice(actions))
        if draw.random() < 0.1:
            self._near_expiry(lambda: self.store.prune(max(2.5 * self.lifetime, PRUNED_AFTER_S)))
        if draw.random() < 0.05:
            self._near_expiry(people.break_client)
        if draw.random() < 0.1:
            self._near_expiry(people.disown)
        if draw.random() < 0.1:
            self._near_expiry(people.order_revocation)

    # The story.

    def tell(self, text: str) -> None:
        if self.story is not None:
            self.story.append(f"{self.loop.now:10.2f}  {text}")


def run(seed: int, *, refresher: Callable[[Parts], Refresher] = Refresher, tell: bool = False) -> Result:
    return World(seed, refresher=refresher, tell=tell).run()
