"""The table: what was counted, and what of it has no explanation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from dev.oauth.server import Family, State
from tests.chaos.ledger import Ledger
from tests.chaos.observer import Seen
from tests.chaos.world import TOOLS, Consent, Plan

_LATE = 0.5
"""An answer that is stored later than this part of the TTL counts as late: others may have taken over."""


@dataclass(frozen=True)
class Report:
    """Everything that a run is judged by.

    `expiries`: refresh tokens that were spent. `extra`: requests beyond one for a token; `lost`: families that the
    server revoked; both with those that no lost or late answer explains. `blamed`: new consents that were asked for as
    the user's fault. `gaps`: seconds without a valid token in a Secret, apart from those after a lost answer, and
    `longest_gap`, both by tool.
    """

    expiries: int
    requests: int
    extra: int
    extra_unexplained: int
    lost: int
    lost_unexplained: int
    told: int
    blamed: int
    looks: int
    gaps_after_loss: int
    gaps: Mapping[str, int]
    longest_gap: Mapping[str, float]
    harmed: int
    faults: Mapping[str, int]
    settled: bool

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        return self.settled and not (self.extra_unexplained or self.lost_unexplained or self.blamed)

    def table(self) -> str:
        """As in docs/reliability.md."""
        rows = [
            ("refresh tokens spent (expiries)", f"{self.expiries:,}"),
            ("token requests that carried one", f"{self.requests:,}"),
            ("requests beyond one per expiry", f"{self.extra}, unexplained {self.extra_unexplained}"),
            ("answers lost or late, by our faults", f"{self.harmed}"),
            ("families revoked", f"{self.lost}, unexplained {self.lost_unexplained}"),
            ("told as RotationResponseLost", f"{self.told}"),
            ("told as the user's fault", f"{self.blamed}"),
            ("Secrets looked at, once a second", f"{self.looks:,}"),
            ("of these without a valid token, after a lost answer", f"{self.gaps_after_loss}"),
            *(
                (
                    f"of these without a valid token, otherwise; provider: {tool}",
                    f"{count} (longest {self.longest_gap[tool]:.0f} s)",
                )
                for tool, count in self.gaps.items()
            ),
            ("everything well after the last fault", "yes" if self.settled else "NO"),
        ]
        lines = ["| counted | |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows)]
        faults = [
            "",
            "| fault | times |",
            "|---|---|",
            *(f"| {what} | {n} |" for what, n in sorted(self.faults.items())),
        ]
        return "\n".join([*lines, *faults])


def report(
    plan: Plan,
    consents: Mapping[str, list[Consent]],
    state: State,
    ledger: Ledger,
    seen: Seen,
    faults: Counter[str],
    *,
    settled: bool,
) -> Report:
    """Judge a run."""
    patience = _LATE * plan.ttl
    families = [
        (name, consent, state.families[consent.grant.id]) for name, given in consents.items() for consent in given
    ]

    def explained(name: str, consent: Consent) -> bool:
        # One lost answer explains several requests: the one that ended the grant, and those that confirmed the refusal.
        return bool(ledger.harmed(name, consent.given, consent.ended, patience))

    extra = [(_extra(family), explained(name, consent)) for name, consent, family in families]
    lost = [explained(name, consent) for name, consent, family in families if family.revoked]
    after_loss = [item for item in seen.invalid if _after_loss(item, consents, ledger, patience)]
    others = set(seen.invalid) - set(after_loss)
    by_tool = {tool: sorted((item for item in others if f"/{tool}/" in item[1]), key=_moment) for tool in TOOLS}
    return Report(
        expiries=sum(sum(1 for n in family.requests if n) for _, _, family in families),
        requests=sum(sum(family.requests) for _, _, family in families),
        extra=sum(count for count, _ in extra),
        extra_unexplained=sum(count for count, known in extra if not known),
        lost=len(lost),
        lost_unexplained=sum(not known for known in lost),
        told=sum(reason == "RotationResponseLost" for _, reason, _ in seen.asked),
        blamed=sum(reason == "ReauthorizationRequired" for _, reason, _ in seen.asked),
        looks=seen.looks,
        gaps_after_loss=len(after_loss),
        gaps={tool: len(items) for tool, items in by_tool.items()},
        longest_gap={tool: _longest(items) for tool, items in by_tool.items()},
        harmed=sum(attempt.harmed(patience) for attempts in ledger.attempts.values() for attempt in attempts),
        faults=faults + ledger.faults,
        settled=settled,
    )


def _extra(family: Family) -> int:
    return sum(max(0, n - 1) for n in family.requests)


def _after_loss(
    item: tuple[str, str, float], consents: Mapping[str, list[Consent]], ledger: Ledger, patience: float
) -> bool:
    """Whether an answer of the grant in question had been lost: until there is a new consent, nobody can help."""
    _, name, at = item
    return any(
        consent.given <= at and at < consent.ended + patience and ledger.harmed(name, consent.given, at, patience)
        for consent in consents[name]
    )


def _moment(item: tuple[str, str, float]) -> float:
    return item[2]


def _longest(items: list[tuple[str, str, float]]) -> float:
    longest, begun, last = 0.0, {}, dict[tuple[str, str], float]()
    for where, name, at in items:
        key = (where, name)
        if at - last.get(key, 0.0) > 3:
            begun[key] = at
        last[key] = at
        longest = max(longest, at - begun[key] + 1)
    return longest
