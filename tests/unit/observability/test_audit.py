from __future__ import annotations

import json
import logging

import pytest

from tests.support.jsonlogs import configured
from tolstoy_operator.observability import audit
from tolstoy_operator.observability.audit import Actor, Entry, Operation

ACTOR = Actor("team-a", "github", "1234")


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR"])
def test_every_operation_is_a_line_whatever_the_level(level: str) -> None:
    out = configured(level)
    for operation in Operation:
        audit.record(Entry(operation, "tolstoy/github/org"))
    assert [line["operation"] for line in out.lines()] == [operation.value for operation in Operation]
    assert all(line["audit"] is True for line in out.lines())


def test_a_line_says_who_what_which_and_how_it_ended() -> None:
    out = configured("ERROR")
    audit.record(Entry(Operation.MIRROR, "tolstoy/github/org", "TargetConflict", ACTOR, "v-1", "github"))
    line = out.last()
    del line["ts"]
    assert line == {
        "level": "warning",
        "logger": "tolstoy_operator.audit",
        "msg": "mirror of tolstoy/github/org ended TargetConflict",
        "audit": True,
        "operation": "mirror",
        "secret": "tolstoy/github/org",
        "outcome": "TargetConflict",
        "actor": "credential",
        "namespace": "team-a",
        "name": "github",
        "uid": "1234",
        "version": "v-1",
        "target": "github",
    }


def test_without_an_actor_it_is_the_platform() -> None:
    out = configured("INFO")
    audit.record(Entry(Operation.READ, "conductor-db-secret"))
    line = out.last()
    assert (line["actor"], line["level"], line["outcome"]) == ("platform", "info", "ok")
    assert not {"namespace", "name", "uid", "version", "target"} & line.keys()


def test_where_nobody_remembers_the_secret_the_target_is_named() -> None:
    out = configured("INFO")
    audit.record(Entry(Operation.WITHDRAW, None, actor=ACTOR, target="web"))
    line = out.last()
    assert (line["msg"], line["target"]) == ("withdraw of Secret web ended ok", "web")
    assert "secret" not in line


@pytest.mark.parametrize("outcome", ["it said secret-value", "", "a" * 65, "x\ny", json.dumps({"a": 1})])
def test_an_outcome_is_a_code_never_a_text(outcome: str) -> None:
    out = configured("INFO")
    audit.record(Entry(Operation.READ, "a", outcome))
    assert out.last()["outcome"] == "error"


def test_turning_our_loggers_off_does_not_turn_the_audit_off() -> None:
    out = configured("ERROR")
    logging.getLogger("tolstoy_operator").setLevel(logging.CRITICAL)
    audit.record(Entry(Operation.READ, "a"))
    assert len(out.lines()) == 1
