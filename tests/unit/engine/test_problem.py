"""What a store's refusal is called in a status, and that its own words stay out of it."""

from __future__ import annotations

import pytest

from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.domain import errors
from tolstoy_operator.engine.problem import Problem, from_store


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.SecretNotFound, Reason.SECRET_NOT_FOUND),
        (errors.SecretPendingDeletion, Reason.SECRET_PENDING_DELETION),
        (errors.AccessDenied, Reason.ACCESS_DENIED),
        (errors.DecryptionFailed, Reason.DECRYPTION_FAILED),
        (errors.InvalidRequest, Reason.INVALID_SPEC),
        (errors.IdentityRefused, Reason.UPSTREAM_UNAVAILABLE),
        (errors.Throttled, Reason.UPSTREAM_UNAVAILABLE),
        (errors.StoreUnavailable, Reason.UPSTREAM_UNAVAILABLE),
        (errors.LimitExceeded, Reason.UPSTREAM_UNAVAILABLE),
    ],
)
def test_every_failure_has_a_reason(error: type[errors.StoreError], reason: Reason) -> None:
    problem = from_store(error("tolstoy/github/org", "canary: what AWS said"), "tolstoy/github/org")
    assert problem.reason is reason
    assert "tolstoy/github/org" in problem.cause
    assert "canary" not in str(problem)


def test_a_problem_prints_its_reason_and_cause() -> None:
    assert str(Problem(Reason.INVALID_SPEC, "because")) == "InvalidSpec: because"
