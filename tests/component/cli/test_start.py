"""The program from its start, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys


def test_a_terminal_that_cannot_show_a_tree() -> None:
    code = (
        "import tolstoy_operator.cli as cli, tolstoy_operator.cli.commands as commands\n"
        "commands.tolstoy = lambda **_: print('└─ x')\n"
        "cli.main()"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "?? x\n"


def test_the_views_are_quick_to_load_and_need_no_cloud() -> None:
    code = "import sys, tolstoy_operator.cli.commands as c; print(*{m.split('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"boto3", "botocore", "kopf", "httpx"} & set(done.stdout.split())
