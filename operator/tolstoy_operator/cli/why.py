"""`kubectl tolstoy why`: one credential with everything that a person needs to see why it is as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from tolstoy_operator.cli.cluster import Surroundings
from tolstoy_operator.cli.readers import reader_json, reader_lines, readers_of
from tolstoy_operator.cli.status import ready_cell
from tolstoy_operator.cli.table import Cell, Row, aligned, table
from tolstoy_operator.cli.text import both, clean, relative, stamp
from tolstoy_operator.cli.view import JSON_VERSION, CredentialView, explain
from tolstoy_operator.domain.consumers import Reader
from tolstoy_operator.domain.status import moment

_MOST_EVENTS: Final = 10


@dataclass(frozen=True, slots=True)
class Report:
    """A credential and what is around it."""

    credential: CredentialView
    surroundings: Surroundings
    now: datetime

    def _found(self) -> list[Reader]:
        return readers_of(self.credential, self.surroundings)

    def events(self) -> list[Mapping[str, Any]]:
        """The Events, newest last."""
        found: list[Mapping[str, Any]] = [*self.surroundings.events]
        return sorted(found, key=lambda event: stamp(seen_at(event)) or "")[-_MOST_EVENTS:]

    def to_json(self) -> dict[str, Any]:
        """The documented form."""
        status = self.credential.status
        return {
            "apiVersion": JSON_VERSION,
            "kind": "Explanation",
            "credential": self.credential.to_json(self.now),
            "conditions": [item.model_dump(mode="json", by_alias=True) for item in status.conditions],
            "lastError": status.grant.last_error.model_dump(mode="json", by_alias=True)
            if status.grant and status.grant.last_error
            else None,
            "readers": [reader_json(reader, self.credential) for reader in self._found()],
            "events": [
                {
                    "time": stamp(seen_at(event)),
                    "type": event.get("type"),
                    "reason": event.get("reason"),
                    "message": event.get("message"),
                }
                for event in self.events()
            ],
            "unread": self.surroundings.unread,
        }

    def lines(self) -> Iterator[str]:
        """The report for people."""
        yield from self._head()
        yield from _section("Conditions", self._conditions())
        yield from _section("Token", aligned(list(self._token())))
        yield from _section("Secret", aligned(list(self._secret())))
        yield from _section("Read by", list(self._readers()))
        yield from _section("Events", self._events())
        yield from _section("Not shown", [clean(sentence) for sentence in self.surroundings.unread])

    def _head(self) -> Iterator[str]:
        item = self.credential
        what = f"{item.tool} for {item.org_id}" if item.tool else f"secret {item.secret_name}"
        yield clean(f"{item.namespace}/{item.name}: {what}")
        rows: list[Row] = [("ready", Cell(f"{item.ready} ({item.reason})", ready_cell(item).colour))]
        rows.append(("cause", item.explanation.cause))
        if item.explanation.who_acts:
            rows.append(("who acts", item.explanation.who_acts))
            rows.append(("next try", item.explanation.next_try))
        if not item.observed and item.status.observed_generation is not None:
            rows.append(("note", "the spec has changed since; the operator has not looked at it yet"))
        if item.deleting:
            rows.append(("note", "it is being deleted"))
        yield from (f"  {line}" for line in aligned(rows))

    def _conditions(self) -> list[str]:
        rows: list[Row] = [
            (
                item.type,
                item.status,
                item.reason,
                _since(item.last_transition_time, self.now),
                explain(item.reason, item.message).cause,
            )
            for item in self.credential.status.conditions
        ]
        return table(("TYPE", "STATUS", "REASON", "SINCE", "CAUSE"), rows) if rows else []

    def _token(self) -> Iterator[Row]:
        grant = self.credential.status.grant
        if grant is None or not self.credential.state:
            return
        yield ("state", grant.state)
        for label, at in (
            ("ends", self.credential.expires_at),
            ("issued", moment(grant.last_refresh_time)),
            ("next refresh", self.credential.next_refresh),
            ("refresh token ends", moment(grant.refresh_token_expires_at)),
        ):
            if at is not None:
                yield (label, both(at, self.now))
        if grant.rotation is not None:
            yield ("refresh token", grant.rotation.lower())
        if grant.scopes:
            yield ("scopes", grant.scopes)
        if grant.last_error is not None:
            error = grant.last_error
            yield ("last error", f"{error.code}, {_since(error.time, self.now)}: {error.message}")

    def _secret(self) -> Iterator[Row]:
        target, upstream = self.credential.status.target, self.credential.status.upstream
        if target is None:
            yield ("name", "there is none that the operator has written")
        else:
            yield ("name", target.name)
            yield ("keys", ", ".join(target.keys))
            yield ("last change", both(moment(target.last_sync_time), self.now))
        if upstream is not None:
            yield ("upstream", f"{upstream.name}{f' in {upstream.region}' if upstream.region else ''}")
            yield ("upstream version", upstream.version_id or "-")

    def _readers(self) -> Iterator[str]:
        if self.credential.status.target is None:
            return
        found = self._found()
        if not found:
            incomplete = " that you may read" if self.surroundings.unread else ""
            yield f"nobody: no pod, Deployment, StatefulSet, DaemonSet or CronJob{incomplete} names this Secret"
            return
        for reader in found:
            yield from reader_lines(reader, self.credential)

    def _events(self) -> list[str]:
        rows: list[Row] = [
            (
                relative(at, self.now) if (at := seen_at(event)) else "",
                str(event.get("type") or ""),
                str(event.get("reason") or ""),
                str(event.get("message") or ""),
            )
            for event in self.events()
        ]
        return table(("SEEN", "TYPE", "REASON", "MESSAGE"), rows) if rows else []


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield ""
        yield title
        yield from (f"  {line}" for line in lines)


def _since(text: str, now: datetime) -> str:
    at = moment(text)
    return relative(at, now) if at else "-"


def seen_at(event: Mapping[str, Any]) -> datetime | None:
    """When an Event was seen last."""
    series = event.get("series") or {}
    return moment(
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
    )
