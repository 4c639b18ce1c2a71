"""`python -m tests.simulation`: run schedules of the refresh protocol, or tell one as a story."""

from __future__ import annotations

import argparse
import sys

from tests.simulation.mutants import FACTORIES, PATCHES
from tests.simulation.runner import Summary, schedules, simulate


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=100_000, help="how many (default 100,000)")
    parser.add_argument("--seed", type=int, default=1, help="the first seed; the others follow it")
    parser.add_argument("--workers", type=int, default=None, help="processes (default: one a core)")
    parser.add_argument("--replay", type=int, metavar="SEED", help="tell the schedule of this seed")
    parser.add_argument("--mutant", choices=[*FACTORIES, *PATCHES], help="with --replay: leave this out")
    arguments = parser.parse_args()
    if arguments.replay is not None:
        return _replay(arguments.replay, arguments.mutant)
    summary, told = Summary(), 0
    for summary in schedules(arguments.seed, arguments.schedules, workers=arguments.workers):
        rate = summary.schedules / max(summary.seconds, 0.001)
        print(f"{summary.schedules:8} schedules, {rate:.0f}/s, {len(summary.failures)} broken", flush=True)  # noqa: T201
        for seed, violations in summary.failures[told:]:
            print(f"seed {seed}: {violations[0]}", flush=True)  # noqa: T201
        told = len(summary.failures)
    _table(summary)
    for seed, _ in summary.failures[:1]:
        _replay(seed, None)
    return 1 if summary.failures else 0


def _table(summary: Summary) -> None:
    expiries = max(summary.counts["expiries served"], 1)
    rows = [
        ("schedules", f"{summary.schedules}"),
        ("seconds", f"{summary.seconds:.0f}"),
        *((name, f"{count}") for name, count in sorted(summary.counts.items())),
        ("second requests without a known reason", f"{summary.counts['second use: UNEXPLAINED']}"),
        ("requests per expiry served", f"{summary.counts['requests'] / expiries:.3f}"),
        ("schedules that broke a promise", f"{len(summary.failures)}"),
    ]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:{width}}  {value:>10}")  # noqa: T201


def _replay(seed: int, mutant: str | None) -> int:
    result = simulate(seed, mutant=mutant, tell=True)
    for line in result.story:
        print(line)  # noqa: T201
    for violation in result.violations:
        print(f"BROKEN  {violation}")  # noqa: T201
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main())
