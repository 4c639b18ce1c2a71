"""`python -m dev.image build`, `report` and `sbom FILE`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dev.controlplane.gobuild import to_stderr
from dev.image import ImageError, build, measure, parts
from dev.image.base import BaseError


def main() -> None:
    """Run one command; results go to standard output, progress to standard error."""
    parser = argparse.ArgumentParser(prog="python -m dev.image", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build the image and print where its archive is")
    commands.add_parser("report", help="its size")
    commands.add_parser("sbom", help="write what it is made of, as CycloneDX").add_argument("file", type=Path)
    arguments = parser.parse_args()
    try:
        if arguments.command == "sbom":
            parts.write_sbom(arguments.file)
            return
        image = build(to_stderr)
        if arguments.command == "build":
            print(image.archive)
        else:
            print(measure.sizes(image))
    except (ImageError, BaseError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
