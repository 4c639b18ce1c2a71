"""The embedded store: one SQLite file, for an installation without AWS.

It gives the same guarantees as Secrets Manager by other means. Every operation is one transaction that takes the
write lock first, so create-if-absent and compare-and-swap hold between processes too (the operator, and its command
`put`). SQLite blocks, so all of it happens on one worker thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tolstoy_operator.domain.errors import (
    AlreadyExists,
    InvalidRequest,
    LabelMoved,
    SecretNotFound,
    StoreError,
    StoreUnavailable,
)
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.stores.base import (
    CURRENT,
    PREVIOUS,
    SecretDescription,
    SecretListing,
    SecretVersion,
    VersionInfo,
    check_value,
)

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE schema (version INTEGER NOT NULL);
CREATE TABLE secrets (name TEXT PRIMARY KEY, changed_at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE versions (
  name TEXT NOT NULL REFERENCES secrets (name),
  version_id TEXT NOT NULL,
  value TEXT NOT NULL,
  created_at REAL NOT NULL,
  PRIMARY KEY (name, version_id)
);
CREATE TABLE labels (
  name TEXT NOT NULL,
  label TEXT NOT NULL,
  version_id TEXT NOT NULL,
  PRIMARY KEY (name, label),
  FOREIGN KEY (name, version_id) REFERENCES versions (name, version_id)
);
CREATE INDEX secrets_by_change ON secrets (changed_at);
"""
_NAME = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")
_MIN_ID, _MAX_ID = 32, 64
_KEPT_VERSIONS = 100
_KEPT_SECONDS = 86_400.0
_LOCK_TIMEOUT = 5.0
_T = TypeVar("_T")


class SqliteStore:
    """`SecretStore` in the file at `path`, which is made if it is not there. `clock`: epoch seconds."""

    def __init__(self, path: str | Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = Path(path)
        self._clock = clock
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._connection: sqlite3.Connection | None = None

    @property
    def region(self) -> str:
        """Not an AWS region."""
        return "local"

    async def get(self, name: str, *, version_id: str | None = None, label: str | None = CURRENT) -> SecretVersion:
        """Read one version: see `SecretStore.get`."""
        return await self._do(name, lambda db: _read(db, name, version_id, label))

    async def get_many(self, names: Sequence[str]) -> Mapping[str, SecretVersion | StoreError]:
        """The current versions, all from one moment."""

        def read_all(db: sqlite3.Connection) -> dict[str, SecretVersion | StoreError]:
            return {name: _answer(db, name) for name in names}

        try:
            return await self._do(f"{len(names)} secrets", read_all)
        except StoreUnavailable as error:
            return {name: StoreUnavailable(name, error.cause) for name in names}

    async def describe(self, name: str) -> SecretDescription:
        """Labels and state, no value."""

        def describe(db: sqlite3.Connection) -> SecretDescription:
            _check_exists(db, name)
            return SecretDescription(name=name, arn=_arn(name), labels=_labels(db, name), pending_deletion=False)

        return await self._do(name, describe)

    async def list_versions(self, name: str) -> Sequence[VersionInfo]:
        """All versions, those without labels too."""

        def versions(db: sqlite3.Connection) -> list[VersionInfo]:
            _check_exists(db, name)
            at = _labels_by_version(db, name)
            rows = db.execute("SELECT version_id, created_at FROM versions WHERE name = ?", (name,))
            return [VersionInfo(version_id, at.get(version_id, frozenset()), created) for version_id, created in rows]

        return await self._do(name, versions)

    async def list_changed(self, *, prefix: str, since: float | None) -> AsyncIterator[SecretListing]:
        """Latest change first, all from one moment."""
        query = """
            SELECT secrets.name, current.version_id, previous.version_id, changed_at FROM secrets
            LEFT JOIN labels AS current ON current.name = secrets.name AND current.label = ?
            LEFT JOIN labels AS previous ON previous.name = secrets.name AND previous.label = ?
            WHERE substr(secrets.name, 1, ?) = ? AND changed_at >= ?
            ORDER BY changed_at DESC, secrets.name"""
        values = (CURRENT, PREVIOUS, len(prefix), prefix, float("-inf") if since is None else since)
        for name, current, previous, changed in await self._do(prefix, lambda db: db.execute(query, values).fetchall()):
            yield SecretListing(name, _arn(name), current, previous, changed, pending_deletion=False)

    async def create(self, name: str, value: SecretValue, *, version_id: str) -> str:
        """Create the secret with its first version."""
        check_value(name, value)
        _check_new(name, version_id)

        def create(db: sqlite3.Connection) -> str:
            if not _exists(db, name):
                db.execute("INSERT INTO secrets VALUES (?, ?)", (name, self._clock()))
                self._add(db, name, value, version_id, [CURRENT])
            elif _value(db, name, version_id) != value:
                raise AlreadyExists(name, "the secret exists already")
            return version_id

        return await self._do(name, create)

    async def put(self, name: str, value: SecretValue, *, version_id: str, labels: Sequence[str] = (CURRENT,)) -> None:
        """Add a version under an id, create-if-absent."""
        check_value(name, value)
        _check_new(name, version_id)
        if not labels:
            raise InvalidRequest(name, "a new version needs a label")

        def put(db: sqlite3.Connection) -> None:
            _check_exists(db, name)
            stored = _value(db, name, version_id)
            if stored is None:
                self._add(db, name, value, version_id, labels)
            elif stored != value:
                raise AlreadyExists(name, f"version {version_id} exists already, with another value")

        await self._do(name, put)

    def _add(
        self, db: sqlite3.Connection, name: str, value: SecretValue, version_id: str, labels: Sequence[str]
    ) -> None:
        now = self._clock()
        db.execute("INSERT INTO versions VALUES (?, ?, ?, ?)", (name, version_id, value.reveal(), now))
        for label in labels:
            _attach(db, name, label, version_id)
        _prune(db, name, now)
        self._touch(db, name)

    async def move_label(self, name: str, label: str, *, from_version: str | None, to_version: str | None) -> None:
        """Compare-and-swap of a label."""

        def move(db: sqlite3.Connection) -> None:
            _check_exists(db, name)
            if to_version is not None and _value(db, name, to_version) is None:
                raise SecretNotFound(name, f"no version {to_version}")
            where = _labels(db, name).get(label)
            if where == to_version:
                return
            if where != from_version:
                raise LabelMoved(name, f"{label} is on {where or 'no version'}")
            if to_version is None and label == CURRENT:
                raise InvalidRequest(name, f"{CURRENT} can be moved, but not removed")
            _attach(db, name, label, to_version)
            self._touch(db, name)

        await self._do(name, move)

    async def take_label(self, name: str, label: str, *, from_version: str) -> bool | None:
        """One transaction; the label CURRENT can only move."""

        def take(db: sqlite3.Connection) -> bool:
            _check_exists(db, name)
            if label == CURRENT or _labels(db, name).get(label) != from_version:
                return False
            _attach(db, name, label, None)
            self._touch(db, name)
            return True

        return await self._do(name, take)

    def _touch(self, db: sqlite3.Connection, name: str) -> None:
        db.execute("UPDATE secrets SET changed_at = ? WHERE name = ?", (self._clock(), name))

    async def validate_access(self) -> None:
        """Open the file and read from it."""
        await self._do(str(self._path), lambda db: db.execute("SELECT 1 FROM secrets LIMIT 1").fetchone())

    async def close(self) -> None:
        """Let the file go."""

        def close() -> None:
            if self._connection is not None:
                self._connection.close()

        with contextlib.suppress(RuntimeError):  # closed before
            await asyncio.get_running_loop().run_in_executor(self._executor, close)
        self._executor.shutdown(wait=False)

    async def _do(self, name: str, operation: Callable[[sqlite3.Connection], _T]) -> _T:
        """One transaction on the worker thread."""

        def run() -> _T:
            with _transaction(self._opened()) as db:
                return operation(db)

        failure: StoreError
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, run)
        except (sqlite3.Error, OSError) as error:
            # SQLite's texts speak of tables and locks; parameters, and so values, are never in them.
            failure = StoreUnavailable(name, f"the embedded store cannot be used: {error}")
        except RuntimeError:  # the executor refuses work after `close`
            failure = StoreUnavailable(name, "the store is closed")
        raise failure

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = _open(self._path)
        return self._connection


def _open(path: Path) -> sqlite3.Connection:
    """The file, readable by nobody else, with the schema of this version."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    path.chmod(0o600)
    db = sqlite3.connect(path, timeout=_LOCK_TIMEOUT, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")  # a stored token may be the only copy there is
        db.execute("PRAGMA foreign_keys = ON")
        with _transaction(db):
            _ensure_schema(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _ensure_schema(db: sqlite3.Connection, path: Path) -> None:
    if db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
        for statement in _SCHEMA.split(";"):
            db.execute(statement)
        db.execute("INSERT INTO schema VALUES (?)", (SCHEMA_VERSION,))
        return
    known = db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'schema'").fetchone() == (1,)
    (found,) = db.execute("SELECT version FROM schema").fetchone() if known else (None,)
    if found != SCHEMA_VERSION:
        is_ours = f"has schema version {found}, this program needs {SCHEMA_VERSION}" if known else "is no secret store"
        raise StoreUnavailable(str(path), f"the file {is_ours}")


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _arn(name: str) -> str:
    return f"local:{name}"


def _exists(db: sqlite3.Connection, name: str) -> bool:
    return db.execute("SELECT 1 FROM secrets WHERE name = ?", (name,)).fetchone() is not None


def _check_exists(db: sqlite3.Connection, name: str) -> None:
    if not _exists(db, name):
        raise SecretNotFound(name, "no such secret")


def _check_new(name: str, version_id: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidRequest(name, "a name has 1-512 characters of letters, digits and /_+=.@-")
    if not _MIN_ID <= len(version_id) <= _MAX_ID:
        raise InvalidRequest(name, f"a version id has {_MIN_ID}-{_MAX_ID} characters")


def _labels(db: sqlite3.Connection, name: str) -> dict[str, str]:
    return dict(db.execute("SELECT label, version_id FROM labels WHERE name = ?", (name,)).fetchall())


def _labels_by_version(db: sqlite3.Connection, name: str) -> dict[str, frozenset[str]]:
    labels = _labels(db, name)
    return {at: frozenset(label for label in labels if labels[label] == at) for at in set(labels.values())}


def _read(db: sqlite3.Connection, name: str, version_id: str | None, label: str | None) -> SecretVersion:
    _check_exists(db, name)
    at = _labels(db, name)
    wanted = at.get(label or CURRENT) if version_id is None else version_id
    query = "SELECT value, created_at FROM versions WHERE name = ? AND version_id = ?"
    row = db.execute(query, (name, wanted)).fetchone()
    if wanted is None or row is None:
        raise SecretNotFound(name, f"no version {version_id or f'under {label or CURRENT}'}")
    if label is not None and at.get(label) != wanted:
        raise SecretNotFound(name, f"version {version_id} does not carry {label}")
    labels = _labels_by_version(db, name).get(wanted, frozenset())
    return SecretVersion(name, _arn(name), wanted, labels, SecretValue(row[0]), row[1])


def _answer(db: sqlite3.Connection, name: str) -> SecretVersion | StoreError:
    try:
        return _read(db, name, None, CURRENT)
    except StoreError as error:
        return error


def _value(db: sqlite3.Connection, name: str, version_id: str) -> SecretValue | None:
    row = db.execute("SELECT value FROM versions WHERE name = ? AND version_id = ?", (name, version_id)).fetchone()
    return SecretValue(row[0]) if row else None


def _attach(db: sqlite3.Connection, name: str, label: str, to: str | None) -> None:
    """Put a label on a version, wherever it was; PREVIOUS follows CURRENT."""
    before = _labels(db, name).get(label)
    if to is None:
        db.execute("DELETE FROM labels WHERE name = ? AND label = ?", (name, label))
    else:
        db.execute("INSERT OR REPLACE INTO labels VALUES (?, ?, ?)", (name, label, to))
        if label == CURRENT and before is not None:
            db.execute("INSERT OR REPLACE INTO labels VALUES (?, ?, ?)", (name, PREVIOUS, before))


def _prune(db: sqlite3.Connection, name: str, now: float) -> None:
    """Versions without labels go once they are a day old and not among the hundred newest."""
    db.execute(
        """
        DELETE FROM versions WHERE name = ? AND created_at < ?
        AND version_id NOT IN (SELECT version_id FROM labels WHERE name = ?)
        AND rowid NOT IN (SELECT rowid FROM versions WHERE name = ? ORDER BY rowid DESC LIMIT ?)""",
        (name, now - _KEPT_SECONDS, name, name, _KEPT_VERSIONS),
    )
