"""Where the demo does not hold, a newcomer is told why, by what failed and by the operator's log."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from dev.demo import __main__ as demo
from dev.demo import story, tokens


class FakeOperator:
    port = 0

    def tail(self) -> str:
        return "the last line of its log"


class FakeTestbed:
    """Has an operator that does nothing."""

    @contextlib.contextmanager
    def operator(self, **_settings: str) -> Iterator[FakeOperator]:
        yield FakeOperator()


class FakeProvider:
    def settings(self) -> dict[str, str]:
        return {}


def failed_kubectl() -> subprocess.CalledProcessError:
    error = subprocess.CalledProcessError(1, ["kubectl", "wait", "tc", "--all"])
    error.add_note("error: timed out waiting for the condition on toolcredentials/github")
    return error


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo without its parts: the story alone decides what happens."""
    monkeypatch.setattr(demo, "Testbed", lambda: contextlib.nullcontext(FakeTestbed()))
    monkeypatch.setattr(tokens, "provider", lambda: contextlib.nullcontext(FakeProvider()))
    monkeypatch.setattr("signal.signal", lambda *_: None)
    for chapters in (story, tokens):
        monkeypatch.setattr(chapters, "seed", lambda *_: None)
        monkeypatch.setattr(chapters, "tell", lambda *_: None)


@pytest.mark.usefixtures("parts")
class TestFailure:
    @pytest.mark.parametrize(
        ("error", "causes"),
        [
            (AssertionError("not within 20 s: the Secret is back"), ["the Secret is back"]),
            (failed_kubectl(), ["'kubectl', 'wait'", "timed out waiting for the condition"]),
        ],
        ids=["check", "kubectl"],
    )
    def test_of_a_step(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, causes: list[str]
    ) -> None:
        monkeypatch.setattr(story, "tell", raising(error))
        assert demo.main() == 1
        shown = capsys.readouterr()
        assert "All of it held" not in shown.out
        for words in ("FAILED", *causes, "the last line of its log"):
            assert words in shown.err

    def test_before_the_story(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setattr(tokens, "seed", raising(failed_kubectl()))
        assert demo.main() == 1
        assert "timed out waiting for the condition" in capsys.readouterr().err

    def test_of_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert demo.main() == 0
        shown = capsys.readouterr()
        assert "All of it held" in shown.out
        assert shown.err == ""


def raising(error: Exception) -> Any:
    def fail(*_: object) -> None:
        raise error

    return fail
