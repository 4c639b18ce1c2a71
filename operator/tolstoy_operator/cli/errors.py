"""What goes wrong for a person at a terminal: the cause, and the next step. Never a traceback."""

from __future__ import annotations

from typing import IO, Any

import click

from tolstoy_operator.cli.text import clean
from tolstoy_operator.kube.errors import (
    Conflict,
    Forbidden,
    Gone,
    KubeError,
    KubeUnavailable,
    NotFound,
    Unauthorized,
    Unprocessable,
)


class CliError(click.ClickException):
    """Ends the command with exit code 1. `cause` is one sentence, `next_step` what to try."""

    exit_code = 1

    def __init__(self, cause: str, next_step: str) -> None:
        super().__init__(cause)
        self.next_step = next_step

    def show(self, file: IO[Any] | None = None) -> None:
        """Write both to standard error."""
        click.echo(f"{click.style('error:', fg='red')} {clean(self.message)}", file=file, err=True)
        click.echo(f"next: {clean(self.next_step)}", file=file, err=True)


def told(error: KubeError, *, verb: str, resource: str, namespace: str | None, host: str) -> CliError:
    """What the API server's answer to `verb` on `resource` means. `namespace` None: in all of them."""
    where = f"in namespace {namespace}" if namespace else "in all namespaces"
    scope = f"-n {namespace}" if namespace else "-A"
    match error:
        case Unauthorized():
            return CliError(
                f"{host} does not accept your credentials (401)", "log in again, or choose another --context"
            )
        case Forbidden():
            return CliError(
                f"you may not {verb} {resource} {where} (403)",
                f"ask for that right (kubectl auth can-i {verb} {resource} {scope} shows it)"
                + ("" if namespace else ", or name one namespace with -n"),
            )
        case NotFound():
            return CliError(f"{host} knows no {resource} {where} (404)", "check --context and -n")
        case KubeUnavailable():
            return CliError(
                f"{host} gives no usable answer to {verb} {resource} ({error})",
                "check the network and --context (kubectl version), and try again",
            )
        case Conflict() | Gone():
            return CliError(f"{resource} changed while they were read ({error})", "try again")
        case Unprocessable():
            return CliError(
                f"{host} refuses to {verb} {resource} {where} ({error})",
                "look at the object: kubectl get it with -o yaml, and compare it with kubectl explain toolcredential",
            )
    return CliError(f"{host} answers {verb} {resource} {where} with {error}", "check --context, and try again")
