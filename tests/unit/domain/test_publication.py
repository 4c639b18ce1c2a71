"""Which version may follow which in a mirror."""

from __future__ import annotations

import pytest

from tolstoy_operator.domain.publication import STALE_S, is_news


@pytest.mark.parametrize(
    ("candidate", "published", "ancestors", "previous", "seconds", "news"),
    [
        pytest.param("v1", None, [], None, 0.0, True, id="nothing published yet"),
        pytest.param("v2", "v2", ["v1"], "v1", 5.0, False, id="the same again"),
        pytest.param("v3", "v2", ["v1"], "v2", 5.0, True, id="a successor"),
        pytest.param("consent", "v2", ["v1"], "v9", 5.0, True, id="a new consent"),
        pytest.param("v1", "v2", ["v1", "v0"], "v0", 5.0, False, id="an ancestor is a stale read"),
        pytest.param("v1", "v2", ["v1", "v0"], "v2", 5.0, True, id="moved back by hand, and the look shows it"),
        pytest.param("v1", "v2", ["v1"], None, STALE_S, True, id="an ancestor for an hour is meant"),
        pytest.param("v1", "v2", None, "v0", 5.0, False, id="whoever cannot see the published version is behind it"),
    ],
)
def test_what_is_news(
    candidate: str, published: str | None, ancestors: list[str] | None, previous: str | None, seconds: float, news: bool
) -> None:
    decided = is_news(candidate, published=published, ancestors=ancestors, previous=previous, published_for=seconds)

    assert decided is news
