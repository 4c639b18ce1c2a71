"""Having the kubelets look at a changed Secret at once, by a touch of the pods that mount it.

It stands beside the syncs and never in their way: a sync leaves word that a Secret has changed, and goes on. What fails
here is tried a few times and then left to the kubelets, which look by themselves within a minute or two.

Its cost is bounded. Pods are listed only when something has changed, once for all changes of a namespace that come
together, and a namespace that takes long to list is not listed again for as long; the touches share one rate. A
namespace with many pods gives a few of them at a time, so that it doesn't keep the others waiting.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from tolstoy_operator.domain.propagation import Touch, is_immediate, touches
from tolstoy_operator.domain.refresh import OldAccessToken
from tolstoy_operator.engine.change import Change
from tolstoy_operator.engine.inventory import Inventory
from tolstoy_operator.engine.records import Credential
from tolstoy_operator.engine.workqueue import Priority, WorkQueue
from tolstoy_operator.kube.errors import Forbidden, KubeError, NotFound, Unprocessable
from tolstoy_operator.kube.pods import PodsApi
from tolstoy_operator.stores.ratelimit import TokenBucket

_log = logging.getLogger(__name__)

SETTLE: Final = 0.1
"""Seconds between a change and the list of pods. Changes that come together share one list, and the kubelets' watches
of the Secret are ahead of the touch: a kubelet that looks before it has the change would not look again.
"""
RETRY_PAUSES: Final = (1.0, 5.0, 15.0)
"""Seconds before each further try; a later one would not be ahead of the kubelets."""
_WORKERS: Final = 16
_AT_A_TIME: Final = 8

OnTouch = Callable[[str, float], None]
"""Told of each touch: its outcome ("ok" or an error class), and the seconds since the Secret changed."""


@dataclass(frozen=True, slots=True)
class _Change:
    """A Secret has got this resourceVersion, at that moment (monotonic seconds)."""

    version: int
    at: float


class Propagator:
    """Touches pods whose credential wants its changes seen at once.

    `old_token`: what a refresh of an upstream secret does to the token in use. `bucket`: the rate of all touches.
    """

    def __init__(
        self,
        *,
        inventory: Inventory,
        pods: PodsApi,
        queue: WorkQueue,
        bucket: TokenBucket,
        old_token: Callable[[str], OldAccessToken],
        on_touch: OnTouch,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._inventory = inventory
        self._pods = pods
        self._queue = queue
        self._bucket = bucket
        self._old_token = old_token
        self._on_touch = on_touch
        self._clock = clock
        self._sleep = sleep
        self._changes: defaultdict[str, dict[str, _Change]] = defaultdict(dict)
        self._failures: Counter[str] = Counter()

    def data_changed(self, credential: Credential, change: Change) -> None:
        """The data of a credential's Secret has changed."""
        spec, upstream = credential.spec, credential.upstream
        secret = self._inventory.secret(credential.target) if credential.target else None
        if spec is None or upstream is None or secret is None:
            return
        if is_immediate(spec, change.found, self._old_token(upstream)):
            self._changes[secret.namespace][secret.name] = _Change(secret.version, self._clock())
            self._queue.add(_key(secret.namespace), Priority.CHANGE)

    async def run(self) -> None:
        """Touch pods whenever a Secret has changed, until `stop`. Returns when the touches in hand are finished."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_WORKERS):
                group.create_task(self._work())

    def stop(self) -> None:
        """Begin nothing more; what is left is left to the kubelets."""
        self._queue.close()

    async def _work(self) -> None:
        while (key := await self._queue.get()) is not None:
            pause = None
            try:
                await self._sleep(SETTLE)
                pause = await self._tell(key[0])
            except Exception:
                _log.exception("pods not touched", extra={"namespace": key[0]})
            finally:
                self._queue.done(key)
            if pause is not None:
                self._queue.schedule(key, pause)

    async def _tell(self, namespace: str) -> float | None:
        """Touch the pods of a namespace. Returns seconds until the next try, None when there is nothing more to do."""
        changes = self._changes.pop(namespace, {})
        if not changes:
            return None
        whole, started = True, self._clock()
        try:
            found = await self._list(namespace, changes)
            listed = self._clock()
            for start in range(0, len(found), _AT_A_TIME):
                batch = (self._touch(namespace, each, changes) for each in found[start : start + _AT_A_TIME])
                whole = all(await asyncio.gather(*batch)) and whole
            await self._sleep(listed - started)
        except KubeError as error:
            _log.warning("pods not listed: %s", error, extra={"namespace": namespace})
            self._on_touch(type(error).__name__, self._clock() - started)
            whole = isinstance(error, Forbidden)  # asking again changes no rights
        return self._after(namespace, changes, whole=whole)

    async def _list(self, namespace: str, changes: dict[str, _Change]) -> list[Touch]:
        versions = {name: change.version for name, change in changes.items()}
        return [touch async for page in self._pods.running(namespace) for touch in touches(page, versions)]

    async def _touch(self, namespace: str, touch: Touch, changes: dict[str, _Change]) -> bool:
        """Returns whether there is nothing to try again."""
        await self._bucket.acquire()
        outcome, lasting = "ok", False
        try:
            await self._pods.touch(namespace, touch)
        except NotFound:
            return True  # the pod is gone
        except KubeError as error:
            outcome, lasting = type(error).__name__, isinstance(error, (Forbidden, Unprocessable))
            _log.warning("pod not touched: %s", error, extra={"namespace": namespace, "pod": touch.name})
        since = max(change.at for change in changes.values() if change.version == touch.version)
        self._on_touch(outcome, self._clock() - since)
        return outcome == "ok" or lasting

    def _after(self, namespace: str, changes: dict[str, _Change], *, whole: bool) -> float | None:
        if whole:
            del self._failures[namespace]
            return None
        self._failures[namespace] += 1
        if self._failures[namespace] > len(RETRY_PAUSES):
            del self._failures[namespace]
            return None
        self._changes[namespace] = {**changes, **self._changes[namespace]}
        return RETRY_PAUSES[self._failures[namespace] - 1]


def _key(namespace: str) -> tuple[str, str]:
    return namespace, ""
