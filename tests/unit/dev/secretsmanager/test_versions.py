from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dev.secretsmanager import versions
from dev.secretsmanager.errors import AwsError

DAY = 86_400.0
ARN = "arn"


def token(i: int) -> str:
    return f"{i:032}"


def put(stored: versions.Versions, i: int, *put_labels: str, now: float = 0.0, value: str = "x") -> None:
    versions.put(
        stored, arn=ARN, token=token(i), string=value, binary=None, put_labels=put_labels or ["AWSCURRENT"], now=now
    )


steps = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 5), st.sampled_from(["AWSCURRENT", "A", "B"])),
    st.tuples(
        st.just("move"),
        st.one_of(st.none(), st.integers(0, 6)),
        st.one_of(st.none(), st.integers(0, 6)),
        st.sampled_from(["AWSCURRENT", "A", "B"]),
    ),
)


@given(st.lists(steps, max_size=30))
@settings(deadline=None)
def test_labels_stay_consistent_whatever_happens(done: list[tuple[object, ...]]) -> None:
    stored: versions.Versions = {}
    put(stored, 0)
    for step in done:
        before = copy.deepcopy(stored)
        try:
            if step[0] == "put":
                put(stored, int(str(step[1])), str(step[2]))
            else:
                ends = [None if end is None else token(int(str(end))) for end in step[1:3]]
                versions.move(stored, str(step[3]), remove_from=ends[0], move_to=ends[1])
        except AwsError:
            assert stored == before  # as a whole or not at all
        every = [label for version in stored.values() for label in version["version_stages"]]
        assert len(every) == len(set(every))
        assert "AWSCURRENT" in every
        now, was = versions.labels(stored), versions.labels(before)
        if now["AWSCURRENT"] != was["AWSCURRENT"]:
            assert now["AWSPREVIOUS"] == was["AWSCURRENT"]
        assert {vid: version["secret_string"] for vid, version in before.items()}.items() <= {
            vid: version["secret_string"] for vid, version in stored.items()
        }.items()


def test_room_is_made_by_the_oldest_without_labels() -> None:
    stored: versions.Versions = {}
    for i in range(99):
        put(stored, i, now=i)
    put(stored, 99, "KEPT", now=99)
    with pytest.raises(AwsError, match="LimitExceeded"):
        put(stored, 100, now=DAY - 1)
    put(stored, 100, now=DAY + 1_000)
    assert len(stored) == 100
    assert token(0) not in stored
    assert {token(1), token(98), token(99)} <= set(stored)


def test_a_version_that_was_only_announced_is_filled() -> None:
    stored: versions.Versions = {}
    put(stored, 0)
    stored[token(1)] = {"version_id": token(1), "createdate": 0.0, "version_stages": ["AWSPENDING"]}
    with pytest.raises(AwsError, match="ResourceNotFound"):
        versions.select(stored, None, "AWSPENDING")
    put(stored, 1, "AWSPENDING", value="filled")
    assert versions.select(stored, None, "AWSPENDING")["secret_string"] == "filled"
