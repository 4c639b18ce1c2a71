"""Many schedules: on all cores, counted, the failing ones kept."""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.mutants import FACTORIES, PATCHES
from tests.simulation.scenario import Result, run
from tolstoy_operator.services.refresh.refresher import Refresher

_CHUNK = 50


@dataclass(slots=True)
class Summary:
    """Over all schedules. `failures`: seed and what was violated."""

    schedules: int = 0
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, list[str]]] = field(default_factory=list)

    def add(self, result: Result) -> None:
        self.schedules += 1
        self.counts.update(result.counts)
        if result.violations:
            self.failures.append((result.seed, result.violations))


def simulate(seed: int, *, mutant: str | None = None, tell: bool = False) -> Result:
    """One schedule, of the protocol or of one of its mutants."""
    logging.disable(logging.CRITICAL)
    try:
        made = FACTORIES.get(mutant or "", Refresher)
        patched: Any = PATCHES[mutant]() if mutant and mutant in PATCHES else nullcontext()
        with patched:
            return run(seed, refresher=made, tell=tell)
    finally:
        logging.disable(logging.NOTSET)


def schedules(first: int, count: int, *, workers: int | None = None) -> Iterator[Summary]:
    """Yields the growing summary now and then, and at the end."""
    summary, began = Summary(), time.monotonic()
    seeds = range(first, first + count)
    with multiprocessing.get_context("spawn").Pool(workers or os.cpu_count() or 1) as pool:
        for result in pool.imap_unordered(simulate, seeds, chunksize=_CHUNK):
            summary.add(result)
            summary.seconds = time.monotonic() - began
            if summary.schedules % 1000 == 0:
                yield summary
    yield summary


def first_failure(first: int, count: int, mutant: str) -> int | None:
    """The first seed whose schedule breaks a promise under the mutant."""
    for seed in range(first, first + count):
        if simulate(seed, mutant=mutant).violations:
            return seed
    return None
