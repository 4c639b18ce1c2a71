"""`python -m tests.e2e.prepare`: build what a node needs, and the image, where somebody sees how far it is.

Where no node can run it says why, and that is no failure: the tests are skipped then.
"""

from __future__ import annotations

import sys

from dev.controlplane import BuildError, node
from dev.controlplane.gobuild import to_stderr
from dev.image import ImageError, build
from dev.image.base import BaseError
from dev.node import MachineError, machine


def main() -> None:
    """Build everything, or say why there will be no node. Ends with 1 when a build that should work does not."""
    try:
        machine.provide(to_stderr)
        node(to_stderr)
        build(to_stderr)
    except (MachineError, ImageError, BaseError) as error:
        to_stderr(f"no real node here, its tests will be skipped: {error}")
    except BuildError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
