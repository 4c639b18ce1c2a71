"""Which packages we depend on, under which licences, and whether somebody has looked at each.

`requirements/approved.tsv` has a row for each package that the pinned requirements bring in, wanted by us or by one of
them. A package that appears there for the first time is not approved, and `make lint` fails until a person has looked
at it (who makes it, is it kept well, do we need it, is its licence fine) and changed `no` to `yes`.

    python -m dev.dependencies          what is missing, not approved, or has another licence now; exit code 1 if any
    python -m dev.dependencies sync     write the table anew; approvals stay, new rows say `no`
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Final

REQUIREMENTS: Final = Path(__file__).resolve().parents[1] / "requirements"
TABLE: Final = REQUIREMENTS / "approved.tsv"

PERMISSIVE: Final = frozenset(
    {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSD", "CNRI-Python", "ISC", "MIT", "MIT-0", "PSF-2.0"}
)
"""What may be in the image without another thought; anything else takes a decision, see `DECIDED`."""
DECIDED: Final[Mapping[str, str]] = {"certifi": "MPL-2.0"}
"""Licences of single packages in the image. certifi is a file of certificates that is passed on unchanged."""

_HEADER: Final = ("package", "where", "licence", "asked for by", "approved")
_NAMES: Final[Mapping[str, str]] = {
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD 2-Clause License": "BSD-2-Clause",
    "BSD License": "BSD",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT license": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "PSFL": "PSF-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
_ELSEWHERE: Final = "not installed here"
"""Packages for other systems are pinned as well."""


@dataclass(frozen=True, slots=True)
class Dependency:
    """One row. `where`: `image`, or `development` for what never gets there. `licence`: in the words of SPDX."""

    package: str
    where: str
    licence: str
    asked_for_by: str
    approved: bool = False


def pinned(requirements: str) -> dict[str, str]:
    """Package -> who asks for it, from a file of pinned requirements with its comments."""
    found: dict[str, str] = {}
    for block in re.split(r"^(?=[A-Za-z0-9])", requirements, flags=re.MULTILINE):
        name = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==", block)
        if name:
            comments = re.findall(r"#\s+(?:via\s*)?([A-Za-z0-9._-]+)(?: \(pyproject\.toml\))?$", block, re.MULTILINE)
            found[name[1]] = ", ".join(sorted({comment for comment in comments if comment != "via"}))
    return found


def licence_of(package: str) -> str:
    """What the installed package says, the most exact statement first."""
    try:
        said = metadata.metadata(package)
    except metadata.PackageNotFoundError:
        return _ELSEWHERE
    classifiers = [text.rpartition(" :: ")[2] for text in said.get_all("Classifier") or () if "License ::" in text]
    choices = [*(said.get_all("License-Expression") or ()), *(said.get_all("License") or ())]
    exact = [text for text in choices if text not in ("UNKNOWN", "Dual License") and "\n" not in text]
    words = exact[:1] or [" OR ".join(sorted(_NAMES.get(text, text) for text in classifiers)) or "unknown"]
    return _NAMES.get(words[0], words[0])


def read(text: str) -> dict[str, Dependency]:
    """The table as it stands in the file."""
    rows = (line.split("\t") for line in text.splitlines()[1:])
    return {row[0]: Dependency(row[0], row[1], row[2], row[3], row[4] == "yes") for row in rows}


def current(known: Mapping[str, Dependency]) -> Iterator[Dependency]:
    """What the requirements bring in now. An approval is for a package, where it is, under its licence."""
    files = {path.stem: pinned(path.read_text()) for path in REQUIREMENTS.glob("*.txt")}
    everything = files["build"] | files["bootstrap"] | files["dev"] | files["runtime"]
    for package in sorted(everything):
        before = known.get(package)
        where = "image" if package in files["runtime"] else "development"
        licence = licence_of(package)
        if licence == _ELSEWHERE and before is not None:
            licence = before.licence
        found = Dependency(package, where, licence, everything[package])
        same = before is not None and (before.where, before.licence) == (found.where, found.licence)
        yield replace(found, approved=same and before is not None and before.approved)


def problems(known: Mapping[str, Dependency], now: Iterable[Dependency]) -> list[str]:
    """What a person has to look at, a sentence each."""
    found = {item.package: item for item in now}
    said = [f"{name}: in the table, and not in the requirements" for name in sorted(known.keys() - found.keys())]
    for item in found.values():
        before = known.get(item.package)
        if before is None:
            said.append(f"{item.package} ({item.licence}, for {item.asked_for_by}): new")
        elif (before.where, before.licence) != (item.where, item.licence):
            said.append(f"{item.package}: was {before.licence} ({before.where}), is {item.licence} ({item.where})")
        elif not before.approved:
            said.append(f"{item.package} ({item.licence}, for {item.asked_for_by}): nobody has approved it")
        if item.where == "image" and not is_fine(item):
            said.append(f"{item.package}: {item.licence} is no licence that may be in the image without a decision")
    return said


def is_fine(item: Dependency) -> bool:
    """Whether a package may be in the image: each licence that has to be kept is permissive, or decided about."""
    choices = [choice.split(" AND ") for choice in item.licence.split(" OR ")]
    return DECIDED.get(item.package) == item.licence or any(PERMISSIVE.issuperset(choice) for choice in choices)


def written(rows: Iterable[Dependency]) -> str:
    """The table as the file has it."""
    cells = ((row.package, row.where, row.licence, row.asked_for_by, "yes" if row.approved else "no") for row in rows)
    return "".join("\t".join(line) + "\n" for line in [_HEADER, *cells])


def main() -> int:
    """Exit codes: 0 all approved, 1 somebody has to look."""
    known = read(TABLE.read_text()) if TABLE.exists() else {}
    now = list(current(known))
    if sys.argv[1:] == ["sync"]:
        TABLE.write_text(written(now))
        known = read(TABLE.read_text())
    found = problems(known, now)
    for problem in found:
        print(problem)
    if found:
        print("Look at each; then `python -m dev.dependencies sync`, and say yes in requirements/approved.tsv.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
