"""What a person sees while no operator runs: the status is silent, and a refresh waits, but not for ever."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from dev.testbed import eventually
from tests.integration.cli.conftest import Person, marked
from tests.integration.operator.tenant import Tenant, api_key, oauth

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def credential(tenant: Tenant) -> None:
    tenant.create()


def test_the_wait_ends(tenant: Tenant, developer: Person) -> None:
    done = developer.tolstoy("refresh", "github", "--timeout", "1s", code=1)
    assert f"error: the operator has not looked at {tenant.namespace}/github within 1 s\n" in done.err
    assert "next: " in done.err


def test_a_credential_that_nobody_has_looked_at(developer: Person) -> None:
    assert "Unknown   NotYetSeen" in developer.tolstoy("status").out
    assert "the operator has not looked at it yet" in developer.tolstoy("why", "github").out


def test_ctrl_c_is_quiet(tenant: Tenant, developer: Person) -> None:
    with developer.start("refresh", "github", "--timeout", "10m") as process:
        eventually(lambda: marked(tenant), what="it has asked")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGHUP])
def test_ctrl_c_takes_first_tokens_back(
    tenant: Tenant, developer: Person, tmp_path: Path, ending: signal.Signals
) -> None:
    tokens = tmp_path / "tokens.json"
    tokens.write_text(json.dumps(oauth()))
    with developer.start("import", "github", "--from-file", str(tokens), "--timeout", "10m") as process:
        eventually(lambda: tenant.secret("github-first-tokens") is not None, what="the tokens wait")
        process.send_signal(ending)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "")
    assert tenant.secret("github-first-tokens") is None


def test_first_tokens_that_nobody_takes_do_not_stay(tenant: Tenant, developer: Person) -> None:
    args = ("import", "github", "--from-file", "-", "--timeout", "1s")
    done = developer.tolstoy(*args, given=json.dumps(oauth()), code=1)
    assert "has not taken the first tokens" in done.err
    assert tenant.secret("github-first-tokens") is None


def press_ctrl_c(process: subprocess.Popen[str]) -> int:
    """As a person would, who presses it again when nothing happens. Returns the exit code.

    A signal that comes in the instant before Python begins to wait for a line is noticed with the next one only.
    """
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(10)
    raise AssertionError("three times Ctrl-C, and it goes on")


def test_a_revocation_is_asked_about_and_ctrl_c_is_no_yes(tenant: Tenant, developer: Person) -> None:
    terminal, program = os.openpty()
    with developer.start("revoke", "github", stdin=program) as process:
        assert process.stderr is not None
        shown = process.stderr.readline()
        assert f"{tenant.namespace}/github will be deleted" in shown
        assert press_ctrl_c(process) == 130
    with developer.start("revoke", "github", stdin=program) as process:
        os.write(terminal, b"n\n")
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "Go on? [y/N]: " in err
        assert "error: nothing was done" in err
    os.close(terminal)
    os.close(program)
    assert "oauth" not in (tenant.get() or {})["spec"]


def test_a_revocation_that_nobody_takes_on_deletes_nothing(tenant: Tenant, developer: Person) -> None:
    done = developer.tolstoy("revoke", "github", "--yes", "--timeout", "1s", code=1)
    assert "nothing was deleted" in done.err
    body = tenant.get() or {}
    assert "oauth" not in body["spec"]


def test_the_answer_comes_when_an_operator_does(tenant: Tenant, developer: Person) -> None:
    tenant.store(api_key())
    with developer.start("refresh", "github", "--timeout", "2m") as process:
        eventually(lambda: marked(tenant), what="it has asked")
        with tenant.testbed.operator("late"):
            out, err = process.communicate(timeout=90)
    assert process.returncode == 0, (out, err)
    assert "ready   True (Synced)" in out
