"""`python -m tests.support.generated`: write the tables of the documentation that the code dictates.

Settings and metrics are described where they are defined; the pages repeat it, and a test compares.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, get_args

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from pydantic.fields import FieldInfo

from tests.support.chartfiles import settings_table
from tests.support.crd import ROOT
from tolstoy_operator.observability.metrics import Metrics
from tolstoy_operator.settings import Settings

BEGIN, END = "<!-- generated: {} -->\n", "<!-- end -->"


def settings() -> str:
    """One row for each environment variable."""
    values = settings_table()
    rows = [
        (f"`{name.upper()}`", _default(field), _range(field), _value(values.get(name.upper())), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    return _table(("variable", "default", "allowed", "in the chart's values", "meaning"), rows)


def metrics() -> str:
    """One row for each of our own series, with the labels that it has once something happened."""
    rows = [
        (f"`{name}`", kind, ", ".join(f"`{label}`" for label in sorted(labels)), text)
        for name, kind, labels, text in _series()
    ]
    return _table(("series", "kind", "labels", "meaning"), rows)


PAGES: dict[str, tuple[str, Callable[[], str]]] = {
    "settings": ("docs/settings.md", settings),
    "metrics": ("docs/metrics.md", metrics),
}


def part(name: str) -> str:
    """What stands in the page now."""
    return (ROOT / PAGES[name][0]).read_text().split(BEGIN.format(name))[1].split(END)[0]


def sync() -> None:
    """Write all parts."""
    for name, (page, make) in PAGES.items():
        path, begin = ROOT / page, BEGIN.format(name)
        before, rest = path.read_text().split(begin)
        path.write_text(f"{before}{begin}{make()}{END}{rest.split(END, 1)[1]}")


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [header, ("---" for _ in tuple(header)), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _default(field: FieldInfo) -> str:
    value = field.default
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) and value < 1 else f"`{_plain(value)}`" if value else "empty"


def _plain(value: object) -> str:
    return str(int(value)) if isinstance(value, float) else str(value)


def _range(field: FieldInfo) -> str:
    if field.annotation is bool:
        return "`true`, `false`"
    if choices := get_args(field.annotation):
        return (
            ", ".join(f"`{choice}`" for choice in choices)
            if all(isinstance(c, str) for c in choices)
            else "separated by commas"
        )
    return _bounds(field.metadata)


def _bounds(metadata: Iterable[Any]) -> str:
    words: list[str] = []
    for bound in metadata:
        match bound:
            case Gt(gt=least):
                words.append(f"above {_plain(least)}")
            case Ge(ge=least):
                words.append(f"from {_plain(least)}")
            case Le(le=most):
                words.append(f"to {_plain(most)}")
            case MinLen(min_length=1):
                words.append("not empty")
            case MaxLen(max_length=most):
                words.append(f"{most} characters at most")
            case object(pattern=pattern) if pattern:
                words.append(f"`{pattern}`".replace("|", "\\|"))
    return ", ".join(words)


def _value(path: str | None) -> str:
    return f"`{path}`" if path else ""


def _series() -> list[tuple[str, str, set[str], str]]:
    registry = Metrics(version="0", per_credential=True).registry
    labels: defaultdict[str, set[str]] = defaultdict(set)
    for collector, names in registry._collector_to_names.items():  # a series without a sample shows no labels
        labels |= {name: set(getattr(collector, "_labelnames", ())) for name in names}
    rows = []
    for family in registry.collect():
        if not family.name.startswith("tolstoy_"):
            continue
        for sample in family.samples:
            labels[family.name] |= sample.labels.keys() - {"le"}
        name = {"counter": f"{family.name}_total", "info": f"{family.name}_info"}.get(family.type, family.name)
        rows.append((name, family.type, labels[family.name], family.documentation))
    return sorted(rows)


if __name__ == "__main__":
    sync()
