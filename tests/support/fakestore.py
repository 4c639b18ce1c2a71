"""An in-memory secret store with the label rules of Secrets Manager, faults on request, and a record of all calls.

It passes the conformance suite of the real stores.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tolstoy_operator.domain.errors import (
    AlreadyExists,
    InvalidRequest,
    LabelMoved,
    SecretNotFound,
    SecretPendingDeletion,
    StoreError,
)
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.stores.base import (
    CURRENT,
    PREVIOUS,
    SecretDescription,
    SecretListing,
    SecretVersion,
    VersionInfo,
    check_value,
)

_NAME = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")

Content = str | Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the Protocol, as it arrived. `names` is empty for calls about no secret in particular."""

    operation: str
    names: tuple[str, ...] = ()


@dataclass(slots=True)
class _Secret:
    arn: str
    values: dict[str, SecretValue | None] = field(default_factory=dict)
    created: dict[str, float] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    changed_at: float = 0.0
    pending_deletion: bool = False


@dataclass(slots=True)
class _Fault:
    operation: str
    error: type[StoreError]
    name: str | None
    left: float


class FakeStore:
    """A `SecretStore`. `wall`: epoch seconds that new versions are stamped with."""

    def __init__(self, *, wall: Callable[[], float] = lambda: 0.0) -> None:
        self.calls: list[Call] = []
        self._wall = wall
        self._secrets: dict[str, _Secret] = {}
        self._faults: list[_Fault] = []
        self._gates: dict[str, asyncio.Event] = {}
        self._lagging: dict[str, str] = {}
        self._ids = itertools.count(1)

    @property
    def region(self) -> str:
        return "local"

    # What a test does behind the back of the code under test.

    def write(self, name: str, content: Content, *, version_id: str | None = None) -> str:
        """Somebody else makes a new current version: a text, an object to dump as JSON, or None for a binary value."""
        value = _value(content)
        chosen = version_id or f"00000000-0000-4000-8000-{next(self._ids):012d}"
        secret = self._secrets.setdefault(name, _Secret(arn=f"arn:fake:{name}"))
        self._add(secret, chosen, value)
        self._attach(secret, CURRENT, chosen)
        return chosen

    def read(self, name: str) -> str:
        """The current text, whatever faults are set."""
        secret = self._secrets[name]
        value = secret.values[secret.labels[CURRENT]]
        assert value is not None
        return value.reveal()

    def remove(self, name: str) -> None:
        """Somebody else deletes the secret for good."""
        del self._secrets[name]

    def schedule_deletion(self, name: str, *, pending: bool = True) -> None:
        """Somebody else deletes the secret with a recovery window, or restores it."""
        self._secrets[name].pending_deletion = pending
        self._secrets[name].changed_at = self._wall()

    def fail(
        self, operation: str, error: type[StoreError], *, name: str | None = None, times: float = float("inf")
    ) -> None:
        """Let `operation` fail, for one secret or for all, `times` times. In `get_many` a named fault is one answer."""
        self._faults.append(_Fault(operation, error, name, times))

    def heal(self) -> None:
        """Take all faults and delays back."""
        self._faults.clear()
        self._lagging.clear()

    def hold(self, operation: str) -> asyncio.Event:
        """Let calls of `operation` wait until the event is set. They are recorded, and see what is there afterwards."""
        self._gates[operation] = asyncio.Event()
        return self._gates[operation]

    def hold_no_more(self, operation: str) -> None:
        """Let further calls pass. Those that wait go on waiting for their event."""
        del self._gates[operation]

    def lag(self, name: str, version_id: str) -> None:
        """Reads of the current version show `version_id`, until `heal`: eventual consistency."""
        self._lagging[name] = version_id

    def count(self, *operations: str) -> int:
        """How many calls of these operations arrived."""
        return sum(call.operation in operations for call in self.calls)

    # The Protocol.

    async def get(self, name: str, *, version_id: str | None = None, label: str | None = CURRENT) -> SecretVersion:
        await self._arrive("get", name)
        return self._version(name, version_id, label)

    async def get_many(self, names: Sequence[str]) -> Mapping[str, SecretVersion | StoreError]:
        await self._arrive("get_many", *names, only_whole_call=True)
        answers: dict[str, SecretVersion | StoreError] = {}
        for name in names:
            try:
                self._raise_fault("get_many", name)
                answers[name] = self._version(name, None, CURRENT)
            except StoreError as error:
                answers[name] = error
        return answers

    async def describe(self, name: str) -> SecretDescription:
        await self._arrive("describe", name)
        secret = self._secret(name)
        return SecretDescription(name, secret.arn, dict(secret.labels), secret.pending_deletion)

    async def list_versions(self, name: str) -> Sequence[VersionInfo]:
        await self._arrive("list_versions", name)
        secret = self._secret(name)
        return [VersionInfo(id_, _labels_of(secret, id_), secret.created[id_]) for id_ in secret.values]

    async def list_changed(self, *, prefix: str, since: float | None) -> AsyncIterator[SecretListing]:
        await self._arrive("list_changed")
        latest_first = sorted(self._secrets.items(), key=lambda item: item[1].changed_at, reverse=True)
        for name, secret in latest_first:
            if since is not None and secret.changed_at < since:
                return
            if name.startswith(prefix):
                current, previous = secret.labels.get(CURRENT), secret.labels.get(PREVIOUS)
                yield SecretListing(name, secret.arn, current, previous, secret.changed_at, secret.pending_deletion)

    async def create(self, name: str, value: SecretValue, *, version_id: str) -> str:
        await self._arrive("create", name)
        if not _NAME.fullmatch(name):
            raise InvalidRequest(name[:64], "no name for a secret")
        check_value(name, value)
        existing = self._secrets.get(name)
        if existing is None:
            return self.write(name, value.reveal(), version_id=_checked_id(name, version_id))
        if existing.pending_deletion:
            raise SecretPendingDeletion(name, "a secret of this name is scheduled for deletion")
        if existing.values.get(version_id) != value:
            raise AlreadyExists(name, "the secret exists")
        return version_id

    async def put(self, name: str, value: SecretValue, *, version_id: str, labels: Sequence[str] = (CURRENT,)) -> None:
        await self._arrive("put", name)
        check_value(name, value)
        secret = self._unlocked(name)
        if version_id in secret.values:
            if secret.values[version_id] != value:
                raise AlreadyExists(name, "the version exists with another value")
            return
        if not labels:
            raise InvalidRequest(name, "a version needs a label")
        self._add(secret, _checked_id(name, version_id), value)
        for label in labels:
            self._attach(secret, label, version_id)

    async def move_label(self, name: str, label: str, *, from_version: str | None, to_version: str | None) -> None:
        await self._arrive("move_label", name)
        secret = self._unlocked(name)
        at = secret.labels.get(label)
        if to_version is not None and to_version not in secret.values:
            raise SecretNotFound(name, "no such version")
        if at == to_version:
            return
        if at != from_version:
            raise LabelMoved(name, "the label is elsewhere")
        if to_version is not None:
            self._attach(secret, label, to_version)
        elif label == CURRENT:
            raise InvalidRequest(name, "the current label can only move")
        else:
            del secret.labels[label]
            secret.changed_at = self._wall()

    async def take_label(self, name: str, label: str, *, from_version: str) -> bool | None:
        await self._arrive("take_label", name)
        secret = self._unlocked(name)
        if label == CURRENT or secret.labels.get(label) != from_version:
            return False
        del secret.labels[label]
        secret.changed_at = self._wall()
        return True

    async def validate_access(self) -> None:
        await self._arrive("validate_access")

    async def close(self) -> None:
        await self._arrive("close")

    async def _arrive(self, operation: str, *names: str, only_whole_call: bool = False) -> None:
        self.calls.append(Call(operation, names))
        if operation in self._gates:
            await self._gates[operation].wait()
        else:
            await asyncio.sleep(0)  # a real store always lets others run
        self._raise_fault(operation, None if only_whole_call else (names or (None,))[0])

    def _raise_fault(self, operation: str, name: str | None) -> None:
        for fault in self._faults:
            if fault.operation == operation and fault.left > 0 and fault.name in (None, name):
                fault.left -= 1
                raise fault.error(name or "*", "scripted fault")

    def _secret(self, name: str) -> _Secret:
        if name not in self._secrets:
            raise SecretNotFound(name, "no such secret")
        return self._secrets[name]

    def _unlocked(self, name: str) -> _Secret:
        secret = self._secret(name)
        if secret.pending_deletion:
            raise SecretPendingDeletion(name, "the secret is scheduled for deletion")
        return secret

    def _version(self, name: str, version_id: str | None, label: str | None) -> SecretVersion:
        secret = self._unlocked(name)
        chosen = version_id
        if label is not None:
            labelled = secret.labels.get(label)
            if version_id is None and label == CURRENT:
                labelled = self._lagging.get(name, labelled)
            if labelled is None or version_id not in (None, labelled):
                raise SecretNotFound(name, "no version under the label")
            chosen = labelled
        if chosen is None or chosen not in secret.values:
            raise SecretNotFound(name, "no such version")
        labels = _labels_of(secret, chosen)
        return SecretVersion(name, secret.arn, chosen, labels, secret.values[chosen], secret.created[chosen])

    def _add(self, secret: _Secret, version_id: str, value: SecretValue | None) -> None:
        secret.values[version_id] = value
        secret.created[version_id] = secret.changed_at = self._wall()

    def _attach(self, secret: _Secret, label: str, version_id: str) -> None:
        before = secret.labels.get(label)
        secret.labels[label] = version_id
        secret.changed_at = self._wall()
        if label == CURRENT and before not in (None, version_id):
            secret.labels[PREVIOUS] = str(before)


def _value(content: Content) -> SecretValue | None:
    if content is None:
        return None
    return SecretValue(content if isinstance(content, str) else json.dumps(content))


def _labels_of(secret: _Secret, version_id: str) -> frozenset[str]:
    return frozenset(label for label, at in secret.labels.items() if at == version_id)


def _checked_id(name: str, version_id: str) -> str:
    if not 32 <= len(version_id) <= 64:
        raise InvalidRequest(name, "a version id has 32 to 64 characters")
    return version_id
