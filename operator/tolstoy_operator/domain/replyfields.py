"""Reading single members of a reply whose types nobody guarantees.

Every function is total: any JSON value goes in, a value of the wanted type or None comes out.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl

Document = dict[str, Any]

_NUMBER = re.compile(r"\s*[+-]?[0-9]{1,20}(\.[0-9]{0,20})?\s*", re.ASCII)
_FORM = re.compile(r"[A-Za-z0-9_.\-]{1,64}=[^\s<>{}]*", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9_.:\-]{1,64}", re.ASCII)
_POSITION = re.compile(r"[0-9]{1,3}", re.ASCII)
_MILLISECONDS_FROM = 1e11
"""Unix times at or above this are milliseconds: as seconds they would lie beyond the year 5000."""
_DATE_LENGTH = 64
_FORM_FIELDS = 64


def decode(body: bytes) -> tuple[Document | None, bool]:
    """The reply as one object, and whether it came form-encoded. None when it is neither JSON nor a form."""
    document = _json(body)
    if document is not None:
        return document, False
    form = _form(body)
    return form, form is not None


def _json(body: bytes) -> Document | None:
    try:
        value = json.loads(body)
    except UnicodeDecodeError:
        value = _damaged_json(body)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, dict) else None


def _damaged_json(body: bytes) -> object:
    # One byte of Latin-1 in a scope must not cost the tokens beside it.
    try:
        return json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def _form(body: bytes) -> Document | None:
    text = body.decode("utf-8", "replace").strip()
    if not _FORM.fullmatch(text):
        return None
    try:
        return dict(parse_qsl(text, max_num_fields=_FORM_FIELDS))
    except ValueError:
        return None


def at(document: object, path: str) -> object:
    """The value at a dotted path, None when there is none. The empty path is the document itself."""
    value = document
    for step in path.split(".") if path else ():
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and _POSITION.fullmatch(step) and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def first(document: object, paths: Iterable[str]) -> object:
    """The first value of several paths that is neither absent, null nor an empty string."""
    for path in paths:
        value = at(document, path)
        if value is not None and value != "":
            return value
    return None


def word(value: object) -> str | None:
    """A short text from a safe alphabet (letters, digits, `_ . : -`), or a whole number as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**12 else None
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def number(value: object) -> float | None:
    """A finite number, from a number or its text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value) else None
    if not isinstance(value, int | float):
        return None
    try:
        result = float(value)
    except OverflowError:
        return None
    return result if math.isfinite(result) else None


def moment(value: object) -> float | None:
    """A point in time as Unix seconds, from ISO 8601 text (UTC when it names no zone), seconds or milliseconds."""
    count = number(value)
    if count is not None:
        return count / 1000 if abs(count) >= _MILLISECONDS_FROM else count
    if not isinstance(value, str) or len(value) > _DATE_LENGTH:
        return None
    try:
        parsed = datetime.fromisoformat(value.strip())
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def http_date(text: str | None) -> float | None:
    """An HTTP date as Unix seconds."""
    if text is None or len(text) > _DATE_LENGTH:
        return None
    try:
        parsed = parsedate_to_datetime(text)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def lowered(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers by lower-case name."""
    return {name.lower(): value for name, value in headers.items()}
