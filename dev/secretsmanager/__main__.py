"""`python -m dev.secretsmanager [--fast] [--port N] [--region R]`: a stand-in as a process of its own."""

from __future__ import annotations

import argparse


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(prog="python -m dev.secretsmanager", description=__doc__)
    parser.add_argument("--fast", action="store_true", help="the stand-in for benchmarks")
    parser.add_argument("--port", type=int, default=0, help="0 = any free port")
    parser.add_argument("--region", default="us-east-1", help="where seeded secrets live")
    options = parser.parse_args()
    if options.fast:
        from dev.secretsmanager.fast import serve
    else:
        from dev.secretsmanager.strict import serve
    serve(options.port, options.region)


if __name__ == "__main__":
    main()
