"""Reading many secrets, twenty a call, without letting one bad secret spoil the others.

A batch normally answers each secret on its own. Some refusals hit the whole call, though: an endpoint policy that
denies one secret, an id that does not validate, or a role without the batch permission. Then the batch is halved;
a small remainder is read secret by secret, which is cheap because single reads have by far the larger quota. Who is
refused alone goes into quarantine and is read alone for an hour; if nobody is, it is the batch itself that is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from tolstoy_operator.domain.errors import AccessDenied, IdentityRefused, InvalidRequest, StoreError, StoreUnavailable
from tolstoy_operator.stores.base import SecretVersion

BATCH_SIZE = 20
_SINGLES = 5
_QUARANTINE = 3_600.0
_BATCH_PAUSE = 600.0
_FAILURES_IN_A_ROW = 3

Answer = SecretVersion | StoreError
Answers = dict[str, Answer]


class BatchReader:
    """Reads current versions through `batch` (up to 20 names) and `single`.

    `batch` may raise for the whole call and may leave names out. `concurrency`: groups read at the same time. `clock`:
    seconds.
    """

    def __init__(
        self,
        *,
        batch: Callable[[Sequence[str]], Awaitable[Mapping[str, Answer]]],
        single: Callable[[str], Awaitable[SecretVersion]],
        concurrency: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._batch = batch
        self._single = single
        self._concurrency = concurrency
        self._clock = clock
        self._quarantine: dict[str, float] = {}
        self._batch_refused_until = float("-inf")

    async def read(self, names: Iterable[str]) -> Answers:
        """An answer for every name."""
        now = self._clock()
        self._quarantine = {name: until for name, until in self._quarantine.items() if until > now}
        unique = list(dict.fromkeys(names))
        suspects = [name for name in unique if name in self._quarantine]
        clean = [name for name in unique if name not in self._quarantine]
        slots, outage = asyncio.Semaphore(self._concurrency), _Outage()

        async def read_group(group: Sequence[str]) -> Answers:
            async with slots:
                return await self._with_outage(group, outage)

        groups = [group[i : i + BATCH_SIZE] for group in (clean, suspects) for i in range(0, len(group), BATCH_SIZE)]
        parts = await asyncio.gather(*map(read_group, groups))
        return {name: answer for part in parts for name, answer in part.items()}

    async def _with_outage(self, names: Sequence[str], outage: _Outage) -> Answers:
        if outage.error is None:
            try:
                answers = await self._group(names)
            except StoreError as error:
                outage.failed(error, general=isinstance(error, IdentityRefused))
                return {name: _about(name, error) for name in names}
            outage.succeeded()
            return answers
        return {name: _about(name, outage.error) for name in names}

    async def _group(self, names: Sequence[str]) -> Answers:
        alone = len(names) == 1 or names[0] in self._quarantine or self._clock() < self._batch_refused_until
        if alone:
            return await self._one_by_one(names)
        with contextlib.suppress(AccessDenied, InvalidRequest):  # of one of them, perhaps
            answers = await self._batch(names)
            return {name: answers.get(name) or StoreUnavailable(name, "left unanswered in a batch") for name in names}
        if len(names) <= _SINGLES:
            return await self._find_culprits(names)
        half = len(names) // 2
        return {**await self._group(names[:half]), **await self._group(names[half:])}

    async def _find_culprits(self, names: Sequence[str]) -> Answers:
        answers = await self._one_by_one(names)
        now = self._clock()
        culprits = [name for name, answer in answers.items() if isinstance(answer, (AccessDenied, InvalidRequest))]
        self._quarantine.update(dict.fromkeys(culprits, now + _QUARANTINE))
        if not culprits and any(isinstance(answer, SecretVersion) for answer in answers.values()):
            self._batch_refused_until = now + _BATCH_PAUSE
        return answers

    async def _one_by_one(self, names: Sequence[str]) -> Answers:
        return dict(zip(names, await asyncio.gather(*map(self._try_single, names)), strict=True))

    async def _try_single(self, name: str) -> Answer:
        try:
            return await self._single(name)
        except StoreError as error:
            return error


class _Outage:
    """Groups that failed as a whole, one after the other: then the rest is not asked, it would only wait longer."""

    def __init__(self) -> None:
        self.error: StoreError | None = None
        self._in_a_row = 0

    def failed(self, error: StoreError, *, general: bool) -> None:
        self._in_a_row += 1
        if general or self._in_a_row >= _FAILURES_IN_A_ROW:
            self.error = error

    def succeeded(self) -> None:
        self._in_a_row = 0


def _about(name: str, error: StoreError) -> StoreError:
    return type(error)(name, error.cause)
