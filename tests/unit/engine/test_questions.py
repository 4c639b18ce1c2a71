"""Each question is answered once, by a pass that ends after it, and nothing is kept of credentials that are gone."""

from __future__ import annotations

from tolstoy_operator.engine.questions import Questions

NAME, OTHER = "tolstoy/github/a", "tolstoy/github/b"


def test_a_question_waits_for_the_end_of_the_pass_after_it() -> None:
    questions = Questions(lambda uid: True)
    questions.begin(NAME)
    questions.ask(NAME, "1", "x")
    assert questions.end(NAME) is False
    assert questions.waits(NAME, "1", "x")
    questions.begin(NAME)
    assert questions.waits(NAME, "1", "x")
    assert questions.end(NAME) is True
    assert (questions.waits(NAME, "1", "x"), questions.knows(NAME, "1", "x")) == (False, True)


def test_who_joins_is_answered_with_the_others() -> None:
    questions = Questions(lambda uid: True)
    questions.join(NAME, "1", "x")
    assert not questions.knows(NAME, "1", "x"), "there is no pass to join"
    questions.ask(NAME, "1", "x")
    questions.join(NAME, "2", "y")
    questions.begin(NAME)
    questions.join(NAME, "3", "z")
    assert questions.end(NAME)
    assert not any(questions.waits(NAME, uid, mark) for uid, mark in (("1", "x"), ("2", "y"), ("3", "z")))


def test_a_later_mark_takes_the_place_of_the_earlier_and_other_secrets_have_their_own() -> None:
    questions = Questions(lambda uid: True)
    questions.ask(NAME, "1", "x")
    questions.ask(NAME, "1", "y")
    assert (questions.knows(NAME, "1", "x"), questions.waits(NAME, "1", "y")) == (False, True)
    questions.begin(OTHER)
    questions.end(OTHER)
    assert questions.waits(NAME, "1", "y")


def test_credentials_that_are_gone_are_forgotten() -> None:
    live = {"1", "2"}
    questions = Questions(live.__contains__)
    for uid in sorted(live):
        questions.ask(NAME, uid, "x")
    questions.begin(NAME)
    questions.end(NAME)
    live.remove("1")
    questions.begin(NAME)
    questions.end(NAME)
    assert (questions.knows(NAME, "1", "x"), questions.knows(NAME, "2", "x")) == (False, True)
