"""The page about providers says what the entries say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from dev.providers import PAGE, page
from tolstoy_operator.domain.catalogue import load_catalogue
from tolstoy_operator.domain.catalogue.entry import FACTS, PECULIARITIES, Call, Reply
from tolstoy_operator.domain.tokenoutcome import Rejection


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == page(), "run `python -m dev.providers sync`"


@pytest.mark.parametrize(
    "word", [*FACTS, *PECULIARITIES, *Call.model_fields, *Reply.model_fields, *map(str, Rejection)]
)
def test_the_page_explains_every_word_of_an_entry(word: str) -> None:
    explained = PAGE.read_text("utf-8").partition("## What an entry says")[2].partition("## Where")[0]
    assert f"`{word}`" in explained


def test_the_examples_of_the_page_load(tmp_path: Path) -> None:
    for name, text in re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL):
        (tmp_path / name).write_text(text, "utf-8")
        assert yaml.safe_load(text)
    catalogue = load_catalogue(tmp_path)
    acme, github = catalogue.provider("acme"), catalogue.provider("github-app")
    assert acme is not None
    assert acme.traits.strict
    assert github is not None
    assert github.hosts == ("github.acme.example",)
