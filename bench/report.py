"""Figures and the table that docs/performance.md holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `baseline`: measured in the same run; `aim`: what we want, empty where we only report."""

    scenario: str
    what: str
    measured: str
    baseline: str = ""
    aim: str = ""


def table(figures: list[Figure]) -> str:
    """Markdown."""
    rows = [("scenario", "figure", "measured", "baseline, same run", "aim")]
    rows += [(f"`{item.scenario}`", item.what, item.measured, item.baseline, item.aim) for item in figures]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|---|---|---|---|---|")
    return "\n".join(lines)


def milliseconds(samples: list[float]) -> str:
    """p50, p99 and the longest of some seconds."""
    ordered = sorted(samples)
    p50, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.99))
    return f"p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, max {ordered[-1] * 1000:.0f} ms"
