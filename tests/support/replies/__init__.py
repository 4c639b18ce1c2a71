"""Replies of token endpoints in the shapes that providers are known to send, with what each must be taken for.

The files beside this one are data, written by hand. A body is `json`, `body` (text, or a repeated piece for the large
ones) or `hex`. `expect` names the outcome: `accepted`, `rejected` or `in_doubt`. `provider` names an entry of the
catalogue, and the reply is then read as the operator would; only a reply of `any` may bring its own `rules`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tolstoy_operator.domain.catalogue import Catalogue, load_catalogue
from tolstoy_operator.domain.replyrules import LifetimeUnit, ReplyRules
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.domain.tokenoutcome import Rejection
from tolstoy_operator.domain.tokenreply import Grant, Sent

ANY = "any"
SENT_AT = 1_790_000_000.0
_GRANTS = {"client-credentials": Grant.CLIENT_CREDENTIALS, "jwt-bearer": Grant.JWT_BEARER}
_KNOWN = {"name", "provider", "status", "headers", "json", "body", "hex", "rules", "grant", "used", "expect"}


@dataclass(frozen=True)
class Reply:
    """One recorded shape."""

    name: str
    status: int
    headers: dict[str, str]
    body: bytes
    rules: ReplyRules
    sent: Sent
    expect: dict[str, Any]


def load() -> list[Reply]:
    """All replies of the corpus."""
    here, catalogue = Path(__file__).parent, load_catalogue()
    files = [file.read_text("utf-8") for file in sorted(here.glob("*.yaml"))]
    items = [item for text in files for item in yaml.load(text, yaml.CSafeLoader)]
    return [_reply(item, catalogue) for item in items]


def _reply(item: dict[str, Any], catalogue: Catalogue) -> Reply:
    assert set(item) <= _KNOWN, f"unknown members in {item['name']}"
    used = item.get("used")
    return Reply(
        name=item["name"],
        status=item["status"],
        headers=item.get("headers", {"Content-Type": "application/json"}),
        body=_body(item),
        rules=_rules(item, catalogue),
        sent=Sent(
            at=SENT_AT,
            grant=_GRANTS.get(item.get("grant", ""), Grant.REFRESH_TOKEN),
            access_token=None if used is None else SecretValue(used),
        ),
        expect=item["expect"],
    )


def _body(item: dict[str, Any]) -> bytes:
    if "json" in item:
        return json.dumps(item["json"]).encode()
    if "hex" in item:
        return bytes.fromhex(item["hex"])
    body = item["body"]
    if isinstance(body, dict):
        body = body["prefix"] + body["repeat"] * body["times"] + body["suffix"]
    return str(body).encode()


def _rules(item: dict[str, Any], catalogue: Catalogue) -> ReplyRules:
    if item["provider"] == ANY:
        return _own_rules(item.get("rules", {}))
    provider = catalogue.provider(item["provider"])
    assert provider is not None, f"no entry {item['provider']!r}: {item['name']}"
    assert "rules" not in item, f"the catalogue has the rules of {item['provider']!r}: {item['name']}"
    return provider.reply


def _own_rules(item: dict[str, Any]) -> ReplyRules:
    changes: dict[str, Any] = {}
    for key, value in item.items():
        match key:
            case "errors":
                changes[key] = {code: Rejection(name) for code, name in value.items()}
            case "bearer_types":
                changes[key] = frozenset(value)
            case "expires_in_unit":
                changes[key] = LifetimeUnit(value)
            case _:
                changes[key] = tuple(value) if isinstance(value, list) else value
    return ReplyRules(**changes)
