"""What one replica's protocol is made of, and what it remembers of each secret."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from tolstoy_operator.domain.elapsed import Sightings
from tolstoy_operator.domain.errors import LabelMoved
from tolstoy_operator.domain.oauthdocument import Scheme
from tolstoy_operator.domain.refresh import RefreshRules
from tolstoy_operator.domain.refreshids import REVOKING_LABEL
from tolstoy_operator.domain.refreshrecords import Fate
from tolstoy_operator.services.refresh.ledger import Ledger
from tolstoy_operator.services.refresh.ports import Clocks, Journal, Random, Step, no_step
from tolstoy_operator.services.refresh.view import View
from tolstoy_operator.stores.base import SecretStore


@dataclass(slots=True, kw_only=True)
class Parts:
    """One replica. `owner` names it to people; `cluster` names its cluster to the protocol, the same for all replicas.
    It may be set later than the rest, before the first pass.

    `exclusive`: this cluster alone refreshes. `sole_writer`: nobody else ever writes these secrets, so that one write
    commits a refresh.
    """

    store: SecretStore
    journal: Journal
    clocks: Clocks
    random: Random
    owner: str
    cluster: str
    rules: RefreshRules = field(default_factory=RefreshRules)
    exclusive: bool = False
    sole_writer: bool = False
    step: Step = no_step

    def owns(self, view: View) -> bool:
        """Whether this cluster is written down as the only one that refreshes."""
        return view.owner == self.cluster

    async def unmark(self, name: str, version: str) -> None:
        """Take the mark of a revocation off this version. Raises `StoreError`; that it stands elsewhere now is fine."""
        await self.step("unmark")
        with suppress(LabelMoved):
            await self.store.move_label(name, REVOKING_LABEL, from_version=version, to_version=None)

    def ledger(self, scheme: Scheme) -> Ledger:
        """Where attempts under this scheme are written down."""
        return Ledger(scheme, self.store, self.journal, cluster=self.cluster)


@dataclass(slots=True)
class Memory:
    """What this process knows about one refresh token and nobody else can know. Losing it costs time, never a token.

    `fates`: of attempts that it made, by nonce.
    """

    of: str
    fates: dict[str, Fate] = field(default_factory=dict)
    sightings: Sightings = field(default_factory=Sightings)
    refused: int = 0
