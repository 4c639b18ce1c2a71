"""Who runs what, when several workers share the tests with real parts: what belongs together, and the longest first.

Tests of one file stay together, because what a file starts serves all its tests; and so do some files, which share a
cluster that no other file needs. What takes longest is begun first, so that the short files fill the time meanwhile,
and no worker is left with a long one when the others have nothing to do. Otherwise the order is a random one.
"""

from __future__ import annotations

from fnmatch import fnmatch
from typing import Any, Final

from xdist.scheduler import LoadScopeScheduling

TOGETHER: Final = (
    "tests/e2e/test_[!n]*.py",
    "tests/integration/api/*.py",
    "tests/integration/helm/test_[!l]*.py",
    "tests/integration/oauth/*.py",
)
"""Patterns of files; all that one matches go to one worker."""

FIRST: Final = (
    "tests/e2e/test_[!n]*.py",
    "tests/integration/tokens/test_trouble.py",
    "tests/integration/test_bench_smoke.py",
    "tests/integration/tokens/test_chaos_short.py",
    "tests/integration/cli/test_reading.py",
    "tests/simulation/test_simulation.py",
    "tests/integration/tokens/test_short_lived.py",
    "tests/integration/tokens/test_replicas.py",
    "tests/integration/operator/test_outages.py",
    "tests/integration/operator/test_apiserver.py",
    "tests/integration/tokens/test_revocation.py",
    "tests/integration/operator/test_replicas.py",
    "tests/integration/helm/test_lifecycle.py",
    "tests/e2e/test_node.py",
    "tests/integration/tokens/test_setups.py",
    "tests/integration/tokens/test_refresh.py",
    "tests/integration/operator/test_tenancy.py",
    "tests/integration/test_demo.py",
    "tests/integration/operator/test_some_namespaces.py",
)
"""What takes longest, in the order in which it is begun: files, and patterns of `TOGETHER`. Those that wait most of
their time stand apart from each other, so that the cores are neither idle at first nor short in the end."""


def unit_of(test: str) -> str:
    """What a test, given by its id, goes together with: a pattern of `TOGETHER`, or its file."""
    file = test.partition("::")[0]
    return next((pattern for pattern in TOGETHER if fnmatch(file, pattern)), file)


def rank(test: str) -> int:
    """The place of a test's unit among the first; behind all of them for all others."""
    unit = unit_of(test)
    return FIRST.index(unit) if unit in FIRST else len(FIRST)


class ByUnit(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out units in the order in which they were collected."""

    def __init__(self, config: Any, log: Any = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
