"""What one reconciliation has found out so far. It is reported even when a later step fails."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tolstoy_operator.api.v1 import CredentialType, GrantState, GrantStatus, UpstreamStatus
from tolstoy_operator.domain.grant import grant_status
from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.status import Finding
from tolstoy_operator.engine.grant import Grant


@dataclass(slots=True)
class Learned:
    """Facts and findings.

    `at`: the one moment at which it judges everything. `withdraw_in`: seconds, for an unbound credential with a Secret.
    `departure`: what has to be said about a revocation that was asked for. `document`, `known`: of an OAuth grant.
    """

    at: datetime
    upstream: UpstreamStatus | None = None
    credential_type: CredentialType | None = None
    written: bool = False
    withdraw_in: float | None = None
    departure: Finding | None = None
    document: OAuthDocument | None = None
    known: Grant | None = None

    @property
    def grant(self) -> GrantStatus | None:
        """What the status says of it: all that is known now, also of a look that ended while the Secret was written."""
        if self.document is not None and self.known is not None:
            return grant_status(
                self.document,
                now=self.at.timestamp(),
                due_at=self.known.due_at,
                trouble=self.known.trouble,
                consent_ends=self.known.consent_ends,
                alive=self.known.check.alive,
            )
        other = self.credential_type not in (None, CredentialType.OAUTH2)
        return GrantStatus(state=GrantState.NOT_APPLICABLE) if other else None

    @property
    def consent_ends(self) -> float | None:
        """When the consent ends, epoch seconds."""
        return self.known.consent_ends if self.known is not None else None
