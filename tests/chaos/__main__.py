"""`make chaos`: one run, and its table."""

from __future__ import annotations

import argparse
import signal
import sys
import time

from dev.testbed import eventually
from tests.chaos import ledger
from tests.chaos.monkey import Monkey
from tests.chaos.observer import Observer
from tests.chaos.report import Report, report
from tests.chaos.world import Plan, World

_TICK = 0.5


def run(plan: Plan, *, settle: float = 600.0, at_least: int = 0, say: bool = False) -> Report:
    """One run. `settle`: seconds within which everything must be well after the last fault.

    The faults go on for the plan's time; on a busy machine up to four times as long, until there were `at_least`
    refreshes.
    """
    with World(plan) as world:
        observer, monkey = Observer(world), Monkey(world)
        eventually(observer.settled, what="all Secrets are there before the faults begin", timeout=120, pause=0.5)
        observer.start()
        monkey.begin()
        ends = time.monotonic() + plan.seconds
        told = time.monotonic()
        latest = ends + 3 * plan.seconds
        while time.monotonic() < (latest if world.server.state().accepted < at_least else ends):
            monkey.tick()
            time.sleep(_TICK)
            if say and time.monotonic() - told > 30:
                told = time.monotonic()
                _say(f"{ends - told:5.0f} s to go, {world.server.state().accepted} refreshes")
        monkey.end()
        begun = time.monotonic()
        settled = _settles(monkey, observer, settle)
        if say:
            _say(f"it took {time.monotonic() - begun:.0f} s until everything was well")
        observer.stop()
        return report(
            plan,
            world.consents,
            world.server.state(),
            ledger.read(world.ledgers),
            observer.seen,
            monkey.done,
            settled=settled,
        )


def _settles(monkey: Monkey, observer: Observer, seconds: float) -> bool:
    def ask() -> bool:
        monkey.tend()
        return observer.settled()

    try:
        return eventually(ask, what="everything is well again", timeout=seconds, pause=0.5)
    except AssertionError as error:
        _say(f"{error}\n{observer.unwell()}")
        return False


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Exit codes: 0 every promise was kept, 1 one was not, 130 interrupted."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background is started without it
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--secrets", type=int, default=400)
    parser.add_argument("--lifetime", type=int, default=300, help="of access tokens, seconds")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--exclusive", action="store_true", help="one cluster refreshes, the other mirrors")
    given = parser.parse_args()
    plan = Plan(given.secrets, given.lifetime, 60 * given.minutes, given.seed, exclusive=given.exclusive)
    try:
        result = run(plan, say=True)
    except KeyboardInterrupt:
        _say("stopped; nothing is left behind")
        return 130
    _say(result.table())
    return 0 if result.good else 1


if __name__ == "__main__":
    sys.exit(main())
