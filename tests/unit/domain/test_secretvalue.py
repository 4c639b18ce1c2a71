"""A secret text shows itself nowhere but where it is asked to."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tolstoy_operator.domain.secretvalue import MASK, SecretValue

CANARY = "canary-5ecret"


@dataclass
class Holder:
    value: SecretValue


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        "{:>20}".format,
        "{!r}".format,
        "%s".__mod__,
        lambda value: f"{value}",
        lambda value: repr(Holder(value)),
    ],
)
def test_whoever_shows_it_gets_a_mask(show: Callable[[object], str]) -> None:
    shown = show(SecretValue(CANARY))
    assert MASK in shown
    assert CANARY not in shown


@pytest.mark.parametrize("store", [pickle.dumps, json.dumps])
def test_it_is_not_serialised(store: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match="serial"):
        store(SecretValue(CANARY))


def test_logs_hold_a_mask(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger(__name__).warning("it is %s, or %r", SecretValue(CANARY), Holder(SecretValue(CANARY)))
    assert MASK in caplog.text
    assert CANARY not in caplog.text


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_is_the_same(copied: Callable[[SecretValue], SecretValue]) -> None:
    value = SecretValue(CANARY)
    assert copied(value) is value
    assert value.reveal() == CANARY


def test_equality_is_that_of_the_texts() -> None:
    assert SecretValue("a\ud800") == SecretValue("a\ud800")
    assert SecretValue("a\ud800") != SecretValue("a\ud801")
    assert SecretValue("a") != "a"
    assert (len(SecretValue("ab")), bool(SecretValue(""))) == (2, False)


def test_it_is_no_key_of_a_dictionary() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        {SecretValue(CANARY)}
