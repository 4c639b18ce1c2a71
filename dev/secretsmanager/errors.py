"""Errors in the shape in which Secrets Manager answers: a code, a message, an HTTP status."""

from __future__ import annotations

import json

NOT_FOUND = "Secrets Manager can't find the specified secret."
MARKED_FOR_DELETION = "You can't perform this operation on the secret because it was marked for deletion."
NAME_PENDING_DELETION = (
    "You can't create this secret because a secret with this name is already scheduled for deletion."
)


class AwsError(Exception):
    """What the client gets. Every client error of this service has HTTP status 400, not-found and denied included."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status

    def body(self) -> bytes:
        """The JSON document of the answer."""
        return json.dumps({"__type": self.code, "message": self.message}).encode()


def not_found(message: str = NOT_FOUND) -> AwsError:
    """A secret, version or label that does not exist."""
    return AwsError("ResourceNotFoundException", message)


def invalid_request(message: str) -> AwsError:
    """The request does not fit the state of the secret."""
    return AwsError("InvalidRequestException", message)


def invalid_parameter(message: str) -> AwsError:
    """Malformed input, and also a lost compare-and-swap."""
    return AwsError("InvalidParameterException", message)


def validation(member: str, constraint: str) -> AwsError:
    """A member outside the limits of the service's model."""
    return AwsError(
        "ValidationException",
        f"1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must {constraint}",
    )
