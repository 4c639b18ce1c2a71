"""What every store promises, whatever is behind it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tolstoy_operator.domain.errors import (
    AlreadyExists,
    InvalidRequest,
    LabelMoved,
    SecretNotFound,
    StoreError,
)
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.services.resolver import NewerConsent, OAuthCredentials, SecretsResolver
from tolstoy_operator.services.secrets import SecretsService
from tolstoy_operator.stores.base import CURRENT, MAX_VALUE_BYTES, PREVIOUS, SecretStore, SecretVersion


def new_id() -> str:
    return str(uuid.uuid4())


async def create(store: SecretStore, name: str, text: str = "one") -> str:
    return await store.create(name, SecretValue(text), version_id=new_id())


async def put(store: SecretStore, name: str, text: str, labels: Sequence[str] = (CURRENT,)) -> str:
    version_id = new_id()
    await store.put(name, SecretValue(text), version_id=version_id, labels=labels)
    return version_id


async def labels(store: SecretStore, name: str) -> dict[str, str]:
    return dict((await store.describe(name)).labels)


def text(version: SecretVersion | StoreError) -> str:
    assert isinstance(version, SecretVersion)
    assert version.value is not None
    return version.value.reveal()


class TestReading:
    async def test_a_created_secret_is_read_back(self, store: SecretStore, prefix: str) -> None:
        name = f"{prefix}org-abc123"  # ends in a hyphen and six characters, like an ARN
        version_id = await create(store, name, '{"apiKey": "ключ"}')

        version = await store.get(name)

        assert text(version) == '{"apiKey": "ключ"}'
        assert (version.name, version.version_id, version.labels) == (name, version_id, frozenset({CURRENT}))
        assert version.arn.endswith(name) or f":{name}-" in version.arn
        assert version.created_at == pytest.approx((await store.list_versions(name))[0].created_at, abs=1)

    async def test_every_character_that_a_name_may_have(self, store: SecretStore, prefix: str) -> None:
        name = f"{prefix}A-Za-z0-9/_+=.@-"
        await create(store, name)
        assert text(await store.get(name)) == "one"
        assert text((await store.get_many([name, f"{prefix}none"]))[name]) == "one"

    async def test_an_absent_secret_is_not_found(self, store: SecretStore, prefix: str) -> None:
        for read in (store.get(f"{prefix}none"), store.describe(f"{prefix}none"), store.list_versions(f"{prefix}none")):
            with pytest.raises(SecretNotFound, match="none"):
                await read

    async def test_by_version_and_by_label(self, store: SecretStore, prefix: str) -> None:
        name = f"{prefix}a"
        first = await create(store, name)
        second = await put(store, name, "two")
        third = await put(store, name, "three", labels=["STAGED"])

        assert text(await store.get(name, label=PREVIOUS)) == "one"
        assert text(await store.get(name, label="STAGED")) == "three"
        assert text(await store.get(name, version_id=first, label=None)) == "one"
        assert text(await store.get(name, version_id=second)) == "two"
        with pytest.raises(SecretNotFound):
            await store.get(name, version_id=third)
        with pytest.raises(SecretNotFound):
            await store.get(name, version_id=new_id())
        with pytest.raises(SecretNotFound):
            await store.get(name, label="NOBODY")

    async def test_many_names_are_all_answered(self, store: SecretStore, prefix: str) -> None:
        names = [f"{prefix}{i}" for i in range(45)]
        for name in names[:43]:
            await create(store, name, name)

        answers = await store.get_many([*names, names[0]])

        assert set(answers) == set(names)
        assert [text(answers[name]) for name in names[:43]] == names[:43]
        assert [type(answers[name]) for name in names[43:]] == [SecretNotFound, SecretNotFound]

    async def test_no_names(self, store: SecretStore) -> None:
        assert await store.get_many([]) == {}

    async def test_access_is_valid(self, store: SecretStore) -> None:
        await store.validate_access()


class TestCreating:
    async def test_again_with_the_same_id_and_value_is_a_success(self, store: SecretStore, prefix: str) -> None:
        name, version_id = f"{prefix}a", new_id()
        for _ in range(2):
            assert await store.create(name, SecretValue("one"), version_id=version_id) == version_id
        assert len(await store.list_versions(name)) == 1

    @pytest.mark.parametrize("same_id", [True, False])
    async def test_an_existing_name_is_refused(self, store: SecretStore, prefix: str, same_id: bool) -> None:
        name = f"{prefix}a"
        first = await create(store, name)
        with pytest.raises(AlreadyExists):
            await store.create(name, SecretValue("two"), version_id=first if same_id else new_id())
        assert text(await store.get(name)) == "one"

    @pytest.mark.parametrize("bad", ["with space", "umläut", "semi;colon", "x" * 513, "star*"])
    async def test_a_name_that_is_not_allowed(self, store: SecretStore, bad: str) -> None:
        with pytest.raises(InvalidRequest):
            await create(store, bad)

    @pytest.mark.parametrize("value", ["", "x" * (MAX_VALUE_BYTES + 1), "é" * (MAX_VALUE_BYTES // 2 + 1), "\ud800"])
    async def test_a_value_that_cannot_be_stored(self, store: SecretStore, prefix: str, value: str) -> None:
        name = f"{prefix}a"
        with pytest.raises(InvalidRequest):
            await create(store, name, value)
        await create(store, name)
        with pytest.raises(InvalidRequest):
            await put(store, name, value)

    @pytest.mark.parametrize("value", ["x" * MAX_VALUE_BYTES, "\x00\x01", "not json", "é" * (MAX_VALUE_BYTES // 2)])
    async def test_a_value_at_the_limits(self, store: SecretStore, prefix: str, value: str) -> None:
        await create(store, f"{prefix}a", value)
        assert text(await store.get(f"{prefix}a")) == value


class TestPutting:
    async def test_current_moves_and_previous_follows(self, store: SecretStore, prefix: str) -> None:
        name = f"{prefix}a"
        first = await create(store, name)
        second = await put(store, name, "two")
        assert await labels(store, name) == {CURRENT: second, PREVIOUS: first}
        third = await put(store, name, "three")
        assert await labels(store, name) == {CURRENT: third, PREVIOUS: second}
        assert {version.version_id: version.labels for version in await store.list_versions(name)} == {
            first: frozenset(),
            second: frozenset({PREVIOUS}),
            third: frozenset({CURRENT}),
        }

    async def test_other_labels_leave_current_alone(self, store: SecretStore, prefix: str) -> None:
        name = f"{prefix}a"
        first = await create(store, name)
        second = await put(store, name, "two", labels=["PENDING", "CLAIM"])
        assert await labels(store, name) == {CURRENT: first, "PENDING": second, "CLAIM": second}
        assert text(await store.get(name)) == "one"

    async def test_labels_are_taken_from_wherever_they_are(self, store: SecretStore, prefix: str) -> None:
        name = f"{prefix}a"
        first = await create(store, name)
        await put(store, name, "two", labels=["CLAIM"])
        third = await put(store, name, "three", labels=["CLAIM"])
        assert await labels(store, name) == {CURRENT: first, "CLAIM": third}

    async def test_a_private_label_stays_when_current_moves(self, store: SecretStore, prefix: str) -> None:
        name = f"{prefix}a"
        first = await create(store, name)
        await store.move_label(name, "OWNER", from_version=None, to_version=first)
        second = await put(store, name, "two")
        assert await labels(store, name) == {CURRENT: second, PREVIOUS: first, "OWNER": first}

    async def test_the_same_id_and_value_again_moves_no_label(self, store: SecretStore, prefix: str) -> None:
        name, version_id = f"{prefix}a", new_id()
        await create(store, name)
        await store.put(name, SecretValue("two"), version_id=version_id)
        third = await put(store, name, "three")

        await store.put(name, SecretValue("two"), version_id=version_id)

        assert await labels(store, name) == {CURRENT: third, PREVIOUS: version_id}

    async def test_the_same_id_with_another_value_is_refused(self, store: SecretStore, prefix: str) -> None:
        name, version_id = f"{prefix}a", new_id()
        await create(store, name)
        await store.put(name, SecretValue("two"), version_id=version_id)
        with pytest.raises(AlreadyExists) as refused:
            await store.put(name, SecretValue("hidden-value"), version_id=version_id)
        assert "hidden-value" not in repr(refused.value)
        assert text(await store.get(name)) == "two"

    async def test_an_absent_secret(self, store: SecretStore, prefix: str) -> None:
        with pytest.raises(SecretNotFound):
            await put(store, f"{prefix}none", "one")

    async def test_an_id_of_the_wrong_length(self, store: SecretStore, prefix: str) -> None:
        await create(store, f"{prefix}a")
        for version_id in ("x" * 31, "x" * 65):
            with pytest.raises(InvalidRequest):
                await store.put(f"{prefix}a", SecretValue("two"), version_id=version_id)
        await store.put(f"{prefix}a", SecretValue("two"), version_id="tolstoy-" + "x" * 24)

    async def test_no_label_at_all(self, store: SecretStore, prefix: str) -> None:
        await create(store, f"{prefix}a")
        with pytest.raises(InvalidRequest):
            await put(store, f"{prefix}a", "two", labels=[])

    async def test_of_many_writers_of_one_id_one_wins(self, store: SecretStore, prefix: str) -> None:
        name, version_id = f"{prefix}a", new_id()
        await create(store, name)
        writers = (store.put(name, SecretValue(f"writer {i}"), version_id=version_id) for i in range(8))
        outcomes = await asyncio.gather(*writers, return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["AlreadyExists"] * 7 + ["NoneType"]
        assert text(await store.get(name)) == f"writer {outcomes.index(None)}"


class TestMovingLabels:
    async def test_current_is_swapped_and_previous_follows(self, store: SecretStore, prefix: str) -> None:
        name = f"{prefix}a"
        first = await create(store, name)
        second = await put(store, name, "two", labels=["PENDING"])

        await store.move_label(name, CURRENT, from_version=first, to_version=second)

        assert await labels(store, name) == {CURRENT: second, PREVIOUS: first, "PENDING": second}
        assert text(await store.get(name)) == "two"
        assert text((await store.get_many([name, f"{prefix}none"]))[name]) == "two"

    async def test_a_lost_swap_changes_nothing(self, store: SecretStore, prefix: str) -> None:
        name = f"{prefix}a"
        first = await create(store, name)
        second = await put(store, name, "two")
        third = await put(store, name, "three", labels=["PENDING"])
        for label, wrong in ((CURRENT, first), (CURRENT, third), (CURRENT, None), ("PENDING", second)):
            with pytest.raises(LabelMoved):
                await store.move_label(name, label, from_version=wrong, to_version=third if label == CURRENT else first)
        assert await labels(store, name) == {CURRENT: second, PREVIOUS: first, "PENDING": third}

    async def test_a_label_that_is_nowhere(self, store: SecretStore, prefix: str) -> None:
        name = f"{prefix}a"
        first = await create(store, name)
        with pytest.raises(LabelMoved):
            await store.move_label(name, "CLAIM", from_version=new_id(), to_version=first)
        await store.move_label(name, "CLAIM", from_version=None, to_version=first)
        assert await labels(store, name) == {CURRENT: first, "CLAIM": first}

    async def test_a_label_that_is_there_already_cannot_tell_who_brought_it(
        self, store: SecretStore, prefix: str
    ) -> None:
        name = f"{prefix}a"
        first = await create(store, name)
        await store.move_label(name, "CLAIM", from_version=None, to_version=first)
        await store.move_label(name, "CLAIM", from_version=None, to_version=first)
        await store.move_label(name, "CLAIM", from_version=new_id(), to_version=first)

    async def test_a_label_is_taken_by_one_of_many(self, store: SecretStore, prefix: str) -> None:
        name = f"{prefix}a"
        first = await create(store, name)
        second = await put(store, name, "two", labels=["LEASE", "PENDING"])
        assert await store.take_label(name, "LEASE", from_version=first) is False
        taken = await asyncio.gather(*(store.take_label(name, "LEASE", from_version=second) for _ in range(8)))
        assert sorted(taken, key=bool) == [False] * 7 + [True]
        assert await labels(store, name) == {CURRENT: first, "PENDING": second}
        with pytest.raises(SecretNotFound):
            await store.take_label(f"{prefix}none", "LEASE", from_version=first)

    async def test_taking_a_label_off(self, store: SecretStore, prefix: str) -> None:
        name = f"{prefix}a"
        first = await create(store, name)
        second = await put(store, name, "two", labels=["PENDING"])
        with pytest.raises(LabelMoved):
            await store.move_label(name, "PENDING", from_version=first, to_version=None)
        with pytest.raises(LabelMoved):
            await store.move_label(name, "PENDING", from_version=None, to_version=None)
        await store.move_label(name, "PENDING", from_version=second, to_version=None)
        await store.move_label(name, "PENDING", from_version=second, to_version=None)
        await store.move_label(name, "PENDING", from_version=None, to_version=None)
        assert await labels(store, name) == {CURRENT: first}
        assert text(await store.get(name, version_id=second, label=None)) == "two"

    async def test_where_the_label_is_already(self, store: SecretStore, prefix: str) -> None:
        name = f"{prefix}a"
        first = await create(store, name)
        second = await put(store, name, "two")
        for believed in (first, second, None):
            await store.move_label(name, CURRENT, from_version=believed, to_version=second)
        assert await labels(store, name) == {CURRENT: second, PREVIOUS: first}

    async def test_current_back_to_the_previous_version(self, store: SecretStore, prefix: str) -> None:
        name = f"{prefix}a"
        first = await create(store, name)
        second = await put(store, name, "two")
        await store.move_label(name, CURRENT, from_version=second, to_version=first)
        assert await labels(store, name) == {CURRENT: first, PREVIOUS: second}

    async def test_current_cannot_be_taken_off(self, store: SecretStore, prefix: str) -> None:
        name = f"{prefix}a"
        first = await create(store, name)
        with pytest.raises(InvalidRequest):
            await store.move_label(name, CURRENT, from_version=first, to_version=None)
        assert await labels(store, name) == {CURRENT: first}

    async def test_to_a_version_that_does_not_exist(self, store: SecretStore, prefix: str) -> None:
        name = f"{prefix}a"
        first = await create(store, name)
        with pytest.raises(SecretNotFound):
            await store.move_label(name, CURRENT, from_version=first, to_version=new_id())
        with pytest.raises(SecretNotFound):
            await store.move_label(f"{prefix}none", CURRENT, from_version=first, to_version=new_id())
        assert await labels(store, name) == {CURRENT: first}

    async def test_of_many_swaps_one_wins(self, store: SecretStore, prefix: str) -> None:
        name = f"{prefix}a"
        first = await create(store, name)
        staged = [await put(store, name, f"writer {i}", labels=[f"STAGED-{i}"]) for i in range(8)]
        moves = (store.move_label(name, CURRENT, from_version=first, to_version=to) for to in staged)
        outcomes = await asyncio.gather(*moves, return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["LabelMoved"] * 7 + ["NoneType"]
        assert (await labels(store, name))[CURRENT] == staged[outcomes.index(None)]


class TestListing:
    async def names(self, store: SecretStore, prefix: str, since: float | None = None) -> list[str]:
        return [row.name.removeprefix(prefix) async for row in store.list_changed(prefix=prefix, since=since)]

    async def test_latest_change_first(self, store: SecretStore, prefix: str) -> None:
        for name in "abc":
            await create(store, prefix + name)
            await asyncio.sleep(0.002)  # change times have milliseconds
        assert await self.names(store, prefix) == ["c", "b", "a"]
        await put(store, f"{prefix}a", "two", labels=["STAGED"])
        await asyncio.sleep(0.002)
        version = (await store.describe(f"{prefix}b")).labels[CURRENT]
        await store.move_label(f"{prefix}b", "OWNER", from_version=None, to_version=version)
        assert await self.names(store, prefix) == ["b", "a", "c"]

    async def test_rows_tell_the_current_version(self, store: SecretStore, prefix: str) -> None:
        first = await create(store, f"{prefix}a")
        await put(store, f"{prefix}a", "two", labels=["STAGED"])
        (row,) = [row async for row in store.list_changed(prefix=prefix, since=None)]
        assert (row.name, row.current_version_id, row.pending_deletion) == (f"{prefix}a", first, False)
        assert row.arn == (await store.get(f"{prefix}a")).arn

    async def test_stops_at_the_watermark(self, store: SecretStore, prefix: str) -> None:
        for name in "abc":
            await create(store, prefix + name)
            await asyncio.sleep(0.002)
        changed = {
            row.name.removeprefix(prefix): row.changed_at async for row in store.list_changed(prefix=prefix, since=None)
        }
        assert await self.names(store, prefix, since=changed["b"]) == ["c", "b"]
        assert await self.names(store, prefix, since=changed["c"] + 1) == []

    async def test_more_than_a_page(self, store: SecretStore, prefix: str) -> None:
        await asyncio.gather(*(create(store, f"{prefix}{i}") for i in range(105)))
        assert len(set(await self.names(store, prefix))) == 105

    async def test_the_prefix_is_literal_and_case_counts(self, store: SecretStore, prefix: str) -> None:
        await create(store, f"{prefix}a_b")
        assert await self.names(store, f"{prefix}A") == []
        assert await self.names(store, f"{prefix}aXb") == []
        assert await self.names(store, f"{prefix}a_") == ["b"]
        assert f"{prefix}a_b" in await self.names(store, "")


async def test_a_consent_that_comes_while_another_is_imported_is_not_overwritten(
    store: SecretStore, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step of the operator that rests on all of this, between whose reading and writing somebody else writes."""
    secrets = SecretsService(store, cache_ttl=300, stale_max_age=300)
    resolver = SecretsResolver(secrets, database_secret="platform", sleep=lambda _s: asyncio.sleep(0))
    name, issued = f"tolstoy/github/{prefix.split('/')[1]}", datetime(2026, 5, 1, 9, tzinfo=UTC)
    tool_and_org = ("github", prefix.split("/")[1])
    first = await create(store, name, '{"refreshToken": "first", "lastUpdated": "2026-05-01T08:00:00Z"}')
    newer, real_put = '{"refreshToken": "newer", "lastUpdated": "2026-05-01T10:00:00Z"}', store.put
    others: list[str] = []

    async def late_put(name: str, value: SecretValue, *, version_id: str, labels: Sequence[str] = (CURRENT,)) -> None:
        if not others:
            others.append(new_id())
            await real_put(name, SecretValue(newer), version_id=others[0])
        await real_put(name, value, version_id=version_id, labels=labels)

    monkeypatch.setattr(store, "put", late_put)
    imported = OAuthCredentials(refresh_token=SecretValue("imported"))
    with pytest.raises(NewerConsent):
        await resolver.set_oauth_credentials(*tool_and_org, imported, issued_at=issued)

    assert text(await store.get(name)) == newer
    assert await labels(store, name) == {CURRENT: others[0], PREVIOUS: first}
    version = await resolver.set_oauth_credentials(*tool_and_org, imported, issued_at=issued + timedelta(hours=2))
    assert await labels(store, name) == {CURRENT: version, PREVIOUS: others[0]}
