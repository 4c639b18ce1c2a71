"""A short run of `make chaos`: a few dozen expiries, everything going wrong."""

from __future__ import annotations

from tests.chaos.__main__ import run
from tests.chaos.world import Plan


def test_no_request_and_no_grant_is_lost_without_a_reason() -> None:
    result = run(Plan(secrets=96, lifetime=90, seconds=25, seed=7, step_rate=0.01, fault_rate=0.15), at_least=24)
    assert result.good, result.table()
    assert result.expiries >= 24, result.table()
