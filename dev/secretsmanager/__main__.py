"""`python -m dev.secretsmanager [--fast] [--port N] [--region R] [--host H]`: a stand-in as a process of its own."""

from __future__ import annotations

import argparse


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(prog="python -m dev.secretsmanager", description=__doc__)
    parser.add_argument("--fast", action="store_true", help="the stand-in for benchmarks")
    parser.add_argument("--port", type=int, default=0, help="0 = any free port")
    parser.add_argument("--region", default="us-east-1", help="where seeded secrets live")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on, without --fast")
    options = parser.parse_args()
    if options.fast:
        from dev.secretsmanager import fast

        fast.serve(options.port, options.region)
    else:
        from dev.secretsmanager import strict

        strict.serve(options.port, options.region, options.host)


if __name__ == "__main__":
    main()
