"""Templates: total, linear, no logic."""

from __future__ import annotations

import base64
import contextlib
import json
import time
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.domain.template import FILTERS, Template, TemplateError, TemplateTooLarge

MEMBERS = {"token": 'a"é/b', "n": "5", "my key": "spaced"}


def lookup(key: str) -> SecretValue:
    return SecretValue(MEMBERS[key])


def render(text: str, *, limit: int = 1000) -> str:
    return Template.parse(text).render(lookup, limit=limit).reveal()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("${n}", "5"),
        ("<${n}${n}>", "<55>"),
        ("${my key}", "spaced"),
        ("${token|json}", '"a\\"é/b"'),
        ("${token|urlencode}", "a%22%C3%A9%2Fb"),
        ("${token|base64}", base64.b64encode('a"é/b'.encode()).decode()),
        ("$", "$"),
        ("$$", "$$"),
        ("$n {n} $ {n}", "$n {n} $ {n}"),
        ("$${n}", "${n}"),
        ("$$${n}", "$${n}"),
        ("$${", "${"),
        ("$${${n}}", "${5}"),
        ("a$${b}c${n}", "a${b}c5"),
        ("${n}$${n}", "5${n}"),
        ("}{|", "}{|"),
        ("${n}$", "5$"),
        ("$${n}$", "${n}$"),
    ],
)
def test_what_a_template_becomes(text: str, expected: str) -> None:
    assert render(text) == expected


def test_what_a_reference_brings_is_not_read_again() -> None:
    assert Template.parse("${a}").render(lambda _: SecretValue("${b}$${"), limit=99).reveal() == "${b}$${"


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("${", 1),
        ("${}", 1),
        ("ab${n", 3),
        ("${n|}", 1),
        ("${n|upper}", 1),
        ("${n|base64|json}", 1),
        ("${ n}", 1),
        ("${n }", 1),
        ("${n\n}", 1),
        ("${n\x00}", 1),
        ("${${n}}", 1),
        ("${a{b}", 1),
        ("${" + "k" * 254 + "}", 1),
        ("x\ud800", 2),
    ],
)
def test_mistakes_are_told_with_their_position(text: str, position: int) -> None:
    with pytest.raises(TemplateError) as caught:
        Template.parse(text)
    assert caught.value.position == position
    assert str(caught.value) == f"{caught.value.cause} at character {position}"
    assert str(caught.value).isprintable()


def test_an_unknown_member_is_an_error_and_not_nothing() -> None:
    with pytest.raises(TemplateError) as caught:
        render("ab${absent}")
    assert caught.value.position == 3


def test_references_in_order() -> None:
    template = Template.parse("${a}-${b|json}$${c}${a}")
    assert [(reference.key, reference.position) for reference in template.references] == [("a", 1), ("b", 6), ("a", 20)]


def test_the_result_is_hidden() -> None:
    assert repr(Template.parse("${n}").render(lookup, limit=9)) == "[redacted]"


def test_growth_stops_at_the_limit() -> None:
    calls = 0

    def large(_: str) -> SecretValue:
        nonlocal calls
        calls += 1
        return SecretValue("x" * 1000)

    with pytest.raises(TemplateTooLarge):
        Template.parse("${a}" * 10_000).render(large, limit=3000)
    assert calls == 4
    assert render("ab${n}", limit=3) == "ab5"
    with pytest.raises(TemplateTooLarge):
        render("ab${n}", limit=2)


@pytest.mark.parametrize("piece", ["$", "${", "$${", "${a", "{", "${a}", "${a|", "$$"])
def test_hostile_templates_cost_one_pass(piece: str) -> None:
    started = time.process_time()
    with contextlib.suppress(TemplateError):
        Template.parse(piece * 50_000)
    assert time.process_time() - started < 1


@given(st.text(st.sampled_from("${}|ab json64"), max_size=40))
def test_parsing_and_rendering_are_total(text: str) -> None:
    position = 1
    try:
        template = Template.parse(text)
        template.render(lambda _: SecretValue("v"), limit=1000)
    except TemplateError as error:
        position = error.position
    assert 1 <= position <= max(len(text), 1)


@given(st.text(max_size=40))
def test_filters_can_be_undone(value: str) -> None:
    rendered = {name: apply(value) for name, apply in FILTERS.items()}
    assert base64.b64decode(rendered["base64"], validate=True).decode() == value
    assert json.loads(rendered["json"]) == value
    assert urllib.parse.unquote(rendered["urlencode"]) == value


@given(st.text(max_size=40))
def test_any_literal_text_can_be_written(text: str) -> None:
    escaped = text.replace("${", "$${")
    if not text.replace("${", "").count("$"):
        assert Template.parse(escaped).render(lookup, limit=100).reveal() == text
