"""Why a reconciliation stops early, in terms of the API's reasons."""

from __future__ import annotations

from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.domain import errors


class Problem(Exception):
    """Ends a reconciliation with a reason. `cause`: names and positions, never a value."""

    def __init__(self, reason: Reason, cause: str) -> None:
        super().__init__(f"{reason}: {cause}")
        self.reason = reason
        self.cause = cause


_OTHERWISE = Reason.UPSTREAM_UNAVAILABLE

_STORE_REASONS: dict[type, Reason] = {
    errors.SecretNotFound: Reason.SECRET_NOT_FOUND,
    errors.SecretPendingDeletion: Reason.SECRET_PENDING_DELETION,
    errors.AccessDenied: Reason.ACCESS_DENIED,
    errors.DecryptionFailed: Reason.DECRYPTION_FAILED,
    errors.InvalidRequest: Reason.INVALID_SPEC,
}

_CAUSES: dict[Reason, str] = {
    Reason.SECRET_NOT_FOUND: "the store has no current value of {name}",
    Reason.SECRET_PENDING_DELETION: "{name} is scheduled for deletion in the store",
    Reason.ACCESS_DENIED: "the store denies the operator access to {name}",
    Reason.DECRYPTION_FAILED: "the KMS key of {name} cannot be used by the operator",
    Reason.INVALID_SPEC: "the store rejects the name {name}",
    Reason.UPSTREAM_UNAVAILABLE: "the store does not answer for {name}",
}


def from_store(error: errors.StoreError, name: str) -> Problem:
    """The problem that a failed read of the upstream secret `name` is. The store's own text stays out of statuses."""
    # By the narrowest class that has a reason: a store may refine these errors.
    reason = next((_STORE_REASONS[kind] for kind in type(error).__mro__ if kind in _STORE_REASONS), _OTHERWISE)
    return Problem(reason, _CAUSES[reason].format(name=name))
