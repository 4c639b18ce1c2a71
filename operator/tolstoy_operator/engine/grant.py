"""What one process knows of one grant."""

from __future__ import annotations

from dataclasses import dataclass, field

from tolstoy_operator.api.reasons import LOST_REASONS, Reason
from tolstoy_operator.domain.grant import Trouble
from tolstoy_operator.engine.checks import Check


@dataclass(slots=True)
class Grant:
    """What is known of the tokens in one version of an upstream secret. Times in epoch seconds.

    `due_at`: when to refresh them; None when nobody knows when they end, or nothing can be done. `failures`: refreshes
    that failed in a row. `probes`: tries since the provider's refusal was believed. `looked`: whether this process has
    found out what the protocol knows of it; `awaited`: somebody waits for that. `lead`: what its users want (see
    `TokenService.due_at`). `consent_ends`: whatever is done; None when it does not, or nobody knows. `unusable`: why a
    workload cannot use the access token, empty when it can. `check`: what its provider said of it.
    `commanded_at`: when a person asked for a refresh that was begun; `commands`: how often again, in trouble.
    """

    arn: str
    version: str
    expires_at: float | None
    due_at: float | None
    trouble: Trouble | None = None
    failures: int = 0
    probes: int = 0
    looked: bool = False
    awaited: bool = False
    lead: float | None = None
    consent_ends: float | None = None
    commanded_at: float | None = None
    commands: int = 0
    unusable: str = ""
    check: Check = field(default_factory=Check)

    @property
    def failing(self) -> bool:
        """Whether refreshes fail, for a reason that may pass by itself."""
        return self.failures > 0 and self.trouble is not None and self.trouble.reason is Reason.REFRESH_FAILING

    def has_ended(self, now: float) -> bool:
        """Whether the access token is over. `now`: epoch seconds."""
        return self.expires_at is not None and self.expires_at <= now


def same_or(before: Trouble | None, now: Trouble | None) -> Trouble | None:
    """The same trouble keeps the moment at which it began."""
    if before is not None and now is not None and (before.reason, before.cause) == (now.reason, now.cause):
        return before
    return now


def is_final(trouble: Trouble | None) -> bool:
    """Whether only a new consent helps."""
    return trouble is not None and trouble.reason in LOST_REASONS


def is_hopeful(trouble: Trouble | None) -> bool:
    """Whether the operator itself is at it."""
    return trouble is None or trouble.reason is Reason.REFRESH_FAILING
