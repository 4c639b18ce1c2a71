"""One JSON object a line on stderr, for people with `jq` and for log collectors.

Three promises that a ready-made JSON formatter does not give, hence our own on the standard library:
- Nothing secret: every text passes `redaction`; an exception of somebody else's is shown as its type and its frames,
  because its message may quote what it was parsing; only plain scalars are written as they are.
- Nothing forged: control characters are made visible and every text is bounded, so no message can look like two lines.
- `LOG_LEVEL` is about our own loggers. Libraries log whole objects and headers at DEBUG, so a filter on the handler
  drops every DEBUG record that is not ours, whatever level a library sets on itself.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from math import isfinite
from types import TracebackType
from typing import Any, TextIO

from tolstoy_operator.domain.secretvalue import MASK
from tolstoy_operator.observability.redaction import is_sensitive_name, printable, redact

OWN = "tolstoy_operator"
AUDIT = f"{OWN}.audit"
MESSAGE_LIMIT = 4096
"""Bytes of a message."""
FIELD_LIMIT = 1024
"""Bytes of any other text."""

# Busy at INFO: a line for each handled event, each request, each retry.
_CHATTY = ("kopf.objects", "aiohttp", "asyncio", "boto3", "botocore", "httpcore", "httpx", "kubernetes", "urllib3")
_STANDARD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# kopf attaches its settings to every record about an object.
_NOT_FIELDS = _STANDARD_ATTRIBUTES | {"settings", "k8s_skip", "k8s_ref"}
_OUTPUT_FIELDS = frozenset({"ts", "level", "logger", "msg", "exc"})
_LEFT_OUT = _NOT_FIELDS | _OUTPUT_FIELDS
_REFERENCE_FIELDS = ("namespace", "name", "uid", "kind")
_MAX_FIELDS = 32
_MAX_FRAMES = 20
_MAX_NESTED = 3


def configure_logging(level: str, stream: TextIO | None = None) -> None:
    """Send all logging to `stream` (stderr) as JSON lines. `level`: a name such as "DEBUG", for our own loggers.

    May be called again. Also takes over warnings, and uncaught exceptions of the main and other threads, which Python
    would print with their messages.
    """
    handler = _JsonHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(_only_ours_below_info)
    root = logging.getLogger()
    root.handlers[:] = [handler]  # any other would print what this one masks
    own = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(own, logging.INFO))
    logging.getLogger(OWN).setLevel(own)
    logging.getLogger(AUDIT).setLevel(logging.INFO)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(own, logging.WARNING))
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


class JsonFormatter(logging.Formatter):
    """Fields: ts (RFC 3339, UTC, ms), level, logger, msg, what `extra` brought, and exc: {type, frames, …}."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON without its newline."""
        line: dict[str, object] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": _clean(_message(record), MESSAGE_LIMIT),
        }
        line.update(_fields(record))
        if record.exc_info and record.exc_info[1] is not None:
            line["exc"] = describe_exception(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


def describe_exception(error: BaseException, depth: int = 0) -> dict[str, object]:
    """`error` as type, message (only where it is ours or the operating system's) and frames, with causes and groups."""
    described: dict[str, object] = {"type": _type_name(error)}
    if text := _safe_text(error):
        described["message"] = _clean(text, FIELD_LIMIT)
    described["frames"] = _frames(error.__traceback__)
    if depth < _MAX_NESTED:
        before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if before is not None:
            described["cause"] = describe_exception(before, depth + 1)
        if isinstance(error, BaseExceptionGroup):
            described["group"] = [describe_exception(one, depth + 1) for one in error.exceptions[:_MAX_NESTED]]
    return described


class _JsonHandler(logging.StreamHandler[TextIO]):
    """A stream handler whose own failure does not print the record that it failed on."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        try:
            self.stream.write(f'{{"level":"error","logger":"{__name__}","msg":"a log record could not be written"}}\n')
        except (OSError, ValueError):  # stderr is closed: there is nobody left to tell
            return


def _only_ours_below_info(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.INFO or record.name == OWN or record.name.startswith(f"{OWN}.")


def _message(record: logging.LogRecord) -> str:
    if isinstance(record.args, Mapping):
        record_args: Any = {key: _argument(value) for key, value in record.args.items()}
    else:
        record_args = tuple(_argument(value) for value in record.args or ())
    template = _text(record.msg)
    try:
        return template % record_args if record_args else template
    except Exception:  # too few, wrong, or their __str__ fails: the template still says which line it was
        return f"{template} (arguments do not fit)"


def _argument(value: object) -> object:
    """An argument for `%`: an exception goes by what may be said of it."""
    if not isinstance(value, BaseException):
        return value
    return _safe_text(value) or _type_name(value)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    reference = getattr(record, "k8s_ref", None)
    fields = {key: value for key, value in vars(record).items() if key not in _LEFT_OUT}
    if isinstance(reference, Mapping):
        fields |= {key: reference[key] for key in _REFERENCE_FIELDS if reference.get(key)}
    return {_clean_name(key): _value(key, fields[key]) for key in list(fields)[:_MAX_FIELDS]}


@lru_cache(maxsize=512)  # the names of fields are few
def _clean_name(name: str) -> str:
    return _clean(name, FIELD_LIMIT)


def _value(name: str, value: object) -> object:
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and isfinite(value)):
        return value
    return MASK if is_sensitive_name(name) else _clean(_text(value), FIELD_LIMIT)


def _text(value: object) -> str:
    if isinstance(value, BaseException):
        return str(_argument(value))
    try:
        return str(value)
    except Exception:  # a broken __str__ of anything must not lose the record
        return f"<{type(value).__name__}>"


def _clean(text: str, limit: int) -> str:
    return printable(redact(text), limit)


def _safe_text(error: BaseException) -> str:
    """What may be told of an exception: our own say names and causes by contract, the system's say why."""
    if type(error).__module__.split(".", 1)[0] == OWN:
        return _own_text(error)
    if isinstance(error, OSError) and error.errno is not None:
        return f"{_type_name(error)}: {os.strerror(error.errno)}"
    return ""


def _own_text(error: BaseException) -> str:
    try:
        return f"{_type_name(error)}: {error}"
    except Exception:  # as in _text
        return _type_name(error)


def _type_name(error: BaseException) -> str:
    kind = type(error)
    package = kind.__module__.split(".", 1)[0]
    return kind.__qualname__ if package in {"builtins", OWN} else f"{kind.__module__}.{kind.__qualname__}"


def _frames(trace: TracebackType | None) -> list[str]:
    """Innermost last, without source lines and without where on the disk the packages lie."""
    frames = [(frame.f_code, line) for frame, line in traceback.walk_tb(trace)][-_MAX_FRAMES:]
    return [f"{_short_path(code.co_filename)}:{line} {code.co_name}" for code, line in frames]


def _short_path(path: str) -> str:
    for root in ("site-packages/", f"{OWN}/"):
        _, found, rest = path.rpartition(root)
        if found:
            return rest if root == "site-packages/" else root + rest
    return "/".join(path.rsplit("/", 2)[-2:])


def _log_uncaught(_: type[BaseException], error: BaseException, __: TracebackType | None) -> None:
    if isinstance(error, KeyboardInterrupt):
        return
    logging.getLogger(OWN).critical("uncaught exception", exc_info=error)


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        logging.getLogger(OWN).critical("uncaught exception in a thread", exc_info=args.exc_value)
