"""`python -m bench [scenario…]`: measure, and print the table of docs/performance.md. All scenarios by default."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time

from bench import machine, scenarios
from bench.report import Figure, table


def main() -> int:
    """Exit codes: 0 measured, 1 something did not work, 2 wrong usage, 130 interrupted."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background is started without it
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("scenario", nargs="*", choices=[*scenarios.ALL, []], help="default: all")
    parser.add_argument(
        "--quick", action="store_true", help="small numbers, about a minute: does everything still run?"
    )
    arguments = parser.parse_args()
    try:
        asyncio.run(_run(arguments.scenario or list(scenarios.ALL), quick=arguments.quick))
    except KeyboardInterrupt:
        print("\nstopped; nothing is left behind")
        return 130
    except (AssertionError, TimeoutError, RuntimeError) as error:
        print(f"\nFAILED: {error}", file=sys.stderr)
        return 1
    return 0


async def _run(names: list[str], *, quick: bool) -> None:
    print(machine.describe())
    started = time.monotonic()
    figures: list[Figure] = []
    async with scenarios.Run(quick=quick) as run:
        for name in names:
            print(f"{name} (load {_load()})", flush=True)
            figures += await scenarios.ALL[name](run)
    minutes = (time.monotonic() - started) / 60
    print(f"\n{table(figures)}\n\n{machine.describe()}; {minutes:.0f} min; load at the end {_load()}")


def _load() -> str:
    return " ".join(f"{value:.1f}" for value in os.getloadavg())


if __name__ == "__main__":
    sys.exit(main())
