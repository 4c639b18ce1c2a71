"""Templates of Secret values: `${key}`, `${key|filter}`, and nothing that could loop or decide.

A template is parsed once, in one pass, into literal text and references. Rendering looks every reference up and stops
as soon as the result grows past its limit, so a small template cannot ask for a gigabyte. `$${` stands for a literal
`${`; any other `$` is just that.
"""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tolstoy_operator.domain.secretvalue import SecretValue

_REFERENCE: Final = re.compile(r"\$\{([^|{}$]*)(?:\|([^|{}$]*))?\}")
_MAX_KEY: Final = 253


class TemplateError(Exception):
    """A template that cannot be read or rendered. `position` counts characters from 1; `cause` holds no value."""

    def __init__(self, cause: str, position: int) -> None:
        super().__init__(f"{cause} at character {position}")
        self.cause = cause
        self.position = position


class TemplateTooLarge(Exception):
    """Rendering was stopped because the result passed its limit."""


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _urlencode(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def _as_is(text: str) -> str:
    return text


FILTERS: Final[Mapping[str, Callable[[str], str]]] = {"base64": _base64, "json": _json, "urlencode": _urlencode}
"""`base64`: of the UTF-8 bytes, standard alphabet. `json`: a JSON string with its quotes. `urlencode`: every reserved
character as %XX."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A place where a member's text goes. `position` counts characters from 1."""

    key: str
    transform: Callable[[str], str]
    position: int


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template."""

    parts: tuple[str | Reference, ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read a template. Raises `TemplateError` at the first mistake."""
        try:
            text.encode()
        except UnicodeEncodeError as error:
            position = error.start + 1
        else:
            return cls(tuple(_parts(text)))
        raise TemplateError("half of a surrogate pair is no text", position)

    @property
    def references(self) -> tuple[Reference, ...]:
        """All references, in order."""
        return tuple(part for part in self.parts if isinstance(part, Reference))

    def render(self, lookup: Callable[[str], SecretValue], *, limit: int) -> SecretValue:
        """Fill in the references. `limit`: characters of the result.

        Raises `TemplateError` where `lookup` raises `KeyError`, and `TemplateTooLarge`.
        """
        pieces: list[str] = []
        room = limit
        for part in self.parts:
            piece = part if isinstance(part, str) else _fill(part, lookup)
            room -= len(piece)
            if room < 0:
                raise TemplateTooLarge
            pieces.append(piece)
        return SecretValue("".join(pieces))


def _fill(reference: Reference, lookup: Callable[[str], SecretValue]) -> str:
    try:
        value = lookup(reference.key)
    except KeyError:
        value = None
    if value is None:
        raise TemplateError("the secret has no such member", reference.position)
    return reference.transform(value.reveal())


def _parts(text: str) -> Iterator[str | Reference]:
    start = 0
    while (dollar := text.find("${", start)) >= 0:
        if dollar > start and text[dollar - 1] == "$":
            yield text[start : dollar - 1] + "${"
            start = dollar + 2
            continue
        if dollar > start:
            yield text[start:dollar]
        reference, start = _reference(text, dollar)
        yield reference
    if start < len(text):
        yield text[start:]


def _reference(text: str, start: int) -> tuple[Reference, int]:
    position = start + 1
    match = _REFERENCE.match(text, start)
    if match is None:
        raise TemplateError("a reference is written ${key} or ${key|filter}", position)
    key, filter_name = match.groups()
    if not key or len(key) > _MAX_KEY or key != key.strip() or not key.isprintable():
        raise TemplateError("a reference needs the name of a member, without spaces around it", position)
    if filter_name is not None and filter_name not in FILTERS:
        raise TemplateError(f"the filters are {', '.join(FILTERS)}", position)
    transform = FILTERS[filter_name] if filter_name is not None else _as_is
    return Reference(key, transform, position), match.end()
