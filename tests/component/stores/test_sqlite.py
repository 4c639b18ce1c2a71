"""What is particular to the SQLite file."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import uuid
from pathlib import Path

import pytest

from tolstoy_operator.domain.errors import AlreadyExists, LabelMoved, StoreError, StoreUnavailable
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.stores import sqlite
from tolstoy_operator.stores.base import CURRENT, SecretVersion
from tolstoy_operator.stores.sqlite import SqliteStore

NAME = "tolstoy/github/org-abc123"
DAY = 86_400.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secrets.db"


def new_id() -> str:
    return str(uuid.uuid4())


async def create(store: SqliteStore, name: str = NAME, text: str = "one") -> str:
    return await store.create(name, SecretValue(text), version_id=new_id())


async def refusal(path: Path) -> str:
    """How the store refuses this file."""
    store = SqliteStore(path)
    with pytest.raises(StoreUnavailable) as raised:
        await store.validate_access()
    await store.close()
    return str(raised.value)


async def test_nobody_else_may_read_the_files(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT))
    os.chmod(path, 0o666)
    store = SqliteStore(path)
    await create(store)
    files = list(path.parent.iterdir())
    assert {file.name for file in files} >= {"secrets.db", "secrets.db-wal"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    await store.close()


async def test_secrets_outlive_the_process(path: Path) -> None:
    store = SqliteStore(path)
    version_id = await create(store)
    await store.close()
    again = SqliteStore(path)
    version = await again.get(NAME)
    assert (version.version_id, version.value) == (version_id, SecretValue("one"))
    await again.close()


async def test_two_processes_share_one_file(path: Path) -> None:
    """Create-if-absent and compare-and-swap hold between connections."""
    stores = [SqliteStore(path) for _ in range(4)]
    first, contested = await create(stores[0]), new_id()
    puts = (
        store.put(NAME, SecretValue(f"writer {i}"), version_id=contested, labels=["A"])
        for i, store in enumerate(stores)
    )
    outcomes = await asyncio.gather(*puts, return_exceptions=True)
    assert sum(outcome is None for outcome in outcomes) == 1
    assert sum(isinstance(outcome, AlreadyExists) for outcome in outcomes) == 3

    staged = [new_id() for _ in stores]
    for store, version_id in zip(stores, staged, strict=True):
        await store.put(NAME, SecretValue("x"), version_id=version_id, labels=[version_id[:8]])
    moves = (
        store.move_label(NAME, CURRENT, from_version=first, to_version=to)
        for store, to in zip(stores, staged, strict=True)
    )
    outcomes = await asyncio.gather(*moves, return_exceptions=True)
    assert sum(outcome is None for outcome in outcomes) == 1
    assert sum(isinstance(outcome, LabelMoved) for outcome in outcomes) == 3
    for store in stores:
        await store.close()


async def test_a_file_of_another_schema_version_is_refused(path: Path) -> None:
    store = SqliteStore(path)
    await create(store)
    await store.close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE schema SET version = 2")
    db.close()
    assert "schema version 2, this program needs 1" in await refusal(path)


async def test_somebody_elses_database_is_refused_and_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE customers (name TEXT)")
    db.close()
    assert "is no secret store" in await refusal(path)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("customers",)]
    db.close()


@pytest.fixture
def text_file(path: Path) -> Path:
    path.write_bytes(b"not a database, but long enough to have a header" * 100)
    return path


async def test_a_file_that_is_no_database_is_refused(text_file: Path) -> None:
    assert "not a database" in await refusal(text_file)


async def test_a_directory_that_does_not_exist(tmp_path: Path) -> None:
    assert "No such file or directory" in await refusal(tmp_path / "none" / "secrets.db")


async def test_a_locked_file_is_an_outage_of_every_secret(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_LOCK_TIMEOUT", 0.05)
    store = SqliteStore(path)
    await create(store)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnavailable, match="locked"):
        await store.put(NAME, SecretValue("hidden-value"), version_id=new_id())
    answers = await store.get_many([NAME, "b"])
    assert {name: type(answer) for name, answer in answers.items()} == {NAME: StoreUnavailable, "b": StoreUnavailable}
    other.execute("ROLLBACK")
    other.close()
    assert isinstance((await store.get_many([NAME]))[NAME], SecretVersion)
    await store.close()


async def test_a_failed_write_leaves_nothing_behind(path: Path) -> None:
    store = SqliteStore(path)
    first = await create(store)
    before = await store.describe(NAME)
    for attempt in (
        store.put(NAME, SecretValue("other"), version_id=first),
        store.move_label(NAME, "A", from_version=first, to_version=first.replace("-", "x")),
    ):
        with pytest.raises(StoreError):
            await attempt
    assert await store.describe(NAME) == before
    assert len(await store.list_versions(NAME)) == 1
    await store.close()


async def test_a_write_that_breaks_off_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore(path)
    first = await create(store)

    def disk_is_full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(sqlite, "_prune", disk_is_full)
    with pytest.raises(StoreUnavailable, match="disk is full"):
        await store.put(NAME, SecretValue("two"), version_id=new_id())
    assert (await store.describe(NAME)).labels == {CURRENT: first}
    assert len(await store.list_versions(NAME)) == 1
    await store.close()


async def test_old_versions_without_labels_are_pruned(path: Path) -> None:
    now = 1_000_000.0
    store = SqliteStore(path, clock=lambda: now)
    first = await create(store)
    await store.move_label(NAME, "KEPT", from_version=None, to_version=first)
    ids = []
    for i in range(150):
        ids.append(new_id())
        await store.put(NAME, SecretValue(str(i)), version_id=ids[-1])
    assert len(await store.list_versions(NAME)) == 151

    now += DAY + 1
    await store.put(NAME, SecretValue("last"), version_id=new_id())

    left = {version.version_id for version in await store.list_versions(NAME)}
    assert len(left) == 101
    assert first in left
    assert left.isdisjoint(ids[:50])
    assert left.issuperset(ids[51:])
    await store.close()


async def test_a_closed_store_says_so(path: Path) -> None:
    store = SqliteStore(path)
    await create(store)
    await store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.get(NAME)
    await store.close()


def test_it_is_local(path: Path) -> None:
    assert SqliteStore(path).region == "local"
