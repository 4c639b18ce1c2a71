"""`kubectl tolstoy refresh`: has the operator look at a credential and its token now, and waits for the outcome."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from tolstoy_operator.api.names import FORCE_SYNC
from tolstoy_operator.cli.clocks import Clocks
from tolstoy_operator.cli.errors import CliError
from tolstoy_operator.cli.status import ready_cell
from tolstoy_operator.cli.table import Cell, Row, aligned
from tolstoy_operator.cli.text import lifetime
from tolstoy_operator.cli.view import JSON_VERSION, CredentialView, view
from tolstoy_operator.kube.client import Object


class Credentials(Protocol):
    """The part of `Cluster` that a refresh takes."""

    async def credential(self, namespace: str, name: str) -> Object:
        """One ToolCredential."""
        ...

    async def ask_for_sync(self, namespace: str, name: str, mark: str) -> Object:
        """Set the annotation that makes the operator look at once."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """The credential before and after. `after` None: it was asked for, and nobody waited."""

    before: CredentialView
    after: CredentialView | None

    @property
    def good(self) -> bool:
        """Whether there is nothing left to do."""
        return self.after is None or self.after.fine

    @property
    def token_refreshed(self) -> bool | None:
        """Whether the token was issued anew; None for a credential without an OAuth grant, or when nobody waited."""
        if self.after is None or self.after.status.grant is None or not self.after.state:
            return None
        before = self.before.status.grant.last_refresh_time if self.before.status.grant else None
        return self.after.status.grant.last_refresh_time not in (None, before)

    def to_json(self, now: datetime) -> dict[str, Any]:
        """The documented form."""
        return {
            "apiVersion": JSON_VERSION,
            "kind": "Refresh",
            "handled": self.after is not None,
            "tokenRefreshed": self.token_refreshed,
            "credential": (self.after or self.before).to_json(now),
        }

    def lines(self, now: datetime) -> Iterator[str]:
        """The outcome for people."""
        item = self.before
        if self.after is None:
            yield f"{item.namespace}/{item.name}: asked; kubectl tolstoy why {item.name} -n {item.namespace} shows more"
            return
        yield f"{item.namespace}/{item.name}: the operator has looked at it"
        yield from self.rows(self.after, now)

    def rows(self, item: CredentialView, now: datetime) -> Iterator[str]:
        """What the credential has come to, without a headline."""
        rows: list[Row] = [("ready", Cell(f"{item.ready} ({item.reason})", ready_cell(item).colour))]
        if not item.fine:
            rows.append(("cause", item.explanation.cause))
            rows.append(("who acts", item.explanation.who_acts or "-"))
            rows.append(("next try", item.explanation.next_try or "-"))
        if self.token_refreshed is not None:
            done = "refreshed" if self.token_refreshed else "needed no refresh" if item.fine else "not refreshed"
            rows.append(("token", "; ".join(filter(None, (done, lifetime(item.expires_at, now))))))
        yield from (f"  {line}" for line in aligned(rows))


async def refresh(
    cluster: Credentials, namespace: str, name: str, *, wait: bool, timeout: float, clocks: Clocks
) -> Outcome:
    """Ask, and with `wait` return what came of it. Raises `CliError` when nothing did within `timeout` seconds."""
    before = view(await cluster.credential(namespace, name))
    if before.deleting:
        raise CliError(f"{namespace}/{name} is being deleted", "create it anew when it is gone")
    mark = clocks.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    await cluster.ask_for_sync(namespace, name, mark)
    if not wait:
        return Outcome(before, None)

    async def look() -> CredentialView | None:
        asked = view(await cluster.credential(namespace, name))
        return asked if _handled(asked, before) else None

    after = await clocks.until(look, clocks.elapsed() + timeout)
    if after is None:
        raise _silent(namespace, name, timeout)
    return Outcome(before, after)


def _handled(asked: CredentialView, before: CredentialView) -> bool:
    if asked.uid != before.uid or asked.force_sync is None:
        raise CliError(
            f"somebody has replaced {before.namespace}/{before.name}, or removed the annotation {FORCE_SYNC}, before "
            "the operator has seen it",
            "try again",
        )
    # Whatever stands there is our mark or a later one, so whoever handled it has handled ours.
    return asked.status.last_handled_force_sync == asked.force_sync


def _silent(namespace: str, name: str, timeout: float) -> CliError:
    return CliError(
        f"the operator has not looked at {namespace}/{name} within {timeout:g} s",
        "it goes on by itself when it runs: a longer --timeout waits longer for a slow provider; else ask the platform "
        "team, whether the operator's pods run",
    )
