"""`kubectl tolstoy why`: one credential with everything that a person needs to see why it is as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import click

from tolstoy_operator.cli.cluster import Surroundings
from tolstoy_operator.cli.status import ready_cell
from tolstoy_operator.cli.table import Cell, Row, aligned, table
from tolstoy_operator.cli.text import both, clean, relative, stamp
from tolstoy_operator.cli.view import JSON_VERSION, CredentialView, explain
from tolstoy_operator.domain.consumers import Mode, Reader, Use, readers
from tolstoy_operator.domain.status import moment

_MOST_EVENTS: Final = 10
_MOST_NAMES: Final = 5

_MEANS: Final = {
    Mode.VOLUME: "follows the Secret, within about a minute",
    Mode.SUBPATH: "never changes while the container runs",
    Mode.ENV: "never changes while the container runs",
    Mode.IMAGE_PULL: "is read anew at each pull of an image",
    Mode.DRIVER: "is read by the volume's driver when it mounts",
    Mode.UNMOUNTED: "is a volume that no container mounts",
}
_RESTARTED: Final = ("Deployment", "StatefulSet", "DaemonSet")


@dataclass(frozen=True, slots=True)
class Report:
    """A credential and what is around it."""

    credential: CredentialView
    surroundings: Surroundings
    now: datetime

    @property
    def readers(self) -> list[Reader]:
        """Who reads the Secret."""
        target = self.credential.status.target
        if target is None:
            return []
        return readers(
            target.name,
            pods=self.surroundings.pods,
            templates=self.surroundings.templates,
            parents=self.surroundings.parents,
            changed_at=moment(target.last_sync_time),
        )

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
            "readers": [self._reader_json(reader) for reader in self.readers],
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

    def _reader_json(self, reader: Reader) -> dict[str, Any]:
        uses = [
            {
                "mode": use.mode,
                "container": use.container,
                "where": use.where,
                "follows": not use.mode.frozen,
                "missingKeys": list(missing_keys(use, self.credential)),
            }
            for use in reader.uses
        ]
        return {
            "kind": reader.kind,
            "name": reader.name,
            "pods": reader.pods,
            "outdatedPods": reader.outdated,
            "uses": uses,
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
        found = self.readers
        if not found:
            incomplete = " that you may read" if self.surroundings.unread else ""
            yield f"nobody: no pod, Deployment, StatefulSet, DaemonSet or CronJob{incomplete} names this Secret"
            return
        for reader in found:
            yield from self._reader(reader)

    def _reader(self, reader: Reader) -> Iterator[str]:
        count = "" if reader.kind == "Pod" else f" ({_pods(len(reader.pods))})"
        yield clean(f"{reader.kind} {reader.name}{count}")
        for use in reader.uses:
            yield clean(f"  {_use(use)}: {_MEANS[use.mode]}")
            missing = missing_keys(use, self.credential)
            if missing:
                keys = ", ".join(missing)
                yield clean(f"    the Secret does not hold {keys}: the container does not start; see spec.target.keys")
        if reader.outdated:
            names = ", ".join(reader.outdated[:_MOST_NAMES]) + (", …" if len(reader.outdated) > _MOST_NAMES else "")
            yield click.style(clean(f"  started before the last change, so with an old value: {names}"), fg="yellow")
        if any(use.mode.frozen for use in reader.uses):
            yield clean(f"  to do: {_advice(reader, self.credential.namespace)}")

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


def missing_keys(use: Use, credential: CredentialView) -> tuple[str, ...]:
    """The keys that must be there and are not. A Secret that others write too may hold keys that we don't know."""
    target = credential.status.target
    if target is None or credential.merges:
        return ()
    return tuple(key for key in use.keys if key not in target.keys)


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield ""
        yield title
        yield from (f"  {line}" for line in lines)


def _use(use: Use) -> str:
    where = f"{use.mode} {use.where}" if use.mode is not Mode.IMAGE_PULL else use.where
    return f"{where} in container {use.container}" if use.container else where


def _advice(reader: Reader, namespace: str) -> str:
    if reader.kind in _RESTARTED:
        restart = f"kubectl rollout restart {reader.kind.lower()}/{reader.name} -n {namespace} after each change"
    elif reader.kind in ("CronJob", "Job"):
        restart = "let each run start after the change that it needs"
    else:
        restart = "make the pod anew after each change"
    return f"mount the Secret as a whole volume, without subPath, and read the file; or {restart}"


def _pods(count: int) -> str:
    return {0: "no pods at present", 1: "1 pod"}.get(count, f"{count} pods")


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
