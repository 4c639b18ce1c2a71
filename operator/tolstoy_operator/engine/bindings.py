"""How long the Secret of a namespace that lost its binding stays.

Unbinding stops the mirror at once; the Secret goes after a grace, so that a slip can be taken back. When many bindings
go at the same time, it is taken for a mistake (a bad template rolled out over all namespaces), and nothing is
withdrawn until enough of them are back or their credentials are gone.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from tolstoy_operator.domain.tenancy import unbinding_is_suspicious
from tolstoy_operator.engine.inventory import Inventory
from tolstoy_operator.engine.records import Credential

_log = logging.getLogger(__name__)

HELD_PAUSE = 60.0
"""Seconds between looks at a withdrawal that is held back."""
_JUDGEMENT_LASTS = 1.0

_Pair = tuple[str, str]


class Unbound:
    """Remembers since when credentials with a Secret are unbound. `clock`: monotonic seconds; `grace`: seconds."""

    def __init__(self, inventory: Inventory, *, clock: Callable[[], float], grace: float) -> None:
        self._inventory = inventory
        self._clock = clock
        self._grace = grace
        self._since: dict[str, tuple[float, _Pair]] = {}
        self._judged_at = -math.inf
        self._held = False

    def bound(self, credential: Credential) -> None:
        """The credential's namespace is bound (again)."""
        self._since.pop(credential.uid, None)

    def forget(self, uid: str) -> None:
        """The credential is gone, or has no Secret any more."""
        self._since.pop(uid, None)

    def seconds_left(self, credential: Credential) -> float:
        """Seconds until there is something to decide about its Secret; 0 when it is to be withdrawn now."""
        since, _ = self._since.setdefault(credential.uid, (self._clock(), _pair(credential)))
        left = max(0.0, since + self._grace - self._clock())
        return HELD_PAUSE if left == 0 and self.held() else left

    def held(self) -> bool:
        """Whether so many bindings are gone that nothing is withdrawn. All credentials are counted once a second."""
        if self._clock() - self._judged_at >= _JUDGEMENT_LASTS:
            self._judged_at = self._clock()
            before, self._held = self._held, self._judge()
            if self._held and not before:
                _log.error(
                    "more than a tenth of all bindings went at once: no Secret is withdrawn until they are back, or "
                    "their credentials are deleted"
                )
            elif before and not self._held:
                _log.warning("bindings are back: Secrets of namespaces that are not bound are withdrawn again")
        return self._held

    def _judge(self) -> bool:
        self._since = {uid: entry for uid, entry in self._since.items() if self._inventory.is_live(uid)}
        if not self._since:
            return False
        lost = {pair for _, pair in self._since.values()}
        bound = {_pair(item) for item in self._inventory.credentials() if self._is_bound(item)}
        return unbinding_is_suspicious(len(lost), len(bound | lost))

    def _is_bound(self, credential: Credential) -> bool:
        namespace = self._inventory.namespace(credential.key[0])
        return namespace is not None and credential.spec is not None and namespace.binding.allows(credential.spec)


def _pair(credential: Credential) -> _Pair:
    spec = credential.spec
    return credential.key[0], (spec.org_id or spec.secret_name or "") if spec else ""
