"""The Secrets Manager store when the service, the network or the permissions fail."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.secretsmanager import SecretsManagerServer
from tests.component.stores.conftest import connect
from tolstoy_operator.domain import errors
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.stores.base import CURRENT, SecretVersion
from tolstoy_operator.stores.secretsmanager import SecretsManagerStore


@pytest.fixture(params=["strict", "fast"])
def mode(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def server(mode: str, request: pytest.FixtureRequest) -> Iterator[SecretsManagerServer]:
    shared: SecretsManagerServer = request.getfixturevalue(f"{mode}_server")
    shared.reset_calls()
    yield shared
    shared.clear_faults()


@pytest.fixture
def store(server: SecretsManagerServer) -> Iterator[SecretsManagerStore]:
    """A store of its own, since it learns from refusals. Its first call is not counted."""
    made = connect(server, read_timeout=0.5)
    server.reset_calls()
    yield made
    asyncio.run(made.close())


def new_id() -> str:
    return str(uuid.uuid4())


async def test_a_few_failures_are_not_noticed(
    server: SecretsManagerServer, store: SecretsManagerStore, prefix: str
) -> None:
    server.seed({f"{prefix}a": "one"})
    server.fault("throttle", secret=f"{prefix}a", count=1)
    server.fault("500", secret=f"{prefix}a", count=1)
    assert (await store.get(f"{prefix}a")).value == SecretValue("one")
    assert server.calls() == {"GetSecretValue": 3}


@pytest.mark.parametrize(
    ("kind", "error", "tries"),
    [
        ("throttle", errors.Throttled, 3),
        ("500", errors.StoreUnavailable, 3),
        ("limit", errors.LimitExceeded, 3),
        ("access_denied", errors.AccessDenied, 1),
        ("expired_token", errors.IdentityRefused, 1),
        ("kms", errors.DecryptionFailed, 1),
        ("validation", errors.InvalidRequest, 1),
    ],
)
async def test_lasting_failures(
    server: SecretsManagerServer,
    store: SecretsManagerStore,
    prefix: str,
    kind: str,
    error: type[errors.StoreError],
    tries: int,
) -> None:
    server.seed({f"{prefix}a": "one", f"{prefix}b": "b"})
    server.fault(kind, secret=f"{prefix}a")
    with pytest.raises(error):
        await store.get(f"{prefix}a")
    assert server.calls() == {"GetSecretValue": tries}
    assert (await store.get(f"{prefix}b")).value == SecretValue("b")


async def test_a_service_that_does_not_answer(
    server: SecretsManagerServer, store: SecretsManagerStore, prefix: str
) -> None:
    server.fault("blackhole")
    began = time.monotonic()
    with pytest.raises(errors.StoreUnavailable, match="did not answer in time"):
        await store.get(f"{prefix}a")
    assert time.monotonic() - began < 20


async def test_a_service_that_is_gone_and_comes_back(prefix: str) -> None:
    with SecretsManagerServer("fast") as server:
        store = await asyncio.to_thread(connect, server)
        server.seed({f"{prefix}a": "one", f"{prefix}b": "b"})
        server.stop()
        with pytest.raises(errors.StoreUnavailable, match="no connection"):
            await store.get(f"{prefix}a")
        answers = await store.get_many([f"{prefix}a", f"{prefix}b"])
        assert {type(answer) for answer in answers.values()} == {errors.StoreUnavailable}
        server.start()
        assert (await store.get(f"{prefix}a")).value == SecretValue("one")
        await store.close()


class TestBatches:
    async def test_the_number_of_calls(
        self, server: SecretsManagerServer, store: SecretsManagerStore, prefix: str
    ) -> None:
        names = [f"{prefix}{i}" for i in range(45)]
        server.seed(dict.fromkeys(names, "x"))
        answers = await store.get_many(names)
        assert all(isinstance(answer, SecretVersion) for answer in answers.values())
        assert server.calls() == {"BatchGetSecretValue": 3}

    async def test_each_secret_has_its_own_error(
        self, server: SecretsManagerServer, store: SecretsManagerStore, prefix: str
    ) -> None:
        names = [f"{prefix}{end}" for end in ("fine", "kms", "denied", "none", "gone")]
        server.seed(dict.fromkeys([*names[:3], names[4]], "x"))
        server.client().delete_secret(SecretId=names[4])
        server.fault("kms", operation="GetSecretValue", secret=names[1])
        server.fault("access_denied", operation="GetSecretValue", secret=names[2])
        answers = await store.get_many(names)
        assert [type(answers[name]) for name in names] == [
            SecretVersion,
            errors.DecryptionFailed,
            errors.AccessDenied,
            errors.SecretNotFound,
            errors.SecretPendingDeletion,
        ]

    async def test_an_endpoint_policy_that_denies_one(
        self, server: SecretsManagerServer, store: SecretsManagerStore, prefix: str
    ) -> None:
        names = [f"{prefix}{i}" for i in range(20)]
        server.seed(dict.fromkeys(names, "x"))
        server.fault("access_denied", secret=names[7])
        for batches, singles in ((5, 5), (1, 1)):
            server.reset_calls()
            answers = await store.get_many(names)
            refused = [name for name, answer in answers.items() if not isinstance(answer, SecretVersion)]
            assert refused == [names[7]]
            assert isinstance(answers[names[7]], errors.AccessDenied)
            calls = server.calls()
            assert calls["BatchGetSecretValue"] == batches
            assert calls["GetSecretValue"] == singles

    async def test_a_role_that_may_not_batch(
        self, server: SecretsManagerServer, store: SecretsManagerStore, prefix: str
    ) -> None:
        names = [f"{prefix}{i}" for i in range(20)]
        server.seed(dict.fromkeys(names, "x"))
        server.fault("access_denied", operation="BatchGetSecretValue")
        for _ in range(2):
            answers = await store.get_many(names)
            assert all(isinstance(answer, SecretVersion) for answer in answers.values())
        assert server.calls()["BatchGetSecretValue"] <= 3


class TestLostAnswers:
    """The service did it, and the answer went missing: the repetition must not do it twice, nor fail."""

    async def test_of_a_create(self, server: SecretsManagerServer, store: SecretsManagerStore, prefix: str) -> None:
        server.fault("lost", operation="CreateSecret", count=1)
        version_id = new_id()
        assert await store.create(f"{prefix}a", SecretValue("one"), version_id=version_id) == version_id
        assert server.calls()["CreateSecret"] == 2

    async def test_of_a_put(self, server: SecretsManagerServer, store: SecretsManagerStore, prefix: str) -> None:
        first, second = new_id(), new_id()
        await store.create(f"{prefix}a", SecretValue("one"), version_id=first)
        server.fault("lost", operation="PutSecretValue", count=1)
        await store.put(f"{prefix}a", SecretValue("two"), version_id=second)
        assert server.calls()["PutSecretValue"] == 2
        assert {version.version_id for version in await store.list_versions(f"{prefix}a")} == {first, second}

    async def test_of_a_swap(self, server: SecretsManagerServer, store: SecretsManagerStore, prefix: str) -> None:
        first, second = new_id(), new_id()
        await store.create(f"{prefix}a", SecretValue("one"), version_id=first)
        await store.put(f"{prefix}a", SecretValue("two"), version_id=second, labels=["STAGED"])
        server.fault("lost", operation="UpdateSecretVersionStage", count=1)
        await store.move_label(f"{prefix}a", CURRENT, from_version=first, to_version=second)
        assert (await store.describe(f"{prefix}a")).labels[CURRENT] == second

    async def test_a_label_whose_taking_was_not_heard_of_is_not_ours(
        self, server: SecretsManagerServer, store: SecretsManagerStore, prefix: str
    ) -> None:
        version_id = new_id()
        await store.create(f"{prefix}a", SecretValue("one"), version_id=version_id)
        await store.move_label(f"{prefix}a", "LEASE", from_version=None, to_version=version_id)
        assert await store.take_label(f"{prefix}a", "OTHER", from_version=version_id) is False
        server.fault("lost", operation="UpdateSecretVersionStage", count=1)
        assert await store.take_label(f"{prefix}a", "LEASE", from_version=version_id) is False
        assert "LEASE" not in (await store.describe(f"{prefix}a")).labels


class TestStates:
    async def test_a_secret_that_is_being_deleted(
        self, server: SecretsManagerServer, store: SecretsManagerStore, prefix: str
    ) -> None:
        name, version_id = f"{prefix}a", new_id()
        await store.create(name, SecretValue("one"), version_id=version_id)
        server.client().delete_secret(SecretId=name)
        for call in (
            store.get(name),
            store.put(name, SecretValue("two"), version_id=new_id()),
            store.create(name, SecretValue("two"), version_id=new_id()),
            store.move_label(name, "A", from_version=None, to_version=version_id),
        ):
            with pytest.raises(errors.SecretPendingDeletion):
                await call
        assert (await store.describe(name)).pending_deletion
        (row,) = [row async for row in store.list_changed(prefix=prefix, since=None)]
        assert row.pending_deletion

    async def test_a_secret_without_a_value(
        self, server: SecretsManagerServer, store: SecretsManagerStore, prefix: str
    ) -> None:
        server.client().create_secret(Name=f"{prefix}a")
        with pytest.raises(errors.SecretNotFound):
            await store.get(f"{prefix}a")
        assert isinstance((await store.get_many([f"{prefix}a", f"{prefix}b"]))[f"{prefix}a"], errors.SecretNotFound)
        (row,) = [row async for row in store.list_changed(prefix=prefix, since=None)]
        assert row.current_version_id is None

    async def test_binary(self, server: SecretsManagerServer, store: SecretsManagerStore, prefix: str) -> None:
        server.client().create_secret(Name=f"{prefix}a", SecretBinary=b"\x00\xff")
        assert (await store.get(f"{prefix}a")).value is None

    async def test_more_versions_than_a_day_allows(
        self, server: SecretsManagerServer, store: SecretsManagerStore, prefix: str
    ) -> None:
        server.seed([(f"{prefix}a", str(i)) for i in range(100)])
        with pytest.raises(errors.LimitExceeded):
            await store.put(f"{prefix}a", SecretValue("one too many"), version_id=new_id())


async def test_another_region_is_named(strict_server: SecretsManagerServer, prefix: str) -> None:
    strict_server.seed({f"{prefix}a": "one"})
    with pytest.MonkeyPatch.context() as patch:
        for name, value in strict_server.env().items():
            patch.setenv(name, value)
        store = SecretsManagerStore(region="eu-north-1")
        with pytest.raises(errors.SecretNotFound, match="eu-north-1"):
            await store.get(f"{prefix}a")
    await store.close()


async def test_a_role_of_the_service_account(strict_server: SecretsManagerServer, tmp_path: Path, prefix: str) -> None:
    """IRSA: STS answers with ISO 8601 times, which our timestamp parser has to let through."""
    strict_server.seed({f"{prefix}a": "one"})
    (tmp_path / "token").write_text("header.payload.signature")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("AWS_ACCESS_KEY_ID", raising=False)
        patch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
        patch.setenv("AWS_ENDPOINT_URL", strict_server.endpoint)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/tolstoy")
        patch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
        store = SecretsManagerStore(region=strict_server.region)
        assert (await store.get(f"{prefix}a")).value == SecretValue("one")
    await store.close()
