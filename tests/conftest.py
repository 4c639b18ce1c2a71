"""What holds for all tests.

Hypothesis judges code by its answers, not by the clock of the machine: with a deadline, or the check for slow input,
a test fails because something else is running. Fewer examples than usual keep the unit tests to seconds; a test whose
inputs are rare states a number of its own.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("ours", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")
