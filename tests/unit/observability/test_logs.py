from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from tests.support.jsonlogs import Captured, configured
from tolstoy_operator.domain.errors import AccessDenied
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.observability.logs import FIELD_LIMIT, MESSAGE_LIMIT, configure_logging

CANARY = "cAnary7QxT9vLm2ZpK4wRs8"
LIBRARIES = [
    "kopf",
    "kopf.objects",
    "kubernetes.aio",
    "botocore.endpoint",
    "boto3",
    "urllib3",
    "httpx",
    "aiohttp.access",
]
log = logging.getLogger("tolstoy_operator.engine.test")


@pytest.fixture
def out() -> Captured:
    return configured("DEBUG")


def raised(error: Exception) -> Exception:
    with contextlib.suppress(type(error)):
        raise error
    return error


def test_a_line_has_time_level_logger_message_and_fields(out: Captured) -> None:
    about = {"namespace": "team-a", "name": "github"}
    log.info(
        "synced in %d ms", 12, extra={"k8s_ref": about, "reason": "Synced", "attempts": 2, "ok": True, "none": None}
    )
    line = out.last()
    assert line.pop("ts")[10:].endswith("Z")
    assert line == {
        "level": "info",
        "logger": "tolstoy_operator.engine.test",
        "msg": "synced in 12 ms",
        "namespace": "team-a",
        "name": "github",
        "reason": "Synced",
        "attempts": 2,
        "ok": True,
        "none": None,
    }


def test_time_is_utc_with_milliseconds(out: Captured) -> None:
    record = logging.makeLogRecord({"name": log.name, "levelno": 20, "msg": "x", "created": 1_700_000_000.0449})
    log.handle(record)
    assert out.last()["ts"] == "2023-11-14T22:13:20.044Z"


def test_the_object_that_kopf_names_becomes_fields_and_its_settings_do_not(out: Captured) -> None:
    reference = {"apiVersion": "tolstoy.dev/v1", "kind": "ToolCredential", "name": "a", "namespace": "b", "uid": "u"}
    # Where kopf is loaded, its own handler asks the settings whether to post an Event.
    posting = SimpleNamespace(posting=SimpleNamespace(level=0, enabled=False, loggers=False))
    logging.getLogger("kopf.objects").warning("x", extra={"k8s_ref": reference, "settings": posting, "k8s_skip": True})
    line = out.last()
    assert {key: line[key] for key in ("namespace", "name", "uid", "kind")} == {
        "namespace": "b",
        "name": "a",
        "uid": "u",
        "kind": "ToolCredential",
    }
    assert not {"k8s_ref", "settings", "k8s_skip", "apiVersion"} & line.keys()


@pytest.mark.parametrize("library", LIBRARIES)
def test_debug_is_ours_alone_even_when_a_library_turns_itself_up(library: str, out: Captured) -> None:
    logger = logging.getLogger(library)
    logger.setLevel(logging.DEBUG)
    logger.debug("body %s", {"password": CANARY})
    assert out.getvalue() == ""
    log.debug("ours")
    assert out.last()["msg"] == "ours"


def test_a_name_that_only_begins_like_ours_is_not_ours(out: Captured) -> None:
    logger = logging.getLogger("tolstoy_operators")
    logger.setLevel(logging.DEBUG)
    logger.debug("x")
    assert out.getvalue() == ""


@pytest.mark.parametrize(("level", "shown"), [("DEBUG", 4), ("INFO", 3), ("WARNING", 2), ("error", 1)])
def test_the_level_is_that_of_our_loggers(level: str, shown: int) -> None:
    out = configured(level)
    for method in (log.debug, log.info, log.warning, log.error):
        method("x")
    assert len(out.lines()) == shown


def test_chatty_libraries_speak_from_warning_and_kopf_from_info(out: Captured) -> None:
    for library in ("botocore", "httpx", "aiohttp.access", "kopf.objects", "asyncio"):
        logging.getLogger(library).info("chatter")
    assert out.getvalue() == ""
    logging.getLogger("kopf.activities").info("started")
    logging.getLogger("botocore").warning("trouble")
    assert [line["msg"] for line in out.lines()] == ["started", "trouble"]


def test_configuring_again_does_not_double_lines_and_takes_over_other_handlers() -> None:
    first, foreign = configured("INFO"), io.StringIO()
    logging.getLogger().addHandler(logging.StreamHandler(foreign))
    second = configured("INFO")
    log.info("x")
    assert (first.getvalue(), foreign.getvalue(), len(second.lines())) == ("", "", 1)


@pytest.mark.parametrize(
    "say",
    [
        lambda: log.info("Authorization: Bearer %s", CANARY),
        lambda: log.info("value %s %r", SecretValue(CANARY), SecretValue(CANARY)),
        lambda: log.info("body %s", {"refreshToken": CANARY}),
        lambda: log.info("x", extra={"accessToken": CANARY}),
        lambda: log.info("x", extra={"accessToken": CANARY.encode()}),
        lambda: log.info("x", extra={"body": {"apiKey": CANARY}}),
        lambda: log.info("x", extra={"error": ValueError(CANARY)}),
        lambda: log.info("failed: %s", ValueError(CANARY)),
        lambda: log.info("failed: %(e)r", {"e": ValueError(CANARY)}),
        lambda: log.info(ValueError(CANARY)),
        lambda: log.info("x %d", f"password={CANARY}"),
        lambda: log.info("x %s %s", CANARY),  # noqa: PLE1206 - that is the point
        lambda: log.error("x", exc_info=raised(ValueError(CANARY))),
        lambda: log.error("x", exc_info=raised(KeyError(CANARY))),
        lambda: log.error("x", exc_info=raised(OSError(CANARY))),
        lambda: log.error("x", exc_info=raised(OSError(111, f"refused {CANARY}", f"/{CANARY}"))),
        lambda: log.error("x", exc_info=raised(ExceptionGroup(CANARY, [ValueError(CANARY)]))),
        lambda: log.error("x", exc_info=raised(AccessDenied("tolstoy/a/b", f"Bearer {CANARY}"))),
        lambda: logging.getLogger("tolstoy_operator").critical("x", stack_info=True, extra={"password": CANARY}),
    ],
)
def test_no_secret_gets_out(say: Callable[[], None]) -> None:
    out = configured("DEBUG")
    say()
    assert len(out.lines()) == 1
    assert CANARY not in out.getvalue()


def test_an_exception_is_its_type_and_frames_with_causes(out: Captured) -> None:
    def read() -> None:
        try:
            json.loads("{" + CANARY)
        except ValueError as error:
            raise AccessDenied("tolstoy/github/org", "the key policy refuses") from error

    try:
        read()
    except AccessDenied:
        log.exception("cannot read")
    exc = out.last()["exc"]
    assert exc["type"] == "AccessDenied"
    assert exc["message"] == "AccessDenied: tolstoy/github/org: the key policy refuses"
    assert exc["frames"][-1].endswith(" read")
    assert exc["frames"][-1].startswith("observability/test_logs.py:")
    assert exc["cause"]["type"] == "json.decoder.JSONDecodeError"
    assert "message" not in exc["cause"]
    assert exc["cause"]["frames"][-1].endswith(" raw_decode")


def test_an_operating_system_error_says_what_the_system_says(out: Captured) -> None:
    log.warning("cannot connect: %s", ConnectionRefusedError(111, CANARY))
    assert out.last()["msg"] == "cannot connect: ConnectionRefusedError: Connection refused"


def test_each_member_of_a_group_is_described(out: Captured) -> None:
    log.error("x", exc_info=raised(ExceptionGroup("g", [raised(KeyError("a")), raised(ValueError("b"))])))
    assert [one["type"] for one in out.last()["exc"]["group"]] == ["KeyError", "ValueError"]


def test_endless_causes_groups_and_frames_are_bounded(out: Captured) -> None:
    def deep(depth: int) -> None:
        if depth:
            deep(depth - 1)
        raise ValueError

    circle = KeyError()
    circle.__cause__ = ValueError()
    circle.__cause__.__cause__ = circle
    log.error("x", exc_info=circle)
    assert out.getvalue().count("cause") == 3
    log.error("x", exc_info=ExceptionGroup("g", [KeyError() for _ in range(100)]))
    assert len(out.last()["exc"]["group"]) == 3
    try:
        deep(100)
    except ValueError:
        log.exception("x")
    assert len(out.last()["exc"]["frames"]) == 20


def test_a_message_cannot_forge_a_second_line_or_colour(out: Captured) -> None:
    log.info("org %s", 'x\n{"level":"info","msg":"forged"}\r\x1b[31m\u2028')
    assert len(out.getvalue().splitlines()) == 1
    assert out.last()["msg"] == r'org x\n{"level":"info","msg":"forged"}\r\x1b[31m\u2028'


def test_fields_cannot_replace_the_fixed_ones(out: Captured) -> None:
    log.info("x", extra={"level": "forged", "ts": "forged", "logger": "forged", "exc": "forged", "a\nb": "c\nd"})
    assert "forged" not in out.getvalue()
    assert out.last()[r"a\nb"] == r"c\nd"


def test_everything_is_bounded(out: Captured) -> None:
    log.info("é" * 10_000, extra={"field": "x" * 10_000, **{f"f{n}": n for n in range(1000)}})
    line = out.last()
    assert len(line["msg"].encode()) <= MESSAGE_LIMIT
    assert len(line["field"]) == FIELD_LIMIT
    assert len(out.getvalue()) < 3 * MESSAGE_LIMIT


def test_what_json_cannot_say_is_said_as_text() -> None:
    out = configured("DEBUG")

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError(CANARY)

    log.info("a\ud800 %s", "b", extra={"nan": float("nan"), "lone": "\udfff", "broken": Broken(), "list": [1, "b"]})
    line = out.last()
    assert (line["nan"], line["broken"], line["list"]) == ("nan", "<Broken>", "[1, 'b']")
    log.info("x %s", Broken())
    assert out.last()["msg"] == "x %s (arguments do not fit)"


def test_a_failing_stream_loses_the_line_but_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    class FakeFullDisk(Captured):
        def write(self, text: str) -> int:
            if CANARY in text:
                raise OSError(28, CANARY)
            return super().write(text)

    out = FakeFullDisk()
    configure_logging("INFO", out)
    log.info("%s", CANARY)
    assert out.last()["msg"] == "a log record could not be written"
    out.close()
    log.info("after the end")
    assert capsys.readouterr() == ("", "")


def test_uncaught_exceptions_are_lines_too(out: Captured, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise ValueError(CANARY)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    error = raised(ValueError(CANARY))
    sys.excepthook(type(error), error, error.__traceback__)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert [line["exc"]["type"] for line in out.lines()] == ["ValueError", "ValueError"]
    assert CANARY not in out.getvalue()
    assert capsys.readouterr() == ("", "")


def test_warnings_are_lines_too(out: Captured) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn(f"token={CANARY}", stacklevel=1)
    assert out.last()["logger"] == "py.warnings"
    assert CANARY not in out.getvalue()
