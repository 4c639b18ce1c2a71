"""The command of the image: `python -m tolstoy_operator [run | release-finalizers | iam-policy … | put …]`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import re
import signal
import sys
from collections.abc import Callable

if __name__ == "__main__":
    # The first process of a container does not end by a signal that it does not handle: told to stop while it still
    # imports, it would go on until it is killed. Not by an exception: some imports turn one into another.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))

from tolstoy_operator.api.v1 import CredentialType
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.observability.logs import configure_logging
from tolstoy_operator.settings import Settings, SettingsError, load_settings


def main() -> int:
    """Run one command.

    Exit codes: 0 done, or stopped as told; 1 ended by itself; 2 wrong settings, usage or input, nothing started;
    143 told to stop before it had begun.
    """
    parser = _parser()
    try:
        given, rest = parser.parse_known_args()
        if rest:  # not repeated: a secret may have been taken for an argument
            parser.error("there are more arguments than this command has")
    except SystemExit as end:  # argparse has said what is wrong, or printed its help
        return int(end.code or 0)
    try:
        settings = load_settings()
    except SettingsError as error:
        return _refuse(error)
    if given.command == "iam-policy":
        return _print_policy(settings, given)
    return _put(settings, given) if given.command == "put" else _operate(settings, given.command)


def _operate(settings: Settings, command: str) -> int:
    configure_logging(settings.log_level)
    # After the settings: a bad one is told at once, not after a second of imports. What they make stays for ever, so
    # that looking through it for garbage costs a tenth of the start, and finds nothing.
    gc.disable()
    from tolstoy_operator import app
    from tolstoy_operator.kube.kubeconfig import KubeconfigError

    gc.freeze()
    gc.enable()

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


def _put(settings: Settings, given: argparse.Namespace) -> int:
    if settings.use_aws_secrets:
        return _refuse(
            "USE_AWS_SECRETS is true: the secrets are in Secrets Manager; store it there, "
            "with `aws secretsmanager create-secret` or `put-secret-value`"
        )
    configure_logging(settings.log_level)
    from tolstoy_operator.domain.documents import MAX_BYTES, MalformedSecret
    from tolstoy_operator.domain.errors import StoreError
    from tolstoy_operator.domain.naming import InvalidName

    # What is not UTF-8 becomes a text that the domain refuses as such.
    value = SecretValue(sys.stdin.buffer.read(MAX_BYTES + 1).decode(errors="surrogateescape"))
    try:
        said = asyncio.run(_deposit(settings.sqlite_path, given.name, value, given.type))
    except InvalidName as error:
        return _refuse(f"NAME: {error}", of="put")
    except MalformedSecret as error:
        return _refuse(f"the document on standard input: {error.cause}", of="put")
    except StoreError as error:
        return _refuse(error, of="store", code=1)
    print(said)  # noqa: T201 - what was asked for
    return 0


async def _deposit(path: str, name: str, value: SecretValue, wanted: str) -> str:
    from tolstoy_operator.services.deposit import deposit
    from tolstoy_operator.services.secrets import SecretsService
    from tolstoy_operator.stores.sqlite import SqliteStore

    store = SqliteStore(path)
    try:
        secrets = SecretsService(store, cache_ttl=0, stale_max_age=0)
        ended = await deposit(secrets, name, value, CredentialType(wanted))
    finally:
        await store.close()
    return f"{ended.done} {name} as {ended.type}, version {ended.version_id}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tolstoy_operator", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command")
    parser.set_defaults(command="run")
    commands.add_parser("run", help="run the operator; also without a command")
    commands.add_parser("release-finalizers", help="take our finalizer off all ToolCredentials, without revoking")
    _describe_policy(commands.add_parser("iam-policy", help="print the narrowest IAM policy for these settings"))
    put = commands.add_parser("put", help="without AWS: store the document that is read from standard input")
    put.add_argument("name", metavar="NAME", help="tolstoy/<tool>/<orgId>, or that of a platform secret")
    put.add_argument(
        "--type",
        choices=[kind.value for kind in CredentialType],
        default="Auto",
        help="what it must be; Auto: whatever it is",
    )
    return parser


def _describe_policy(policy: argparse.ArgumentParser) -> None:
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


def _matching(pattern: str, words: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise argparse.ArgumentTypeError(f"must be {words}")
        return text

    return check


def _refuse(why: object, *, of: str = "settings", code: int = 2) -> int:
    print(f"{of}:\n{why}", file=sys.stderr)  # noqa: T201 - whoever starts it reads this, with or without a log
    return code


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: that joins the threads of the store, and one that hangs on a dead endpoint would hold the process
    # beyond the ten seconds in which a pod has to leave.
    os._exit(code)
