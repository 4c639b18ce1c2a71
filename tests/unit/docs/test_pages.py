"""What holds for every page: links lead somewhere, paths are relative, commands and annotations exist."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from tests.support import docs, specs
from tests.support.crd import ROOT
from tolstoy_operator.api import names

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


@cache
def text(page: Path) -> str:
    return page.read_text("utf-8")


@cache
def anchors(page: Path) -> set[str]:
    """Headings as GitHub names them: lower case, no punctuation, hyphens for spaces."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", text(page)), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


def links(page: Path) -> list[tuple[str, str]]:
    """Relative links of a page: path (empty: the page itself) and anchor."""
    found = (link for link in _LINK.findall(_FENCE.sub("", text(page))) if "://" not in link)
    return [(path, anchor) for path, _, anchor in (link.partition("#") for link in found)]


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in links(page):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


@each_page
def test_paths_are_relative(page: Path) -> None:
    assert re.findall(r"(?<![\w.~/])/(?:home|root|work|Users|tmp)/\S*", text(page)) == []


@each_page
def test_annotations_and_labels_exist(page: Path) -> None:
    known = {value for value in vars(names).values() if isinstance(value, str)}
    groups = {"v1", "operator", "journal", "upstream-secret"}
    spoken = set(re.findall(r"(?<![\w.-])tolstoy\.dev/([a-z0-9-]+)", text(page)))
    assert {f"tolstoy.dev/{word}" for word in spoken - groups} <= known


@each_page
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"`make ([a-z0-9-]+)|^\$ make ([a-z0-9-]+)", text(page), re.MULTILINE)
    assert {inline or shown for inline, shown in named} <= targets


@each_page
def test_modules_that_are_run_exist(page: Path) -> None:
    for module in re.findall(r"python -m ((?:dev|tests|bench)[\w.]*)", text(page)):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


@each_page
def test_examples_are_legal(page: Path) -> None:
    for example in docs.credentials(f"../{page.relative_to(ROOT)}"):
        assert specs.problems(example["spec"]) == set()


def test_every_page_is_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        targets = ((page.parent / path).resolve() for path, _ in links(page) if path)
        waiting += [target for target in targets if target.suffix == ".md"]
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in seen] == []


def test_every_decision_is_in_the_index() -> None:
    decisions = ROOT / "docs" / "decisions"
    index = text(decisions / "README.md")
    for page in decisions.glob("*.md"):
        if page.name != "README.md":
            title = text(page).splitlines()[0].removeprefix("# ")
            assert f"[{title}]({page.name})" in index
