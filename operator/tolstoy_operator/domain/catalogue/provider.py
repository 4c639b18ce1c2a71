"""What a running operator keeps of an entry: the values, without their sources."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote, urljoin

from tolstoy_operator.domain.catalogue.entry import (
    Body,
    Call,
    ClientAuthentication,
    Entry,
    GrantKind,
    RotationFact,
)
from tolstoy_operator.domain.catalogue.facts import Fact
from tolstoy_operator.domain.refresh import OldAccessToken, ProviderTraits, Rotation
from tolstoy_operator.domain.replyrules import STANDARD, ReplyRules, TextRule

T = TypeVar("T")

_ROTATION = {RotationFact.ROTATING: Rotation.ROTATES, RotationFact.STATIC: Rotation.NONE}
"""Everything else locks like a rotating provider and recovers like a forgiving one, which is what UNKNOWN means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider, ready for use.

    `token_url` None: the stored secret's `tokenEndpoint` is needed. `hosts`: where tokens and client secrets may go, in
    the form of `EndpointPolicy.hosts`. `authentication`: the methods the provider takes, the better one first; empty =
    unknown. `traits`: for the refresh protocol.
    `revoke`, `introspect`, `probe` None: there is none, or nobody knows of one.
    """

    name: str
    title: str
    grant: GrantKind
    token_url: str | None
    hosts: tuple[str, ...]
    authentication: tuple[ClientAuthentication, ...]
    body: Body
    parameters: dict[str, str]
    headers: dict[str, str]
    reply: ReplyRules
    traits: ProviderTraits
    revoke: Call | None
    introspect: Call | None
    probe: Call | None


def call_url(call: Call, *, token_endpoint: str, client_id: str) -> str:
    """The URL of a call for one grant. It must pass the tool's `EndpointPolicy` like every other."""
    return urljoin(token_endpoint, call.url).replace("{client_id}", quote(client_id, safe=""))


def provider_of(entry: Entry) -> Provider:
    """The entry's values. Unknown ones become the standard's defaults where it has one."""
    return Provider(
        name=entry.name,
        title=entry.title,
        grant=_value(entry.grant) or GrantKind.REFRESH_TOKEN,
        token_url=None if entry.token_url is None or entry.tenant_endpoint else entry.token_url.value,
        hosts=_value(entry.hosts) or (),
        authentication=_value(entry.client_auth) or (),
        body=_value(entry.body) or Body.FORM,
        parameters=_value(entry.parameters) or {},
        headers=_value(entry.headers) or {},
        reply=_rules(entry),
        traits=_traits(entry),
        revoke=_value(entry.revoke),
        introspect=_value(entry.introspect),
        probe=_value(entry.probe),
    )


def _value(fact: Fact[T] | None) -> T | None:
    return None if fact is None else fact.value


def _traits(entry: Entry) -> ProviderTraits:
    rotation, old = _value(entry.rotation), _value(entry.old_access_token)
    return ProviderTraits(
        rotation=Rotation.UNKNOWN if rotation is None else _ROTATION.get(rotation, Rotation.UNKNOWN),
        reuse_grace_s=_value(entry.reuse_grace) or 0.0,
        old_access_token=OldAccessToken.UNKNOWN if old is None else old.fate,
        lifetime_s=_limit(entry.lifetime),
        refresh_idle_s=_limit(entry.refresh_idle),
        refresh_hard_s=_limit(entry.refresh_hard),
    )


def _limit(fact: Fact[float] | None) -> float | None:
    """None where nothing ends, and where nobody knows."""
    value = _value(fact)
    return None if value == math.inf else value


def _rules(entry: Entry) -> ReplyRules:
    changed = {} if entry.reply is None else entry.reply.value.model_dump(exclude_none=True)
    if not changed and not entry.codes and not entry.texts:
        return STANDARD
    return ReplyRules(
        **changed,
        errors={code: fact.value for code, fact in entry.codes.items()},
        texts=tuple(TextRule(text.code, text.text, text.value) for text in entry.texts),
    )
