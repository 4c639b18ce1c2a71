"""How long the Secret of a namespace that lost its binding stays.

Unbinding stops the mirror at once; the Secret goes after a grace, so that a slip can be taken back. When many bindings
go at the same time, it is taken for a mistake (a bad template rolled out over all namespaces), and nothing is
withdrawn until enough of them are back or their credentials are gone.
"""

from __future__ import annotations

from collections.abc import Callable

from tolstoy_operator.domain.tenancy import unbinding_is_suspicious
from tolstoy_operator.engine.inventory import Credential, Inventory

_Pair = tuple[str, str]


class Unbound:
    """Remembers since when credentials with a Secret are unbound. `clock`: monotonic seconds; `grace`: seconds."""

    def __init__(self, inventory: Inventory, *, clock: Callable[[], float], grace: float) -> None:
        self._inventory = inventory
        self._clock = clock
        self._grace = grace
        self._since: dict[str, tuple[float, _Pair]] = {}

    def bound(self, credential: Credential) -> None:
        """The credential's namespace is bound (again)."""
        self._since.pop(credential.uid, None)

    def forget(self, uid: str) -> None:
        """The credential is gone."""
        self._since.pop(uid, None)

    def seconds_left(self, credential: Credential) -> float:
        """Seconds until its Secret is withdrawn; 0 when it is time."""
        since, _ = self._since.setdefault(credential.uid, (self._clock(), _pair(credential)))
        return max(0.0, since + self._grace - self._clock())

    def held(self) -> bool:
        """Whether so many bindings are gone that nothing is withdrawn."""
        lost = {pair for _, pair in self._since.values()}
        bound = sum(1 for pair in {_pair(item) for item in self._inventory.credentials()} if self._is_bound(pair))
        return unbinding_is_suspicious(len(lost), bound + len(lost))

    def _is_bound(self, pair: _Pair) -> bool:
        namespace = self._inventory.namespace(pair[0])
        return namespace is not None and pair[1] in namespace.binding.orgs | namespace.binding.secrets


def _pair(credential: Credential) -> _Pair:
    spec = credential.spec
    return credential.key[0], (spec.org_id or spec.secret_name or "") if spec else ""
