"""What the protocol writes down beside the documents: claims, seals, and replies that nobody could read.

They are versions of the same secret (or Kubernetes objects, in exclusive mode), so that whatever protects the tokens
protects them, and "create if absent" decides between replicas. No record holds a token, except the unreadable reply:
it may be the only copy of one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tolstoy_operator.domain.oauthdocument import MEMBER, MalformedDocument, OAuthDocument, Scheme
from tolstoy_operator.domain.secretvalue import SecretValue


class Fate(StrEnum):
    """What is known about an attempt to spend a refresh token, once it is over."""

    NOT_SENT = "not-sent"
    """No byte left, and none will."""
    REFUSED = "refused"
    """The provider read it and refused the grant."""
    REJECTED = "rejected"
    """The provider read it and refused it for another reason: nothing was consumed."""
    ANSWERED = "answered"
    """New tokens came."""
    IN_DOUBT = "in-doubt"
    """It may have been processed."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One replica alone may spend the token in attempt `n`.

    `token`: fingerprint of the refresh token. `scheme`: how attempts on it are reserved. `owner`, `cluster`: for
    people and for the choice of the waiting time. `nonce` makes the record unique, so that a repeated write is told
    from another's. `fates`: what the claimer knew of the attempts before this one.
    """

    of: str
    n: int
    token: str
    scheme: Scheme
    owner: str
    cluster: str
    nonce: str
    started_at: float
    fates: Mapping[int, Fate] = field(default_factory=dict)
    revokes: bool = False


@dataclass(frozen=True, slots=True)
class Seal:
    """The place of a result, taken by whoever takes over: the owner of attempt `n` can no longer fill it unseen.

    All takers write the same seal, so that the second one finds its work done.
    """

    of: str
    n: int
    token: str


@dataclass(frozen=True, slots=True)
class Doubt:
    """A reply that nobody could read, kept for a person: it may hold the only copy of a token."""

    of: str
    n: int
    token: str
    scheme: Scheme
    cause: str
    raw: SecretValue


@dataclass(frozen=True, slots=True)
class Ownership:
    """One cluster alone refreshes, beginning with the refresh token `of`."""

    cluster: str
    of: str


Record = Claim | Seal | Doubt | Ownership | OAuthDocument


def encode(record: Record) -> SecretValue:
    """The text to store. The same record always gives the same text."""
    match record:
        case OAuthDocument():
            return record.encode()
        case Claim():
            member: dict[str, Any] = {
                **_head("claim", record),
                "owner": record.owner,
                "cluster": record.cluster,
                "nonce": record.nonce,
                "startedAt": record.started_at,
                "fates": {str(n): fate.value for n, fate in sorted(record.fates.items())},
                **({"revokes": True} if record.revokes else {}),
            }
        case Ownership():
            member = {"kind": "owner", "cluster": record.cluster, "of": record.of}
        case Seal():
            member = {"kind": "seal", "of": record.of, "n": record.n, "token": record.token}
        case Doubt():
            member = {**_head("doubt", record), "cause": record.cause, "raw": record.raw.reveal()}
    return SecretValue(json.dumps({MEMBER: member}, separators=(",", ":")))


def decode(value: SecretValue | None) -> Record:
    """Raises `MalformedDocument` for what is neither a record nor a document."""
    document = OAuthDocument.parse(value)
    member = document.members.get(MEMBER)
    if not isinstance(member, dict) or "kind" not in member:
        return document
    try:
        return _RECORDS[member["kind"]](member)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise MalformedDocument("a record of the refresh protocol cannot be read") from None


def _head(kind: str, record: Claim | Doubt) -> dict[str, Any]:
    return {
        "kind": kind,
        "of": record.of,
        "n": record.n,
        "token": record.token,
        "scheme": record.scheme.value,
    }


def _read_head(member: dict[str, Any]) -> dict[str, Any]:
    return {key: member[key] for key in ("of", "n", "token")} | {"scheme": Scheme(member["scheme"])}


def _claim(member: dict[str, Any]) -> Claim:
    return Claim(
        **_read_head(member),
        owner=member["owner"],
        cluster=member["cluster"],
        nonce=member["nonce"],
        started_at=member["startedAt"],
        fates={int(n): Fate(fate) for n, fate in member["fates"].items()},
        revokes=member.get("revokes") is True,
    )


def _seal(member: dict[str, Any]) -> Seal:
    return Seal(of=member["of"], n=member["n"], token=member["token"])


def _ownership(member: dict[str, Any]) -> Ownership:
    return Ownership(cluster=member["cluster"], of=member["of"])


def _doubt(member: dict[str, Any]) -> Doubt:
    return Doubt(**_read_head(member), cause=member["cause"], raw=SecretValue(member["raw"]))


_RECORDS: dict[str, Callable[[dict[str, Any]], Record]] = {
    "claim": _claim,
    "seal": _seal,
    "owner": _ownership,
    "doubt": _doubt,
}


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One object of the journal without its payload. `secret`: the name of the upstream secret."""

    key: str
    secret: str
    created_at: float
