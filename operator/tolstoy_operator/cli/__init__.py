"""`kubectl tolstoy`: looks at the cluster with the rights of the person who runs it, says what to do, and does it.

It never reads the data of a Secret. What it tells comes from the status of ToolCredentials, from Events, and from the
pods and workloads that name the Secret.
"""

from __future__ import annotations

import gc
import io
import sys
import traceback

import click

_INTERRUPTED = 130  # what shells say of a program that Ctrl-C has ended


def main() -> None:
    """The entry point of the program `kubectl-tolstoy`. Exit codes: 0 fine, 1 found or failed, 2 wrong usage."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show the lines of a tree shows question marks
    try:
        gc.disable()  # a tenth of the start would be looking through imports for garbage
        from tolstoy_operator.cli.commands import tolstoy  # inside, so that Ctrl-C during the imports is quiet too

        gc.enable()
        sys.exit(tolstoy(prog_name="kubectl tolstoy", standalone_mode=False))
    except (KeyboardInterrupt, click.Abort):
        sys.exit(_INTERRUPTED)
    except click.ClickException as told:
        told.show()
        sys.exit(told.exit_code)
    except Exception as error:
        # The text of an unexpected error may repeat what was read, so only its kind and place are told.
        place = traceback.extract_tb(error.__traceback__)[-1]
        print(f"error: unexpected {type(error).__name__} in {place.name}, line {place.lineno}", file=sys.stderr)
        print("next: this is a mistake of kubectl tolstoy itself; please report it with this line", file=sys.stderr)
        sys.exit(1)
