"""What can go wrong between us and the API server, by what the caller can do about it.

Callers decide by class, never by text: `Conflict` means read again, `NotFound` means it is gone, `KubeUnavailable`
means try later. Only the HTTP status and the machine-readable `reason` are kept. The `message` of a Status object is
dropped, because it may repeat what was sent, and what we send includes the data of Secrets.
"""

from __future__ import annotations


class KubeError(Exception):
    """A request that the API server answered with an error.

    `status`: HTTP status, 0 when there was no answer. `reason`: `Status.reason` ("AlreadyExists", "Invalid", …), or a
    short word of ours.
    """

    default_status = 0

    def __init__(self, status: int | None = None, reason: str = "") -> None:
        self.status = self.default_status if status is None else status
        self.reason = reason or type(self).__name__
        super().__init__(f"{self.reason} (HTTP {self.status})" if self.status else self.reason)


class Unauthorized(KubeError):
    """401: our token is not accepted (any more)."""

    default_status = 401


class Forbidden(KubeError):
    """403: RBAC, an admission policy or a quota refuses, or the namespace is being deleted."""

    default_status = 403


class NotFound(KubeError):
    """404: the object, or the kind itself, does not exist."""

    default_status = 404


class Conflict(KubeError):
    """409: the object exists already, or has changed since its resourceVersion was read."""

    default_status = 409


class Gone(KubeError):
    """410: the resourceVersion or continue token is too old, list again from the start."""

    default_status = 410


class Unprocessable(KubeError):
    """422: validation failed, or a `test` operation of a JSON patch did not hold."""

    default_status = 422


class TooLarge(KubeError):
    """The answer has more bytes than are read of one. A list can be asked for in smaller pages."""


class KubeUnavailable(KubeError):
    """No usable answer now: connection refused or cut, timeout, 429, 5xx. Worth a later try.

    `retry_after`: seconds that the server asked us to wait, None when it did not say.
    """

    def __init__(self, status: int | None = None, reason: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(status, reason)
        self.retry_after = retry_after


_BY_STATUS: dict[int, type[KubeError]] = {
    cls.default_status: cls for cls in (Unauthorized, Forbidden, NotFound, Conflict, Gone, Unprocessable)
}
_TOO_MANY_REQUESTS = 429
_SERVER_ERRORS = 500


def from_status(status: int, reason: str = "", *, retry_after: float | None = None) -> KubeError:
    """The error for an HTTP `status` that is no success (`retry_after` in seconds). It is returned, not raised."""
    if status == _TOO_MANY_REQUESTS or status >= _SERVER_ERRORS:
        return KubeUnavailable(status, reason, retry_after=retry_after)
    return _BY_STATUS.get(status, KubeError)(status, reason)
