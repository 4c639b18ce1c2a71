"""What a refresh that failed means for people, and how long it may rest where a person has to correct something."""

from __future__ import annotations

from typing import Final

from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.domain.schedule import doubled
from tolstoy_operator.services.refresh.endings import Problem

_HOUR: Final = 3600.0
_PAUSES = {
    Problem.CLIENT_MISCONFIGURED: 300.0,
    Problem.TOKEN_ENDPOINT_NOT_ALLOWED: _HOUR,
    Problem.VERSION_BUDGET_EXCEEDED: _HOUR,
    Problem.SECRET_MALFORMED: _HOUR,
    Problem.REVOKED: _HOUR,
}

_REASONS = {
    Problem.REAUTHORIZATION_REQUIRED: Reason.REAUTHORIZATION_REQUIRED,
    Problem.ROTATION_RESPONSE_LOST: Reason.ROTATION_RESPONSE_LOST,
    Problem.CLIENT_MISCONFIGURED: Reason.CLIENT_MISCONFIGURED,
    Problem.TOKEN_ENDPOINT_NOT_ALLOWED: Reason.TOKEN_ENDPOINT_NOT_ALLOWED,
    Problem.VERSION_BUDGET_EXCEEDED: Reason.VERSION_BUDGET_EXCEEDED,
    Problem.SECRET_MALFORMED: Reason.SECRET_NOT_REFRESHABLE,
    Problem.REVOKING: Reason.REVOKED,
    Problem.REVOKED: Reason.REVOKED,
}


def reason_of(problem: Problem) -> Reason:
    """The reason that a status gives."""
    return _REASONS.get(problem, Reason.REFRESH_FAILING)


def pause_after(problem: Problem, failures: int) -> float | None:
    """Seconds until another look at what a person has to correct; None for what may pass by itself.

    A change of the secret is noticed anyway. The pause doubles with each failure, up to an hour: a try can cost one of
    the hundred versions that a secret takes in a day, and what was corrected must find some left.
    """
    pause = _PAUSES.get(problem)
    return None if pause is None else doubled(pause, failures - 1, _HOUR)
