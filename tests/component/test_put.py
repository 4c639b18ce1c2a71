"""`python -m tolstoy_operator put`: how documents get into the embedded store. The program from its start."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tolstoy_operator.domain.documents import MAX_BYTES
from tolstoy_operator.stores.base import SecretVersion
from tolstoy_operator.stores.sqlite import SqliteStore

NAME = "tolstoy/stripe/org-1"
VALUE = "hunter2"
KEY = json.dumps({"apiKey": VALUE}).encode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secrets.db"


def put(path: Path, *args: str, document: bytes = KEY, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run it. Whatever it says, the value is not in it."""
    base = {key: text for key, text in os.environ.items() if key in {"PATH", "HOME", "TMPDIR", "LANG", "PYTHONPATH"}}
    done = subprocess.run(
        [sys.executable, "-m", "tolstoy_operator", "put", *args],
        env={**base, "USE_AWS_SECRETS": "false", "SQLITE_PATH": str(path), **settings},
        input=document,
        capture_output=True,
        timeout=30,
        check=False,
    )
    said = subprocess.CompletedProcess(args, done.returncode, done.stdout.decode(), done.stderr.decode())
    assert VALUE not in said.stdout + said.stderr
    return said


def stored(path: Path, name: str = NAME) -> SecretVersion:
    async def read() -> SecretVersion:
        store = SqliteStore(path)
        try:
            return await store.get(name)
        finally:
            await store.close()

    return asyncio.run(read())


def audited(done: subprocess.CompletedProcess[str]) -> list[tuple[str, str, str]]:
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    return [(line["operation"], line["outcome"], line["version"]) for line in lines if line["audit"]]


def test_it_creates_then_updates_and_says_so(path: Path) -> None:
    created = put(path, NAME)
    first = stored(path)
    assert (created.returncode, created.stdout) == (0, f"created {NAME} as ApiKey, version {first.version_id}\n")
    assert first.value is not None
    assert first.value.reveal().encode() == KEY
    assert audited(created) == [("create", "ok", first.version_id)]

    updated = put(path, NAME, "--type", "Opaque", document=b'{"user": "u"}', LOG_LEVEL="ERROR")
    second = stored(path)
    assert (updated.returncode, updated.stdout) == (0, f"updated {NAME} as Opaque, version {second.version_id}\n")
    assert audited(updated) == [("read", "ok", first.version_id), ("write", "ok", second.version_id)]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (b"", "the secret is empty"),
        (b'{"apiKey": "hunter2\xff"}', "the secret is not valid UTF-8"),
        (b'{"apiKey": "%s"}' % (b"x" * MAX_BYTES), "the secret is larger than 64 KiB"),
        (b'{"apiKey": null, "other": "hunter2"}', 'member "apiKey" is empty'),
    ],
    ids=["empty", "no-text", "too-large", "blank"],
)
def test_a_document_that_the_operator_could_not_use_is_refused(path: Path, document: bytes, says: str) -> None:
    done = put(path, NAME, document=document)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"put:\nthe document on standard input: {says}\n"
    assert not path.exists()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("tolstoy/stripe",), "put:\nNAME: an organisation's secret is tolstoy/<tool>/<orgId>"),
        ((NAME, KEY.decode()), "there are more arguments than this command has"),
        ((), "the following arguments are required: NAME"),
    ],
    ids=["no-name", "document-as-argument", "nothing"],
)
def test_arguments_that_make_no_sense_are_refused(path: Path, args: tuple[str, ...], says: str) -> None:
    done = put(path, *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert not path.exists()


def test_with_secrets_manager_it_refuses_and_says_where_to_go(path: Path) -> None:
    done = put(path, NAME, USE_AWS_SECRETS="true", AWS_REGION="eu-west-1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("settings:\nUSE_AWS_SECRETS is true: ")
    assert "`aws secretsmanager create-secret` or `put-secret-value`" in done.stderr
    assert not path.exists()


def test_a_store_that_cannot_be_used_is_a_failure(tmp_path: Path) -> None:
    done = put(tmp_path / "none" / "secrets.db", NAME)
    assert (done.returncode, done.stdout) == (1, "")
    assert "store:\n" in done.stderr
    assert "No such file or directory" in done.stderr
