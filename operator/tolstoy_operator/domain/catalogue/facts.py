"""A fact and where it comes from.

`unknown` is written out: a member that is missing is a mistake, not an answer. In Python it is None.
"""

from __future__ import annotations

import math
import re
from datetime import date
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

T = TypeVar("T")

_DURATION = re.compile(r"([0-9]{1,9})([smhd])", re.ASCII)
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


class Model(BaseModel):
    """Part of an entry: nothing unknown to the schema, nothing changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(Model):
    """Where a fact was found: an address or, for an organisation's own, a few words; and when it was looked up."""

    at: str = Field(min_length=1, max_length=500)
    date: date


class Fact(Model, Generic[T]):
    """A value and the name of its source in the entry's list of sources."""

    value: T
    source: str = Field(min_length=1, max_length=40)


def known(value: Any) -> Any:
    """What a file says in the place of a fact: None for `unknown`. Raises ValueError for what is no fact at all."""
    if value is None:
        raise ValueError("empty: write `unknown`, or a value and its source")
    if isinstance(value, str):
        if value == "unknown":
            return None
        raise ValueError("neither `unknown` nor a value with its source")
    return value


def _seconds(value: Any) -> float:
    if value == "never":
        return math.inf
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("not a duration: a whole number with s, m, h or d, or `never`")
    return int(match[1]) * _UNITS[match[2]]


Duration = Annotated[float, BeforeValidator(_seconds)]
"""Seconds. In a file `45s`, `30m`, `8h`, `90d`; `never` is infinity."""
