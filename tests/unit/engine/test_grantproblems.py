"""How often a refresh is tried that a person has to make possible."""

from __future__ import annotations

import pytest

from tolstoy_operator.api.reasons import LOST_REASONS, MEANINGS, Progress, Reason
from tolstoy_operator.engine.grantproblems import pause_after, reason_of
from tolstoy_operator.services.refresh.endings import Problem


def test_a_client_that_is_not_corrected_leaves_versions_for_when_it_is() -> None:
    pauses = [pause_after(Problem.CLIENT_MISCONFIGURED, failures) or 0 for failures in range(1, 2000)]
    assert pauses[0] == 300
    assert max(pauses) == 3600
    tries, passed = 0, 0.0
    while passed < 86_400:
        passed += pauses[tries]
        tries += 1
    assert tries < 30, "of a hundred versions a day"


@pytest.mark.parametrize("problem", Problem)
def test_what_a_person_has_to_correct_is_not_tried_every_minute(problem: Problem) -> None:
    reason = reason_of(problem)
    stalls = MEANINGS[reason].progress is Progress.STALLED
    assert stalls == (reason in LOST_REASONS or pause_after(problem, 1) is not None or reason is Reason.REVOKED)
