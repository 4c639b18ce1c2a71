"""The commands of `kubectl tolstoy`, their options, and how a command runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import IO, Any, TypeVar

import click

from tolstoy_operator.cli import expiring as expiring_view
from tolstoy_operator.cli import revoke as revocation
from tolstoy_operator.cli import status as status_view
from tolstoy_operator.cli.clocks import Clocks
from tolstoy_operator.cli.cluster import Cluster, Surroundings, open_cluster
from tolstoy_operator.cli.errors import CliError
from tolstoy_operator.cli.handover import Handed, hand_over, read_tokens
from tolstoy_operator.cli.readers import reader_json, readers_of
from tolstoy_operator.cli.refresh import Outcome
from tolstoy_operator.cli.refresh import refresh as ask_and_wait
from tolstoy_operator.cli.text import clean, parse_span
from tolstoy_operator.cli.view import JSON_VERSION, CredentialView, view
from tolstoy_operator.cli.why import Report
from tolstoy_operator.domain.documents import MAX_BYTES

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])

FOUND = 1
"""The exit code for "found something" and "did not work"."""
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Connection:
    """Which cluster, and which namespace (None: the one of the context)."""

    kubeconfig: str | None
    context: str | None
    namespace: str | None


class Span(click.ParamType[timedelta]):
    """A duration such as 1h30m."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """From the text of the command line."""
        if isinstance(value, timedelta):
            return value
        length = parse_span(str(value))
        if length is None:
            self.fail(f"{value!r} is no duration; write it like 90s, 15m, 1h30m or 7d", param, ctx)
        return length


def connected(command: Command) -> Command:
    """The options that say which cluster is meant; they have kubectl's names."""
    for option in (
        click.option("-n", "--namespace", help="The namespace; by default the one of the context."),
        click.option("--context", help="The context of the kubeconfig; by default the current one."),
        click.option("--kubeconfig", help="The kubeconfig file; by default $KUBECONFIG, else ~/.kube/config."),
    ):
        command = option(command)
    return command


_everywhere = click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces.")


def _output(*forms: str) -> Callable[[Command], Command]:
    return click.option(
        "-o", "--output", type=click.Choice(forms), default=forms[0], show_default=True, help="The form of the output."
    )


def _timeout(default: str) -> Callable[[Command], Command]:
    return click.option(
        "--timeout", type=Span(), default=default, show_default=True, help="How long to wait, such as 1m."
    )


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tolstoy-operator", message="%(version)s")
@click.pass_context
def tolstoy(ctx: click.Context) -> None:
    """Credentials of third-party tools: what is there, what ends, and why something does not work.

    Everything is done with your own rights. The data of Secrets is never read.
    """
    if os.environ.get("NO_COLOR"):
        ctx.color = False


@tolstoy.command()
@click.argument("name", required=False)
@_everywhere
@click.option("--readers", is_flag=True, help="Also who reads their Secrets, and how.")
@_output("tree", "table", "json")
@connected
def status(name: str | None, all_namespaces: bool, readers: bool, output: str, **options: str | None) -> None:
    """Show credentials by tool and organisation.

    With NAME only that one. What is not fine says who acts.
    """
    if readers and output == "table":
        raise click.UsageError("a table has no room for --readers; leave out -o table")
    if name and all_namespaces:
        raise click.UsageError("NAME is in one namespace; leave out -A/--all-namespaces, or NAME")
    connection = Connection(**options)

    async def read(cluster: Cluster) -> tuple[list[CredentialView], dict[str, Surroundings] | None]:
        namespace = connection.namespace or cluster.namespace
        if name:
            found = [view(await cluster.credential(namespace, name))]
        else:
            found = await _views(cluster, namespace, all_namespaces=all_namespaces)
        return found, await _around(cluster, found) if readers else None

    (found, around), now = _run(connection, read), _now()
    if output == "json":
        _print_json(_list_json(status_view.in_order(found), now, around))
    elif output == "table":
        _print(status_view.as_table(found, now) if found else ())
    else:
        _print(status_view.as_tree(found, now, all_namespaces=all_namespaces, around=around))
    for sentence in sorted({line for each in (around or {}).values() for line in each.unread}):
        click.echo(f"not shown: {clean(sentence)}", err=True)


@tolstoy.command()
@click.option("--within", type=Span(), default="1h", show_default=True, help="How far ahead to look, such as 1h30m.")
@click.option("--all", "refreshed_too", is_flag=True, help="Also those that the operator refreshes in time.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 when there are any.")
@_everywhere
@_output("table", "json")
@connected
def expiring(
    within: timedelta, refreshed_too: bool, exit_code: bool, all_namespaces: bool, output: str, **options: str | None
) -> None:
    """Show credentials whose token ends soon and is not being refreshed.

    Tokens that have ended already are among them.
    """
    connection = Connection(**options)

    async def read(cluster: Cluster) -> list[CredentialView]:
        return await _views(cluster, connection.namespace or cluster.namespace, all_namespaces=all_namespaces)

    everything, now = _run(connection, read), _now()
    found = expiring_view.ending(everything, now, within, refreshed_too=refreshed_too)
    if output == "json":
        _print_json(_list_json(found, now))
    elif found:
        _print(expiring_view.as_table(found, now))
    elif everything:
        click.echo("No token ends within that time without being refreshed.", err=True)
    if found and exit_code:
        sys.exit(FOUND)


@tolstoy.command()
@click.argument("name")
@_output("text", "json")
@connected
def why(name: str, output: str, **options: str | None) -> None:
    """Explain one credential: its cause, who acts, its token, its Secret, and who reads it."""
    connection = Connection(**options)

    async def read(cluster: Cluster) -> Report:
        namespace = connection.namespace or cluster.namespace
        credential = view(await cluster.credential(namespace, name))
        target = credential.status.target
        around = await cluster.surroundings(namespace, credential.uid, target.name if target else None)
        return Report(credential, around, _now())

    report = _run(connection, read)
    if output == "json":
        _print_json(report.to_json())
    else:
        _print(report.lines())


@tolstoy.command()
@click.argument("name")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Whether to wait for the outcome.")
@_timeout("1m")
@_output("text", "json")
@connected
def refresh(name: str, wait: bool, timeout: timedelta, output: str, **options: str | None) -> None:
    """Have the operator look at a credential now, its token too.

    Exits with 1 when it is not fine afterwards.
    """
    connection = Connection(**options)

    async def act(cluster: Cluster) -> Outcome:
        namespace = connection.namespace or cluster.namespace
        return await ask_and_wait(cluster, namespace, name, wait=wait, timeout=timeout.total_seconds(), clocks=_CLOCKS)

    outcome, now = _run(connection, act), _now()
    if output == "json":
        _print_json(outcome.to_json(now))
    else:
        _print(outcome.lines(now))
    if not outcome.good:
        sys.exit(FOUND)


@tolstoy.command("import")
@click.argument("name")
@click.option(
    "--from-file",
    "source",
    type=click.File("rb"),
    required=True,
    help="A file with an OAuth document in JSON; - is standard input.",
)
@_timeout("1m")
@_output("text", "json")
@connected
def import_(name: str, source: IO[bytes], timeout: timedelta, output: str, **options: str | None) -> None:
    """Store the first tokens of a credential, by way of spec.initialTokensFrom.

    Whatever goes wrong, no token stays in the cluster. Exits with 1 when nothing was stored.
    """
    if source.isatty():
        raise click.UsageError("standard input is a terminal, which would show the tokens; use a file or a pipe")
    connection, tokens = Connection(**options), read_tokens(source.read(MAX_BYTES + 1))

    async def act(cluster: Cluster) -> Handed:
        namespace = connection.namespace or cluster.namespace
        return await hand_over(cluster, namespace, name, tokens, timeout=timeout.total_seconds(), clocks=_CLOCKS)

    handed, now = _run(connection, act), _now()
    if output == "json":
        _print_json(handed.to_json(now))
    else:
        _print(handed.lines(now))
    if not handed.good:
        sys.exit(FOUND)


@tolstoy.command()
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")
@click.option("--delete-anyway", is_flag=True, help="Delete it even if others use the grant, which then stays.")
@_timeout("2m")
@_output("text", "json")
@connected
def revoke(name: str, yes: bool, delete_anyway: bool, timeout: timedelta, output: str, **options: str | None) -> None:
    """End the grant of a credential, for everybody, and delete the credential.

    Exits with 1 when the grant has not ended.
    """
    if not yes and not _somebody_is_there():
        raise click.UsageError("nobody can be asked here; --yes goes on without asking")
    connection = Connection(**options)
    planned = _run(
        connection, lambda cluster: revocation.plan(cluster, connection.namespace or cluster.namespace, name)
    )
    for line in planned.lines():
        click.echo(line, err=True)
    if planned.others and not delete_anyway:
        raise CliError(
            "the grant would not end, so nothing was done", "delete the others first, or use --delete-anyway"
        )
    if not yes and not click.confirm("Go on?", err=True):
        raise CliError("nothing was done", "answer y, or use --yes")
    ended = _run(
        connection,
        lambda cluster: revocation.revoke(cluster, planned, timeout=timeout.total_seconds(), clocks=_CLOCKS),
    )
    if output == "json":
        _print_json(ended.to_json(_now()))
    else:
        _print(ended.lines())
    if not ended.revoked:
        sys.exit(FOUND)


def _somebody_is_there() -> bool:
    return sys.stdin.isatty()


async def _views(cluster: Cluster, namespace: str, *, all_namespaces: bool) -> list[CredentialView]:
    found = [view(item) for item in await cluster.credentials(None if all_namespaces else namespace)]
    if not found:
        where = "" if all_namespaces else f" in {namespace} namespace"
        click.echo(f"No ToolCredentials found{where}.", err=True)
    return found


def _run(connection: Connection, action: Callable[[Cluster], Awaitable[T]]) -> T:
    async def run() -> T:
        _end_like_ctrl_c()
        async with open_cluster(connection.kubeconfig, connection.context) as cluster:
            return await action(cluster)

    try:
        return asyncio.run(run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(INTERRUPTED)


def _end_like_ctrl_c() -> None:
    """Whoever ends the command, or closes its terminal, must not keep it from cleaning up."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    for name in ("SIGTERM", "SIGHUP"):
        if task is not None and hasattr(signal, name):
            with contextlib.suppress(NotImplementedError):  # Windows
                loop.add_signal_handler(getattr(signal, name), task.cancel)


async def _around(cluster: Cluster, found: Iterable[CredentialView]) -> dict[str, Surroundings]:
    """By namespace, the pods and workloads that may read one of the Secrets."""
    secrets: defaultdict[str, set[str]] = defaultdict(set)
    for item in found:
        secrets[item.namespace].update({item.status.target.name} if item.status.target else ())
    return {namespace: await cluster.workloads(namespace, wanted) for namespace, wanted in secrets.items()}


def _list_json(
    found: Iterable[CredentialView], now: datetime, around: Mapping[str, Surroundings] | None = None
) -> dict[str, Any]:
    items = []
    for item in found:
        content = item.to_json(now)
        if around is not None:
            content["readers"] = [reader_json(reader, item) for reader in readers_of(item, around[item.namespace])]
        items.append(content)
    return {"apiVersion": JSON_VERSION, "kind": "CredentialList", "items": items}


def _print_json(content: dict[str, Any]) -> None:
    click.echo(json.dumps(content, indent=2))  # in ASCII: escapes show what a control character would do


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def _now() -> datetime:
    return datetime.now(UTC)


_CLOCKS = Clocks(_now, time.monotonic, asyncio.sleep)
