"""Whatever times a document states, there is a status, and its times are such as an API server takes."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta, timezone
from types import SimpleNamespace
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.engine.world import UPSTREAM, FakeGrants, World
from tolstoy_operator.domain.oauthdocument import OAuthDocument, consent_end
from tolstoy_operator.domain.refresh import ProviderTraits
from tolstoy_operator.domain.schedule import refresh_due
from tolstoy_operator.stores.base import SecretVersion

YEAR = 365 * 86_400.0
DATE_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
TRAITS = ProviderTraits(lifetime_s=3600, refresh_idle_s=YEAR / 2, refresh_hard_s=10 * YEAR)

zones = st.none() | st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
texts = st.datetimes(timezones=zones).map(lambda moment: moment.isoformat()) | st.sampled_from(
    ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "0001-01-01", "9999-12-31T23:59:59-01:00", "9999-12-31"]
)
numbers = st.integers(-(2**64), 2**64) | st.floats() | st.sampled_from([2**53 - 1, 1_790_000_000_000_000, 0, 1])
times = st.none() | st.booleans() | numbers | numbers.map(str) | texts | st.text(max_size=8)


class FakeGrantsThatCount(FakeGrants):
    """They know when a grant is due and when it ends, and refresh nothing."""

    def note(self, *args: object) -> SimpleNamespace:
        version, document, _ = args
        assert isinstance(version, SecretVersion)
        assert isinstance(document, OAuthDocument)
        known = super().note()
        known.due_at = refresh_due(version.name, document, TRAITS)
        known.consent_ends = consent_end(version.arn, document, TRAITS.refresh_hard_s)
        return known


@given(
    members=st.fixed_dictionaries(
        {}, optional={"expiresAt": times, "refreshTokenExpiresAt": times, "lastUpdated": times}
    )
)
@example({"expiresAt": 1_790_000_000_000, "refreshTokenExpiresAt": 2**53 - 1})  # JavaScript's largest whole number
@example({"expiresAt": 1_790_000_000_000, "refreshTokenExpiresAt": 1_790_000_000_000_000})  # microseconds
@example({"expiresAt": 1_790_000_000_000, "lastUpdated": "0001-01-01T00:00:00Z"})  # Go's zero time
@example({"expiresAt": 1_790_000_000_000, "lastUpdated": "0001-01-01T00:00:00+01:00"})
@example({"expiresAt": 1_790_000_000_000, "lastUpdated": "9999-12-31T23:59:59-01:00"})
def test_there_is_a_status(members: dict[str, Any]) -> None:
    world = World(grants=FakeGrantsThatCount)
    world.namespace()
    world.store.write(UPSTREAM, json.dumps({"accessToken": "a", "refreshToken": "r", **members}))
    world.credential()
    asyncio.run(world.settle())
    assert world.reason() in {"Synced", "ConsentExpiring", "TokenExpired", "SecretMalformed"}
    grant = world.status().get("grant") or {}
    told = [text for key, text in grant.items() if key.endswith(("At", "Time")) and text is not None]
    assert all(DATE_TIME.fullmatch(text) for text in told), told
