"""What holds for all tests.

Hypothesis judges code by its answers, not by the clock of the machine: with a deadline, or the check for slow input,
a test fails because something else is running. Fewer examples than usual keep the unit tests to seconds; a test whose
inputs are rare states a number of its own.
"""

from __future__ import annotations

import gc
import signal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.distribution import ByUnit, rank

settings.register_profile("ours", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")


# A shell starts a job in the background with Ctrl-C ignored, and whatever a test starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Thousands of collected tests are alive until the end. The collector is not to look through them again and again.
gc.set_threshold(50_000, 20, 50)


def pytest_collection_finish() -> None:
    """What is alive now stays so."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, after all others have had their say about the order."""
    items.sort(key=lambda item: rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByUnit | None:
    """`--dist loadfile` is by our units."""
    return ByUnit(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures that tests recorded."""
    figures = [pair for report in terminalreporter.getreports("passed") for pair in report.user_properties]
    if figures:
        terminalreporter.section("figures")
        for name, value in figures:
            terminalreporter.line(f"{name}: {value}")
