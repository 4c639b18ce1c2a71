"""The command of the image: `python -m tolstoy_operator [run | release-finalizers | iam-policy …]`."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import re
import sys
from collections.abc import Callable

from tolstoy_operator.observability.logs import configure_logging
from tolstoy_operator.settings import Settings, SettingsError, load_settings


def main() -> int:
    """Run one command. Exit codes: 0 stopped as told, 1 ended by itself, 2 wrong settings or usage, nothing started."""
    try:
        given = _parser().parse_args()
    except SystemExit as end:  # argparse has said what is wrong, or printed its help
        return int(end.code or 0)
    try:
        settings = load_settings()
    except SettingsError as error:
        return _refuse(error)
    return _print_policy(settings, given) if given.command == "iam-policy" else _operate(settings, given.command)


def _operate(settings: Settings, command: str) -> int:
    configure_logging(settings.log_level)
    # After the settings: a bad one is told at once, not after a second of imports.
    from tolstoy_operator import app
    from tolstoy_operator.kube.kubeconfig import KubeconfigError

    entry = app.run(settings) if command == "run" else app.release_finalizers(settings)
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


def _print_policy(settings: Settings, given: argparse.Namespace) -> int:
    from tolstoy_operator.domain.iampolicy import Installation, iam_policy, partition_of

    if not settings.use_aws_secrets:
        return _refuse("USE_AWS_SECRETS is false: without Secrets Manager no policy is needed")
    region = settings.aws_region
    home = f"arn:{partition_of(region)}:kms:{region}:"
    if strangers := [key for key in given.key if not key.startswith(home)]:
        return _refuse(f"{strangers[0]} is no key of AWS_REGION, and secrets are encrypted in their own region")
    installation = Installation(
        region=region,
        account=given.account,
        tools=tuple(given.tool),
        organisations=tuple(given.organisation),
        secrets=tuple(dict.fromkeys([settings.aws_secret_name, *given.secret])),
        keys=tuple(given.key),
        refreshes=not given.mirror_only,
        creates=given.first_tokens,
    )
    print(json.dumps(iam_policy(installation), indent=2))  # noqa: T201 - what was asked for
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tolstoy_operator", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command")
    parser.set_defaults(command="run")
    commands.add_parser("run", help="run the operator; also without a command")
    commands.add_parser("release-finalizers", help="take our finalizer off all ToolCredentials, without revoking")
    policy = commands.add_parser("iam-policy", help="print the narrowest IAM policy for these settings")
    name = _matching(r"[A-Za-z0-9/_+=.@-]+", "letters, digits and / _ + = . @ -")
    part = _matching(r"[A-Za-z0-9_+=.@-]+", "letters, digits and _ + = . @ -")
    arn = _matching(r"arn:[a-z-]+:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+", "the ARN of a KMS key")
    policy.add_argument("--account", required=True, type=_matching(r"\d{12}", "twelve digits"), help="of the secrets")
    policy.add_argument("--tool", action="append", default=[], type=part, help="only this tool; repeatable")
    policy.add_argument("--organisation", action="append", default=[], type=part, help="only this one; repeatable")
    policy.add_argument("--secret", action="append", default=[], type=name, help="a platform secret; repeatable")
    policy.add_argument("--key", action="append", default=[], type=arn, help="a customer managed key; repeatable")
    policy.add_argument("--mirror-only", action="store_true", help="another cluster refreshes the tokens")
    policy.add_argument("--first-tokens", action="store_true", help="namespaces may store first tokens")
    return parser


def _matching(pattern: str, words: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise argparse.ArgumentTypeError(f"must be {words}")
        return text

    return check


def _refuse(why: object) -> int:
    print(f"settings:\n{why}", file=sys.stderr)  # noqa: T201 - whoever starts it reads this, with or without a log
    return 2


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: that joins the threads of the store, and one that hangs on a dead endpoint would hold the process
    # beyond the ten seconds in which a pod has to leave.
    os._exit(code)
