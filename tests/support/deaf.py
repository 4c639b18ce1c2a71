"""`python -m tests.support.deaf`: the operator with watches that tell it nothing, as if each had silently died.

The streams are there, and kopf reads them; what it hands over is dropped. Everything else is as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any


def hear_nothing(_: object, body: Mapping[str, Any], *, deleted: bool) -> None:
    """Instead of taking in what a watch saw."""


def main() -> None:
    """Take away what the watches tell, and run the operator."""
    from tolstoy_operator.__main__ import main as run
    from tolstoy_operator.engine.dispatcher import Dispatcher

    for what in ("credential", "secret", "namespace"):
        name = f"observe_{what}"
        assert hasattr(Dispatcher, name)
        setattr(Dispatcher, name, hear_nothing)
    sys.exit(run())


if __name__ == "__main__":
    main()
