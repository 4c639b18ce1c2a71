"""What can go wrong with a stored secret, in the product's own terms.

A store translates whatever its backend says into exactly one of these; nothing above a store looks at error codes of
AWS or SQLite. Messages name the secret and the cause, never a value.
"""

from __future__ import annotations


class StoreError(Exception):
    """Base of all store failures.

    `transient`: trying the same call again later can help without anybody acting.
    """

    transient = False

    def __init__(self, name: str, cause: str) -> None:
        super().__init__(f"{name}: {cause}")
        self.name = name
        self.cause = cause


class SecretNotFound(StoreError):
    """No secret of this name, or no version under the label or id that was asked for."""


class SecretPendingDeletion(StoreError):
    """The secret is scheduled for deletion; its values cannot be read or written."""


class AccessDenied(StoreError):
    """The operator's own identity may not do this (IAM, resource policy, endpoint policy)."""


class IdentityRefused(StoreError):
    """The store does not know the operator, or does not accept its credentials any more.

    It holds for every secret alike and says nothing of any of them: it is like no answer.
    """

    transient = True


class DecryptionFailed(StoreError):
    """The KMS key refused: disabled, pending deletion, or no grant for the operator."""


class InvalidRequest(StoreError):
    """The store rejects the request as such: a bad name, too large a value, a replica region."""


class Throttled(StoreError):
    """The store asks for fewer calls."""

    transient = True


class StoreUnavailable(StoreError):
    """No usable answer: timeout, refused connection, 5xx."""

    transient = True


class LimitExceeded(StoreError):
    """A quota that frees up in hours, such as versions of one secret. Stop writing this secret."""


class AlreadyExists(StoreError):
    """Create-if-absent lost: the secret name, or the version id with another value, exists already."""


class LabelMoved(StoreError):
    """Compare-and-swap of a staging label lost: the label is not where the caller believed. Describe, then decide."""
