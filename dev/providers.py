"""`python -m dev.providers sync`: write the tables of `docs/providers.md`, and `check` that they are up to date.

The entries are the one place where facts about providers are written; the page shows them, so it cannot drift.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from tolstoy_operator.domain.catalogue.entry import Entry
from tolstoy_operator.domain.catalogue.facts import Fact
from tolstoy_operator.domain.catalogue.loader import load_catalogue

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "providers.md"
_BEGIN, _END = "<!-- generated: {} -->", "<!-- end -->"
_UNITS = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))
_COLUMNS = (
    "tool",
    "provider",
    "access token",
    "refresh token",
    "spent one works for",
    "old access token",
    "idle limit",
    "hard limit",
    "client, body",
    "revoke",
    "introspect",
    "probe",
    "reply, errors",
)


def page() -> str:
    """The page as it should be."""
    entries = [(name, load_catalogue().entry(name)) for name in load_catalogue()]
    text = _replaced(PAGE.read_text("utf-8"), "table", _table(entries))
    return _replaced(text, "sources", _sources(entries))


def _replaced(text: str, part: str, content: str) -> str:
    before, _, rest = text.partition(_BEGIN.format(part))
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN.format(part)}\n{content}\n{_END}{after}"


def _table(entries: list[tuple[str, Entry]]) -> str:
    own = [entry for _, entry in entries if entry.like is None]
    lines = [f"{len(own) - 1} providers.", "", _row(_COLUMNS), _row(["---"] * len(_COLUMNS))]
    lines += [_row(_cells(entry)) for entry in own]
    likes = ", ".join(f"`{name}` (`{entry.like}`)" for name, entry in entries if entry.like is not None)
    return "\n".join([*lines, "", f"Other names: {likes}."])


def _row(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(entry: Entry) -> list[str]:
    methods = " ".join(entry.client_auth.value) if entry.client_auth is not None else "?"
    return [
        f"`{entry.name}`",
        entry.title,
        _duration(entry.lifetime),
        _refresh_token(entry),
        _duration(entry.reuse_grace),
        _word(entry.old_access_token),
        _duration(entry.refresh_idle),
        _duration(entry.refresh_hard),
        f"{methods.replace('client_secret_', '')}, {_word(entry.body)}",
        *(_call(fact) for fact in (entry.revoke, entry.introspect, entry.probe)),
        f"{_reply(entry)}, {_errors(entry)}",
    ]


def _refresh_token(entry: Entry) -> str:
    if entry.grant is not None and entry.grant.value != "refresh_token":
        return "none" if entry.grant.value == "none" else f"none ({entry.grant.value})"
    return _word(entry.rotation)


def _word(fact: Fact[Any] | None) -> str:
    return "?" if fact is None else str(fact.value)


def _duration(fact: Fact[float] | None) -> str:
    if fact is None:
        return "?"
    if fact.value == math.inf:
        return "never ends"
    return next(
        (f"{int(fact.value / size)} {unit}" for size, unit in _UNITS if fact.value % size == 0 < fact.value), "0"
    )


def _call(fact: Fact[Any] | None) -> str:
    if fact is None:
        return "?"
    return "none" if fact.value is None else "yes"


def _reply(entry: Entry) -> str:
    if entry.reply is None:
        return "?"
    return "own" if entry.reply.value.model_dump(exclude_none=True) else "standard"


def _errors(entry: Entry) -> str:
    if entry.codes or entry.texts:
        return "own"
    return "?" if entry.errors is None else "standard"


def _sources(entries: list[tuple[str, Entry]]) -> str:
    return "\n\n".join(_sources_of(entry) for _, entry in entries if entry.like is None)


def _sources_of(entry: Entry) -> str:
    cited = defaultdict(list)
    for path, key in entry.cited():
        if not path.startswith("notes."):
            cited[key].append(path)
    lines = [f"### {entry.title}", ""]
    lines += [f"{note.value}\n" for note in entry.notes]
    for key, source in entry.sources.items():
        lines.append(f"- <{source.at}> ({source.date}): {', '.join(cited[key]) or 'the notes'}")
    return "\n".join(lines)


def main() -> None:
    """Run one command; `check` ends with 1 when the page is stale."""
    parser = argparse.ArgumentParser(prog="python -m dev.providers", description=__doc__)
    parser.add_argument("command", choices=["sync", "check"])
    if parser.parse_args().command == "sync":
        PAGE.write_text(page(), "utf-8")
    elif PAGE.read_text("utf-8") != page():
        sys.exit(f"{PAGE.relative_to(ROOT)} is stale; run `python -m dev.providers sync`")


if __name__ == "__main__":
    main()
