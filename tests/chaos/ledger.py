"""What the operators wrote down, and what follows: which requests were heard, and which may have been lost."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LEDGER: Final = "CHAOS_LEDGER"
"""Environment variable: the file that an operator writes its ledger to."""
CALM: Final = "CHAOS_CALM"
"""Environment variable: a file; once it is there, nothing more happens at steps."""
STRUCK: Final = "CHAOS_STRUCK"
"""Environment variable: a directory; it holds a file for each step before which an operator has been killed once."""
RATE: Final = "CHAOS_STEP_RATE"
"""Environment variable: the probability of a kill, and of a stop, before each step of the protocol."""


@dataclass
class Attempt:
    """One token request. Times in epoch seconds; `kept`: when its answer was durable."""

    secret: str
    pid: int
    sent_at: float
    outcome: str | None = None
    ended_at: float | None = None
    kept_at: float | None = None

    def harmed(self, patience: float) -> bool:
        """Whether its answer was lost, or came so late that others had to take over after `patience` seconds."""
        if self.outcome in ("NotSent", "Rejected"):
            return False
        if self.outcome != "Accepted" or self.kept_at is None:
            return True
        return self.kept_at - self.sent_at > patience


@dataclass
class Ledger:
    """All attempts by secret, oldest first, and the faults at steps."""

    attempts: dict[str, list[Attempt]]
    faults: Counter[str]

    def harmed(self, secret: str, since: float, until: float, patience: float) -> list[Attempt]:
        """Attempts within a time whose answers were lost."""
        return [
            attempt
            for attempt in self.attempts.get(secret, ())
            if since <= attempt.sent_at < until and attempt.harmed(patience)
        ]


def read(files: Iterable[Path]) -> Ledger:
    """The ledger of all processes."""
    events = sorted(
        (json.loads(line) for file in files if file.exists() for line in file.read_text().splitlines()),
        key=lambda event: event["at"],
    )
    attempts: defaultdict[str, list[Attempt]] = defaultdict(list)
    faults: Counter[str] = Counter()
    last: dict[tuple[int, str], Attempt] = {}
    for event in events:
        at, who = event["at"], (event["pid"], event["secret"])
        match event["event"]:
            case "fault":
                faults[f"{event['fault']} before {event['step']}"] += 1
            case "sending":
                last[who] = Attempt(event["secret"], event["pid"], at)
                attempts[event["secret"]].append(last[who])
            case "outcome" if who in last and last[who].outcome is None:
                last[who].outcome, last[who].ended_at = event["outcome"], at
            case "kept" if who in last:
                last[who].kept_at = at
    return Ledger(dict(attempts), faults)
