"""Reading a provider's answer to a token request."""

from __future__ import annotations

from tolstoy_operator.domain.tokenoutcome import (
    RAW_LIMIT,
    RETRY_AFTER_LIMIT,
    TOKEN_LIMIT,
    Accepted,
    DoubtCause,
    InDoubt,
    Note,
    NotSent,
    NotSentCause,
    Outcome,
    Rejected,
    Rejection,
    Tokens,
)

__all__ = [
    "RAW_LIMIT",
    "RETRY_AFTER_LIMIT",
    "TOKEN_LIMIT",
    "Accepted",
    "DoubtCause",
    "InDoubt",
    "Note",
    "NotSent",
    "NotSentCause",
    "Outcome",
    "Rejected",
    "Rejection",
    "Tokens",
]
