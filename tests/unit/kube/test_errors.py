from __future__ import annotations

import pytest

from tolstoy_operator.kube.errors import (
    Conflict,
    Forbidden,
    Gone,
    KubeError,
    KubeUnavailable,
    NotFound,
    Unauthorized,
    Unprocessable,
    from_status,
)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, KubeError),
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (405, KubeError),
        (409, Conflict),
        (410, Gone),
        (422, Unprocessable),
        (429, KubeUnavailable),
        (500, KubeUnavailable),
        (503, KubeUnavailable),
        (504, KubeUnavailable),
    ],
)
def test_a_status_is_an_error_by_what_can_be_done_about_it(status: int, kind: type[KubeError]) -> None:
    error = from_status(status, "Why")
    assert type(error) is kind
    assert (error.status, error.reason, str(error)) == (status, "Why", f"Why (HTTP {status})")


def test_only_the_unavailable_say_when_to_come_back() -> None:
    error = from_status(429, "TooManyRequests", retry_after=3.5)
    assert isinstance(error, KubeUnavailable)
    assert error.retry_after == 3.5
    assert KubeUnavailable().retry_after is None


def test_an_error_without_details_names_its_class() -> None:
    assert str(Conflict()) == "Conflict (HTTP 409)"
    assert str(KubeUnavailable(reason="timeout")) == "timeout"
