from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tolstoy_operator.domain.errors import (
    AccessDenied,
    IdentityRefused,
    InvalidRequest,
    SecretNotFound,
    StoreError,
    StoreUnavailable,
    Throttled,
)
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.stores.base import CURRENT, SecretVersion
from tolstoy_operator.stores.batchread import BATCH_SIZE, BatchReader

HOUR = 3_600.0


class FakeSecretsManager:
    """Answers batches and single reads as told, and remembers who asked for what."""

    def __init__(self) -> None:
        self.now = 0.0
        self.batches: list[list[str]] = []
        self.singles: list[str] = []
        self.absent: set[str] = set()
        self.poison: dict[str, type[StoreError]] = {}
        self.unanswered: set[str] = set()
        self.batch_denied = False
        self.whole_call: StoreError | None = None
        self.fail_next_batches = 0
        self.at_work = self.most_at_work = 0

    def reader(self, concurrency: int = 4) -> BatchReader:
        return BatchReader(
            batch=self.batch,
            single=self.single,
            concurrency=concurrency,
            clock=lambda: self.now,
        )

    async def batch(self, names: Sequence[str]) -> Mapping[str, SecretVersion | StoreError]:
        assert 1 <= len(names) <= BATCH_SIZE
        self.batches.append(list(names))
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        await asyncio.sleep(0)
        self.at_work -= 1
        if self.fail_next_batches:
            self.fail_next_batches -= 1
            raise StoreUnavailable("20 secrets", "down for a moment")
        if self.whole_call is not None:
            raise self.whole_call
        if self.batch_denied:
            raise AccessDenied("20 secrets", "no permission for the batch")
        for name in names:
            if name in self.poison:
                raise self.poison[name]("20 secrets", "poisoned")
        return {name: self._answer(name) for name in names if name not in self.unanswered}

    async def single(self, name: str) -> SecretVersion:
        self.singles.append(name)
        await asyncio.sleep(0)
        if self.whole_call is not None:
            raise type(self.whole_call)(name, self.whole_call.cause)
        if name in self.poison:
            raise self.poison[name](name, "poisoned")
        answer = self._answer(name)
        if isinstance(answer, StoreError):
            raise answer
        return answer

    def _answer(self, name: str) -> SecretVersion | StoreError:
        if name in self.absent:
            return SecretNotFound(name, "no such secret")
        return SecretVersion(name, f"arn:{name}", "v1", frozenset({CURRENT}), SecretValue(name), 0.0)


@pytest.fixture
def backend() -> FakeSecretsManager:
    return FakeSecretsManager()


def names(count: int) -> list[str]:
    return [f"tolstoy/github/org-{i}" for i in range(count)]


def kinds(answers: Mapping[str, object]) -> dict[str, str]:
    """Answers that are not a version, by class."""
    return {name: type(answer).__name__ for name, answer in answers.items() if not isinstance(answer, SecretVersion)}


async def test_twenty_a_call_each_name_once(backend: FakeSecretsManager) -> None:
    answers = await backend.reader().read([*names(45), *names(3)])
    assert set(answers) == set(names(45))
    assert kinds(answers) == {}
    assert sorted(map(len, backend.batches)) == [5, 20, 20]
    assert backend.singles == []


async def test_one_name_needs_no_batch(backend: FakeSecretsManager) -> None:
    assert kinds(await backend.reader().read(names(1))) == {}
    assert (backend.batches, backend.singles) == ([], names(1))


async def test_nothing_to_read(backend: FakeSecretsManager) -> None:
    assert await backend.reader().read([]) == {}


async def test_no_more_groups_at_once_than_allowed(backend: FakeSecretsManager) -> None:
    await backend.reader(concurrency=3).read(names(400))
    assert backend.most_at_work == 3


async def test_errors_of_single_secrets_stay_with_them(backend: FakeSecretsManager) -> None:
    backend.absent = {names(20)[3]}
    assert kinds(await backend.reader().read(names(20))) == {names(20)[3]: "SecretNotFound"}


async def test_a_name_that_is_not_answered_is_unknown_and_not_deleted(backend: FakeSecretsManager) -> None:
    backend.unanswered = {names(20)[3]}
    assert kinds(await backend.reader().read(names(20))) == {names(20)[3]: "StoreUnavailable"}


@pytest.mark.parametrize("refusal", [AccessDenied, InvalidRequest])
@pytest.mark.parametrize("position", [0, 7, 19])
async def test_a_poisoned_name_spoils_nobody_and_no_later_batch(
    backend: FakeSecretsManager, refusal: type[StoreError], position: int
) -> None:
    bad = names(20)[position]
    backend.poison = {bad: refusal}
    reader = backend.reader()

    assert kinds(await reader.read(names(20))) == {bad: refusal.__name__}
    assert len(backend.batches) <= 5
    assert len(backend.singles) == 5

    backend.batches.clear()
    backend.singles.clear()
    assert kinds(await reader.read(names(20))) == {bad: refusal.__name__}
    assert backend.batches == [[name for name in names(20) if name != bad]]
    assert backend.singles == [bad]


async def test_quarantine_ends(backend: FakeSecretsManager) -> None:
    backend.poison = {names(20)[3]: AccessDenied}
    reader = backend.reader()
    await reader.read(names(20))
    backend.poison = {}
    backend.now += HOUR
    backend.batches.clear()
    backend.singles.clear()
    assert kinds(await reader.read(names(20))) == {}
    assert (backend.batches, backend.singles) == ([names(20)], [])


async def test_without_the_batch_permission_single_reads_do(backend: FakeSecretsManager) -> None:
    backend.batch_denied = True
    reader = backend.reader(concurrency=1)

    assert kinds(await reader.read(names(100))) == {}
    assert len(backend.batches) <= 3
    assert sorted(backend.singles) == sorted(names(100))

    backend.batches.clear()
    assert kinds(await reader.read(names(100))) == {}
    assert backend.batches == []


async def test_the_batch_is_tried_again_later(backend: FakeSecretsManager) -> None:
    backend.batch_denied = True
    reader = backend.reader()
    await reader.read(names(20))
    backend.batch_denied = False
    backend.now += HOUR
    backend.singles.clear()
    assert kinds(await reader.read(names(20))) == {}
    assert backend.singles == []


async def test_denied_everywhere_costs_little_more_than_a_read_each(backend: FakeSecretsManager) -> None:
    backend.whole_call = AccessDenied("all", "denied")
    answers = await backend.reader().read(names(100))
    assert set(kinds(answers).values()) == {"AccessDenied"}
    assert [answer.name for answer in answers.values() if isinstance(answer, StoreError)] == list(answers)
    assert len(backend.singles) == 100
    assert len(backend.batches) == 5 * 7


async def test_bad_credentials_are_found_out_once(backend: FakeSecretsManager) -> None:
    backend.whole_call = IdentityRefused("all", "expired credentials")
    answers = await backend.reader(concurrency=1).read(names(200))
    assert set(kinds(answers).values()) == {"IdentityRefused"}
    assert (len(backend.batches), backend.singles) == (1, [])


@pytest.mark.parametrize("outage", [StoreUnavailable, Throttled])
async def test_an_outage_is_found_out_with_three_calls(backend: FakeSecretsManager, outage: type[StoreError]) -> None:
    backend.whole_call = outage("20 secrets", "down")
    answers = await backend.reader(concurrency=1).read(names(2_000))
    assert len(kinds(answers)) == 2_000
    assert set(kinds(answers).values()) == {outage.__name__}
    assert len(backend.batches) == 3


async def test_a_single_failure_concerns_one_batch(backend: FakeSecretsManager) -> None:
    backend.fail_next_batches = 2
    answers = await backend.reader(concurrency=1).read(names(100))
    assert set(kinds(answers)) == set(names(40))
    assert set(kinds(await backend.reader().read(names(100)))) == set()


@given(
    total=st.integers(0, 70),
    poison=st.dictionaries(st.integers(0, 69), st.sampled_from([AccessDenied, InvalidRequest]), max_size=70),
    absent=st.sets(st.integers(0, 69)),
    unanswered=st.sets(st.integers(0, 69)),
)
@settings(deadline=None, max_examples=60)
def test_every_name_gets_its_own_answer(
    total: int, poison: dict[int, type[StoreError]], absent: set[int], unanswered: set[int]
) -> None:
    backend = FakeSecretsManager()
    every = names(70)
    backend.poison = {every[i]: kind for i, kind in poison.items()}
    backend.absent = {every[i] for i in absent}
    backend.unanswered = {every[i] for i in unanswered}
    reader = backend.reader()

    async def read_twice() -> None:
        for _ in range(2):
            answers = await reader.read(every[:total])
            assert set(answers) == set(every[:total])
            for name, answer in answers.items():
                assert answer.name == name
                if name in backend.poison:
                    assert type(answer) is backend.poison[name]
                elif name in backend.absent:
                    assert isinstance(answer, (SecretNotFound, StoreUnavailable))
                else:
                    assert isinstance(answer, (SecretVersion, StoreUnavailable))
                    assert isinstance(answer, SecretVersion) or name in backend.unanswered

    asyncio.run(read_twice())
