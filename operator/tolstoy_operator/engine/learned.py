"""What one reconciliation has found out so far. It is reported even when a later step fails."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tolstoy_operator.api.v1 import CredentialType, GrantStatus, UpstreamStatus
from tolstoy_operator.domain.status import Finding
from tolstoy_operator.engine.grant import Grant


@dataclass(slots=True)
class Learned:
    """Facts and findings.

    `at`: the one moment at which it judges everything. `withdraw_in`: seconds, for an unbound credential with a Secret.
    `departure`: what has to be said about a revocation that was asked for. `known`: of an OAuth grant.
    """

    at: datetime
    upstream: UpstreamStatus | None = None
    credential_type: CredentialType | None = None
    grant: GrantStatus | None = None
    written: bool = False
    withdraw_in: float | None = None
    departure: Finding | None = None
    known: Grant | None = None

    @property
    def consent_ends(self) -> float | None:
        """When the consent ends, epoch seconds."""
        return self.known.consent_ends if self.known is not None else None
