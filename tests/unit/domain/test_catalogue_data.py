"""The packaged entries: complete, consistent, and sourced."""

from __future__ import annotations

import json
import re
from datetime import date

import pytest

from tolstoy_operator.domain.catalogue import Body, ClientAuthentication, GrantKind, load_catalogue
from tolstoy_operator.domain.catalogue.entry import Call, Entry
from tolstoy_operator.domain.catalogue.provider import call_url
from tolstoy_operator.domain.endpointpolicy import EndpointPolicy, check_url
from tolstoy_operator.domain.replyrules import ReplyRules
from tolstoy_operator.domain.tokenoutcome import Accepted, InDoubt, Rejected, Rejection
from tolstoy_operator.domain.tokenreply import Sent, parse_reply
from tolstoy_operator.oauth.clientauth import AuthMethod
from tolstoy_operator.oauth.tokenrequest import BodyFormat

CATALOGUE = load_catalogue()
NAMES = list(CATALOGUE)
ENTRIES = {name: CATALOGUE.entry(name) for name in NAMES}
OWN = [name for name, entry in ENTRIES.items() if entry.like is None and name != "generic"]


def token_endpoint(entry: Entry) -> str:
    """The entry's token URL, with a tenant where it needs one."""
    assert entry.token_url is not None
    return re.sub(r"\{[a-z_]+\}", "tenant", entry.token_url.value)


def calls(entry: Entry) -> list[Call]:
    return [fact.value for fact in (entry.revoke, entry.introspect, entry.probe) if fact is not None and fact.value]


def test_there_are_as_many_providers_as_promised() -> None:
    assert len(OWN) >= 45


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_is_valid_and_becomes_a_provider(name: str) -> None:
    provider = CATALOGUE.provider(name)
    assert provider is not None
    assert provider.name == name


@pytest.mark.parametrize("name", NAMES)
def test_every_source_is_cited_and_an_address_and_not_of_the_future(name: str) -> None:
    entry = ENTRIES[name]
    assert {source for _, source in entry.cited()} == set(entry.sources)
    for source in entry.sources.values():
        assert source.at.startswith("https://")
        assert date(2005, 1, 1) < source.date <= date(2026, 11, 30)


@pytest.mark.parametrize("name", OWN)
def test_an_entry_says_how_a_token_is_had_and_something_more(name: str) -> None:
    entry = ENTRIES[name]
    assert entry.grant is not None
    assert len(list(entry.facts())) >= 2


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_says_what_is_known_of_replies_and_errors(name: str) -> None:
    entry = ENTRIES[name]
    assert {"reply", "errors"} <= entry.model_fields_set
    assert entry.errors != {}


@pytest.mark.parametrize("name", OWN)
def test_nothing_secret_goes_to_a_host_that_is_not_listed(name: str) -> None:
    entry = ENTRIES[name]
    policy = EndpointPolicy(hosts=entry.hosts.value if entry.hosts is not None else ())
    if entry.token_url is None:
        assert not calls(entry)
        return
    endpoint = token_endpoint(entry)
    if not endpoint.startswith("https://tenant/"):
        check_url(endpoint, policy)
    else:
        endpoint = endpoint.replace("https://tenant/", "https://" + policy.hosts[0].replace("*.", "tenant.") + "/")
    for call in calls(entry):
        check_url(call_url(call, token_endpoint=endpoint, client_id="id/&?"), policy)


@pytest.mark.parametrize("name", OWN)
def test_facts_do_not_contradict_each_other(name: str) -> None:
    entry = ENTRIES[name]
    provider = CATALOGUE.provider(name)
    assert provider is not None
    if provider.grant in (GrantKind.NONE, GrantKind.JWT_BEARER, GrantKind.APP_INSTALLATION):
        assert entry.rotation is None
        assert entry.refresh_idle is None
        assert entry.refresh_hard is None
    if provider.traits.strict:
        assert not provider.traits.forgiving


@pytest.mark.parametrize("name", OWN)
def test_a_plain_reply_is_read_with_the_rules_of_every_provider(name: str) -> None:
    provider = CATALOGUE.provider(name)
    assert provider is not None
    reply = {"access_token": "at", "token": "at", "refresh_token": "rt", "token_type": "bearer", "expires_in": 3600}
    reply |= dict(provider.reply.success)
    outcome = parse_reply(200, {}, json.dumps(reply).encode(), rules=provider.reply, sent=Sent(at=0.0))
    assert isinstance(outcome, Accepted)


@pytest.mark.parametrize("name", NAMES)
def test_error_codes_of_a_provider_mean_what_its_entry_says(name: str) -> None:
    provider = CATALOGUE.provider(name)
    assert provider is not None
    for code, meaning in provider.reply.errors.items():
        body = json.dumps({**dict.fromkeys(provider.reply.success, False), "error": code}).encode()
        outcome = parse_reply(400, {}, body, rules=provider.reply, sent=Sent(at=0.0))
        assert isinstance(outcome, Rejected)
        assert outcome.rejection is meaning


@pytest.mark.parametrize("name", NAMES)
def test_descriptions_of_a_provider_mean_what_its_entry_says(name: str) -> None:
    provider = CATALOGUE.provider(name)
    assert provider is not None
    for text in provider.reply.texts:
        body = json.dumps({"error": text.code, "error_description": f"It Says: {text.text.upper()}."}).encode()
        outcome = parse_reply(400, {}, body, rules=provider.reply, sent=Sent(at=0.0))
        assert isinstance(outcome, Rejected)
        assert outcome.rejection is text.rejection


def test_slack_says_no_with_status_200() -> None:
    provider = CATALOGUE.provider("slack")
    assert provider is not None
    body = b'{"ok": false, "error": "invalid_refresh_token"}'
    outcome = parse_reply(200, {}, body, rules=provider.reply, sent=Sent(at=0.0))
    assert isinstance(outcome, Rejected)
    assert outcome.rejection is Rejection.REAUTHORIZE
    contradiction = parse_reply(
        200, {}, b'{"ok": false, "access_token": "at"}', rules=provider.reply, sent=Sent(at=0.0)
    )
    assert isinstance(contradiction, InDoubt)


def test_words_of_the_catalogue_are_those_of_the_client() -> None:
    assert {item.value for item in ClientAuthentication} == {item.value for item in AuthMethod}
    assert {item.value for item in Body} == {item.value for item in BodyFormat}


def test_a_reply_without_peculiarities_has_the_standard_rules() -> None:
    provider = CATALOGUE.provider("generic")
    assert provider is not None
    assert provider.reply == ReplyRules()
