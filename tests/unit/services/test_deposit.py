"""Documents that a person brings."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tests.support.fakestore import FakeStore
from tolstoy_operator.api.v1 import CredentialType
from tolstoy_operator.domain.documents import MalformedSecret
from tolstoy_operator.domain.errors import StoreUnavailable
from tolstoy_operator.domain.naming import InvalidName
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.observability.audit import Entry, Operation
from tolstoy_operator.services.deposit import Deposit, Done, deposit
from tolstoy_operator.services.secrets import SecretsService

NAME = "tolstoy/stripe/org-1"
KEY = '{"apiKey": "k1"}'


@dataclass
class Bench:
    store: FakeStore = field(default_factory=FakeStore)
    audited: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.secrets = SecretsService(self.store, cache_ttl=0, stale_max_age=0, window=0, record=self.audited.append)

    async def deposit(self, text: str, wanted: CredentialType = CredentialType.AUTO, name: str = NAME) -> Deposit:
        return await deposit(self.secrets, name, SecretValue(text), wanted)

    def operations(self) -> list[Operation]:
        return [entry.operation for entry in self.audited]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"accessToken": "t", "expiresAt": 1893456000000}', CredentialType.OAUTH2),
        (KEY, CredentialType.API_KEY),
        ('{"webhookSecret": "s"}', CredentialType.WEBHOOK),
        ('{"clientId": "c", "clientSecret": "s"}', CredentialType.CLIENT_CREDENTIALS),
        ('{"DATABASE_URL": "postgres://db/x"}', CredentialType.DATABASE),
        ('{"user": "u", "port": 1}', CredentialType.OPAQUE),
    ],
)
async def test_a_document_of_each_type_is_created_as_it_was_given(
    bench: Bench, text: str, found: CredentialType
) -> None:
    assert await bench.deposit(f" {text}\n") == Deposit(Done.CREATED, found, (await bench.store.get(NAME)).version_id)
    assert bench.store.read(NAME) == f" {text}\n"
    assert bench.operations() == [Operation.CREATE]


async def test_another_one_is_a_new_version(bench: Bench) -> None:
    first = await bench.deposit(KEY)
    second = await bench.deposit('{"apiKey": "k2"}')
    assert (first.done, second.done) == (Done.CREATED, Done.UPDATED)
    assert second.version_id == (await bench.store.get(NAME)).version_id != first.version_id
    assert bench.store.read(NAME) == '{"apiKey": "k2"}'
    assert bench.operations() == [Operation.CREATE, Operation.READ, Operation.WRITE]


async def test_the_same_again_writes_nothing(bench: Bench) -> None:
    first = await bench.deposit(KEY)
    assert await bench.deposit(KEY) == Deposit(Done.UNCHANGED, CredentialType.API_KEY, first.version_id)
    assert bench.operations() == [Operation.CREATE, Operation.READ]


async def test_a_document_of_no_use_is_replaced(bench: Bench) -> None:
    bench.store.write(NAME, "not json")
    assert (await bench.deposit(KEY)).done is Done.UPDATED


async def test_a_type_that_no_member_tells_can_be_said(bench: Bench) -> None:
    """A client that gets tokens for itself: by its members it would be a mere client."""
    client = '{"clientId": "c", "clientSecret": "s"}'
    assert (await bench.deposit(client, CredentialType.OAUTH2)).type is CredentialType.OAUTH2


@pytest.mark.parametrize(
    ("text", "wanted", "says"),
    [
        ("", CredentialType.AUTO, "the secret is empty"),
        ("hunter2", CredentialType.AUTO, "the secret is not JSON: line 1, column 1"),
        ('["hunter2"]', CredentialType.AUTO, "the secret is a JSON list, not an object"),
        ('{"apiKey": ["hunter2"]}', CredentialType.AUTO, 'member "apiKey" must be a string'),
        ('{"webhookSecret": ""}', CredentialType.AUTO, 'member "webhookSecret" is empty'),
        ('{"DATABASE_URL": "hunter2"}', CredentialType.AUTO, 'member "DATABASE_URL" must be a URL'),
        ('{"other": "hunter2"}', CredentialType.API_KEY, 'member "apiKey" is missing'),
        ('{"accessToken": "hunter2", "expiresAt": 1}', CredentialType.AUTO, 'member "expiresAt" must be a number'),
    ],
)
async def test_what_the_operator_could_not_use_is_refused_without_its_value(
    bench: Bench, text: str, wanted: CredentialType, says: str
) -> None:
    with pytest.raises(MalformedSecret, match=says) as caught:
        await bench.deposit(text, wanted)
    assert "hunter2" not in str(caught.value)
    assert bench.store.calls == []


async def test_a_name_that_no_spec_can_ask_for_is_refused(bench: Bench) -> None:
    with pytest.raises(InvalidName):
        await bench.deposit(KEY, name="tolstoy/Stripe/org-1")
    assert bench.store.calls == []


async def test_a_store_that_fails_is_told_and_audited(bench: Bench) -> None:
    bench.store.fail("create", StoreUnavailable)
    with pytest.raises(StoreUnavailable):
        await bench.deposit(KEY)
    assert [(entry.operation, entry.outcome) for entry in bench.audited] == [(Operation.CREATE, "StoreUnavailable")]
