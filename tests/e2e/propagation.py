"""`python -m tests.e2e.propagation`: how long until a container sees a change, with `Immediate` and without.

On a node of our own whose kubelet has its defaults. Upstream changes, the operator is told (`tolstoy.dev/force-sync`),
and the file is looked at every few milliseconds, from outside, through the container's process. Two spans are taken:
from the moment that the operator was told, and from the write of the Secret, by the API server's audit log.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dev.controlplane.gobuild import to_stderr
from tests.e2e.site import own_site
from tests.e2e.tenant import Tenant

_PATIENCE = 180.0
_LOOK = 0.004


@dataclass(frozen=True)
class Seen:
    """Seconds until the file had changed: since the operator was told, and since the Secret was written."""

    told: float
    written: float


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.propagation", description=__doc__)
    parser.add_argument("--changes", type=int, default=120, help="with Immediate, one after the other")
    parser.add_argument("--pods", type=int, default=8, help="without: pods whose Secrets change at one moment")
    parser.add_argument("--rounds", type=int, default=3, help="without: how often they do")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with contextlib.suppress(KeyboardInterrupt), own_site(to_stderr) as site:
        site.deploy(site.values(sync={"sweepIntervalSeconds": 3600}))
        to_stderr(f"{options.changes} changes with Immediate")
        # Two by turns: a secret keeps a hundred versions, and a day passes before one may go.
        pair = [Tenant(site, f"immediate-{n}", target={"propagation": "Immediate"}) for n in range(2)]
        with_it = [measure(pair[n % 2], f"value-{n}", pause=0.3) for n in range(options.changes)]
        to_stderr(f"{options.rounds} times {options.pods} changes without")
        tenants = [Tenant(site, f"kubelet-{n}", target={"propagation": "Kubelet"}) for n in range(options.pods)]
        without = [seen for number in range(options.rounds) for seen in together(tenants, f"value-{number}")]
        sys.stdout.write(f"{table(with_it, without)}\n")
        sys.exit(quantile([seen.told for seen in with_it], 0.99) > 1.0)
    sys.exit(130)


def together(tenants: Sequence[Tenant], value: str) -> list[Seen]:
    """Change all at one moment and wait for each."""
    with ThreadPoolExecutor(len(tenants)) as threads:
        return list(threads.map(lambda tenant: measure(tenant, value, pause=30.0), tenants))


def measure(tenant: Tenant, value: str, *, pause: float) -> Seen:
    """One change, after a random part of `pause` seconds, so that it falls into any moment of the kubelet's minute."""
    file = tenant.file()
    time.sleep(random.uniform(0, pause))
    tenant.change(value)
    told = time.time()
    tenant.force_sync(value)
    deadline = time.monotonic() + _PATIENCE
    while file.read_text() != value:
        if time.monotonic() > deadline:
            raise AssertionError(f"not seen within {_PATIENCE:.0f} s")
        time.sleep(_LOOK)
    seen = time.time()
    return Seen(seen - told, seen - tenant.writes()[-1])


def quantile(values: Sequence[float], part: float) -> float:
    """The value that this part of all is not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def table(with_it: Sequence[Seen], without: Sequence[Seen]) -> str:
    """Markdown."""
    lines = ["| | changes | median | p99 | longest |", "|---|---|---|---|---|"]
    for name, seen in (("`Immediate`", with_it), ("`Kubelet`", without)):
        for what, spans in (("operator told", [s.told for s in seen]), ("Secret written", [s.written for s in seen])):
            figures = (statistics.median(spans), quantile(spans, 0.99), max(spans))
            lines.append(f"| {name}, {what} → file | {len(spans)} | {' | '.join(f'{x:.2f} s' for x in figures)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
