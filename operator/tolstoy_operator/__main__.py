"""The command of the image: `python -m tolstoy_operator [run | release-finalizers]`."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from tolstoy_operator.observability.logs import configure_logging
from tolstoy_operator.settings import SettingsError, load_settings

_USAGE = "usage: python -m tolstoy_operator [run | release-finalizers]"


def main() -> int:
    """Run one command. Exit codes: 0 stopped as told, 1 ended by itself, 2 wrong settings or usage, nothing started."""
    command = sys.argv[1] if len(sys.argv) > 1 else "run"
    if command not in ("run", "release-finalizers") or len(sys.argv) > 2:
        print(_USAGE, file=sys.stderr)  # noqa: T201 - there is no log yet
        return 2
    try:
        settings = load_settings()
    except SettingsError as error:
        return _refuse(error)
    configure_logging(settings.log_level)
    # After the settings: a bad one is told at once, not after a second of imports.
    from tolstoy_operator import app
    from tolstoy_operator.kube.kubeconfig import KubeconfigError

    entry = app.run(settings) if command == "run" else app.release_finalizers()
    try:
        asyncio.run(entry)
    except SettingsError as error:
        return _refuse(error)
    except KubeconfigError as error:
        return _refuse(f"KUBECONFIG: {error}")
    except Exception:
        logging.getLogger("tolstoy_operator").exception("ended")
        return 1
    return 0


def _refuse(why: object) -> int:
    print(f"settings:\n{why}", file=sys.stderr)  # noqa: T201 - whoever starts it reads this, with or without a log
    return 2


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stderr.flush()
    # Not sys.exit: that joins the threads of the store, and one that hangs on a dead endpoint would hold the process
    # beyond the ten seconds in which a pod has to leave.
    os._exit(code)
