"""The installation page speaks of values, files and annotations that exist."""

from __future__ import annotations

import re

from dev.chart import ROOT
from tests.support import docs
from tests.support.chartfiles import at, default_values
from tolstoy_operator.api import names

PAGE = docs.text("install.md")
CODE = re.findall(r"`([^`\n]+)`", PAGE)


def test_the_values_exist() -> None:
    values = default_values()
    spoken = {word.split(":")[0] for word in CODE} | set(re.findall(r"--set ([\w.]+)=", PAGE))
    dotted = {word for word in spoken if re.fullmatch(r"\w+(\.\w+)+", word) and word.split(".")[0] in values}
    assert dotted >= {"store.region", "image.repository", "networkPolicy.metricsFrom", "tenancy.unbindGraceSeconds"}
    for path in dotted:
        at(values, path)


def test_the_links_lead_somewhere() -> None:
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", PAGE)]
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


def test_the_annotations_are_the_operators() -> None:
    known = {value for value in vars(names).values() if isinstance(value, str)}
    spoken = set(re.findall(r"tolstoy\.dev/[a-z-]+", PAGE))
    assert spoken <= known
