"""Finding entries by tool: ours in the package, an organisation's in a directory of files.

Entries are read when a tool is first met and kept without their sources, so a catalogue costs what its user uses. An
organisation's files are read at once instead: a mistake in them must stop the start, not the refresh at night.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tolstoy_operator.domain.catalogue.entry import Entry
from tolstoy_operator.domain.catalogue.provider import Provider, provider_of

_SUFFIX = ".yaml"
_LARGEST_FILE = 64 * 1024
_LONGEST_CHAIN = 5

Raw = dict[str, Any]


class CatalogueError(Exception):
    """A file that is no entry. The text has one line per problem: file, field, what is wrong."""


class Catalogue:
    """Providers by the name of the tool. Not safe for threads; made and used in the event loop."""

    def __init__(self, data: Traversable, own: Mapping[str, Raw]) -> None:
        self._data = data
        self._own = own
        self._providers: dict[str, Provider | None] = {}

    def __iter__(self) -> Iterator[str]:
        ours = {item.name.removesuffix(_SUFFIX) for item in self._data.iterdir() if item.name.endswith(_SUFFIX)}
        return iter(sorted(ours | self._own.keys()))

    def provider(self, tool: str) -> Provider | None:
        """What is known of a tool's provider, None when it is in no file. Raises `CatalogueError`."""
        if tool not in self._providers:
            raw = self._raw(tool)
            self._providers[tool] = None if raw is None else provider_of(_parse(tool, raw))
        return self._providers[tool]

    def entry(self, name: str) -> Entry:
        """The whole entry, with its sources. Raises `KeyError` or `CatalogueError`."""
        raw = self._raw(name)
        if raw is None:
            raise KeyError(name)
        return _parse(name, raw)

    def _raw(self, name: str, depth: int = 0) -> Raw | None:
        """An entry with everything that it takes over: from the entry it is `like`, and from ours of the same name."""
        if depth > _LONGEST_CHAIN:
            raise CatalogueError(f"{name}{_SUFFIX}: like: more than {_LONGEST_CHAIN} entries in a row, or a circle")
        layers = self._layers(name)
        if not layers:
            return None
        base = layers[0].get("like")
        if base is None:
            return _merged(name, layers)
        below = self._raw(str(base), depth + 1)
        if below is None:
            raise CatalogueError(f"{name}{_SUFFIX}: like: there is no entry {str(base)!r}")
        return _merged(name, [below, *layers])

    def _layers(self, name: str) -> list[Raw]:
        """Ours below theirs; theirs alone when it says what else it is like."""
        own = self._own.get(name)
        ours = None if own is not None and "like" in own else self._packaged(name)
        return [layer for layer in (ours, own) if layer is not None]

    def _packaged(self, name: str) -> Raw | None:
        file = self._data / f"{name}{_SUFFIX}"
        return _read(f"{name}{_SUFFIX}", file) if file.is_file() else None


def load_catalogue(extra_dir: Path | None = None) -> Catalogue:
    """The catalogue of the package with an organisation's files over it.

    `extra_dir`: a directory of `<tool>.yaml` files, None = none. Raises `CatalogueError` that names every file and
    field which is wrong.
    """
    own: dict[str, Raw] = {}
    problems: list[str] = []
    for path in _files(extra_dir):
        try:
            own[path.name.removesuffix(_SUFFIX)] = _read(path.name, path)
        except CatalogueError as error:
            problems.append(str(error))
    catalogue = Catalogue(resources.files(__package__) / "data", own)
    for name in own:
        try:
            catalogue.entry(name)
        except CatalogueError as error:
            problems.append(str(error))
    if problems:
        raise CatalogueError("\n".join(problems))
    return catalogue


def _files(directory: Path | None) -> list[Path]:
    """The files of a directory. What begins with a dot is Kubernetes' way to swap a mounted ConfigMap."""
    if directory is None:
        return []
    try:
        return sorted(path for path in directory.iterdir() if path.suffix == _SUFFIX and not path.name.startswith("."))
    except OSError as error:
        raise CatalogueError(f"{directory}: cannot be read: {error.strerror}") from None


def _read(name: str, file: Traversable) -> Raw:
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{name}: cannot be read: {error}") from None
    if len(text) > _LARGEST_FILE:
        raise CatalogueError(f"{name}: larger than {_LARGEST_FILE} characters")
    try:
        document = yaml.load(text, yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CatalogueError(f"{name}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise CatalogueError(f"{name}: not a mapping of names to facts")
    return document


def _merged(name: str, layers: list[Raw]) -> Raw:
    """Later layers win, member by member; only the lists of sources are joined."""
    result: Raw = {}
    sources: Raw = {}
    for layer in layers:
        added = layer.get("sources") or {}
        if not isinstance(added, dict):
            raise CatalogueError(f"{name}{_SUFFIX}: sources: not a mapping")
        if taken := sorted(key for key in sources.keys() & added.keys() if sources[key] != added[key]):
            raise CatalogueError(f"{name}{_SUFFIX}: sources.{taken[0]}: taken by the entry below")
        sources.update(added)
        result.update(layer)
    return {**result, "sources": sources}


def _parse(name: str, raw: Raw) -> Entry:
    try:
        return Entry.model_validate({**raw, "name": name})
    except ValidationError as error:
        lines = (_problem(name, item["loc"], item["msg"]) for item in error.errors(include_url=False))
        raise CatalogueError("\n".join(lines)) from None


def _problem(name: str, location: tuple[int | str, ...], message: str) -> str:
    field = ".".join(str(step) for step in location)
    return f"{name}{_SUFFIX}: {field + ': ' if field else ''}{message.removeprefix('Value error, ')}"
