"""`python -m dev.oauth`: run the server until Ctrl-C."""

from __future__ import annotations

import argparse
import signal

from dev.oauth.server import OAuthServer


def main() -> None:
    """Serve; print where."""
    parser = argparse.ArgumentParser(prog="python -m dev.oauth", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--access-token-ttl", type=int, default=60, help="seconds")
    parser.add_argument("--grace", type=float, default=0, help="seconds in which a used refresh token still works")
    parser.add_argument("--no-rotation", action="store_true", help="refresh tokens stay the same")
    arguments = parser.parse_args()
    with OAuthServer(
        port=arguments.port,
        access_token_ttl=arguments.access_token_ttl,
        grace=arguments.grace,
        rotate=not arguments.no_rotation,
    ) as server:
        print(f"READY {server.url}", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
