"""`python -m dev.node up`, `down` and `load ARCHIVE`: a cluster of one node for this working tree."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dev.controlplane import BuildError, ControlPlaneError
from dev.controlplane.gobuild import to_stderr
from dev.node import MachineError, NamespaceError, kept


def main() -> None:
    """Run one command; what a shell can read goes to standard output, the rest to standard error."""
    parser = argparse.ArgumentParser(prog="python -m dev.node", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start the cluster and print what a shell needs to use it")
    commands.add_parser("down", help="end it; nothing is left")
    commands.add_parser("keep", help="what `up` runs in the background")
    commands.add_parser("load", help="give it an image").add_argument("archive", type=Path)
    arguments = parser.parse_args()
    try:
        if arguments.command == "up":
            print(kept.up(to_stderr).exports)
        elif arguments.command == "down":
            kept.down(to_stderr)
        elif arguments.command == "keep":
            kept.keep()
        else:
            kept.load(arguments.archive)
    except (BuildError, ControlPlaneError, MachineError, NamespaceError, kept.KeptClusterError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
