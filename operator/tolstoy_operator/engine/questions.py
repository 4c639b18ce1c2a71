"""Force-syncs that wait for a refresh: each is answered by a pass that ends after it was asked.

A question is a credential and the mark that a person gave it. Nothing is kept beyond this process: its successor finds
the mark without an acknowledgement and asks anew.
"""

from __future__ import annotations

from collections.abc import Callable

_Marks = dict[str, str]
"""The latest question of each credential: marks by UID."""


class Questions:
    """Questions by the name of their upstream secret. `is_live`: whether there is a credential with that UID."""

    def __init__(self, is_live: Callable[[str], bool]) -> None:
        self._is_live = is_live
        self._next: dict[str, _Marks] = {}
        self._running: dict[str, _Marks] = {}
        self._answered: dict[str, _Marks] = {}

    def ask(self, name: str, uid: str, mark: str) -> None:
        """For the pass that begins next."""
        self._next.setdefault(name, {})[uid] = mark

    def join(self, name: str, uid: str, mark: str) -> None:
        """For a pass that others have asked for or that runs already; not asked where there is none."""
        marks = self._next.get(name, self._running.get(name))
        if marks is not None:
            marks[uid] = mark

    def waits(self, name: str, uid: str, mark: str) -> bool:
        """Whether it was asked and is not answered."""
        return any(marks.get(name, {}).get(uid) == mark for marks in (self._next, self._running))

    def knows(self, name: str, uid: str, mark: str) -> bool:
        """Whether it was asked, be it answered or not."""
        return self.waits(name, uid, mark) or self._answered.get(name, {}).get(uid) == mark

    def begin(self, name: str) -> None:
        """A pass begins; there is one at a time for a secret."""
        self._running[name] = self._next.pop(name, {})

    def end(self, name: str) -> bool:
        """The pass has ended, in whatever way. Returns whether anybody has waited for it."""
        asked = self._running.pop(name, {})
        answered = {**self._answered.pop(name, {}), **asked}
        answered = {uid: mark for uid, mark in answered.items() if self._is_live(uid)}
        if answered:
            self._answered[name] = answered
        return bool(asked)
