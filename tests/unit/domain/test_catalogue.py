"""Reading, laying over and refusing entries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tolstoy_operator.domain.catalogue import CatalogueError, Credentials, GrantKind, load_catalogue
from tolstoy_operator.domain.catalogue.entry import FACTS
from tolstoy_operator.domain.catalogue.facts import known
from tolstoy_operator.domain.refresh import OldAccessToken, Rotation
from tolstoy_operator.domain.replyrules import STANDARD, LifetimeUnit
from tolstoy_operator.domain.tokenoutcome import Rejection


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(name: str, content: str | dict[str, Any]) -> Path:
        text = content if isinstance(content, str) else yaml.safe_dump(content)
        (tmp_path / name).write_text(text, "utf-8")
        return tmp_path

    return write


def fact(value: object) -> dict[str, object]:
    return {"value": value, "source": "wiki"}


def acme(**facts: object) -> dict[str, Any]:
    """An entry of an organisation."""
    return {
        "title": "Acme",
        "like": "generic",
        "sources": {"wiki": {"at": "our wiki, OAuth page", "date": "2026-11-24"}},
        "token_url": fact("https://login.acme.example/token"),
        "hosts": fact(["login.acme.example"]),
        **facts,
    }


def test_a_tool_in_no_file_has_no_provider() -> None:
    catalogue = load_catalogue()
    assert catalogue.provider("no-such-tool") is None
    with pytest.raises(KeyError):
        catalogue.entry("no-such-tool")


@pytest.mark.parametrize("name", ["../../secrets", "", "data/slack", ".."])
def test_a_tool_is_never_a_path(name: str) -> None:
    assert load_catalogue().provider(name) is None


def test_a_provider_is_made_once() -> None:
    catalogue = load_catalogue()
    assert catalogue.provider("slack") is catalogue.provider("slack")


def test_an_organisation_adds_an_entry(write: Any) -> None:
    provider = load_catalogue(write("acme.yaml", acme(lifetime=fact("20m"), rotation=fact("rotating")))).provider(
        "acme"
    )
    assert provider is not None
    assert provider.token_url == "https://login.acme.example/token"
    assert provider.hosts == ("login.acme.example",)
    assert provider.traits.lifetime_s == 1200
    assert provider.traits.strict
    assert provider.grant is GrantKind.REFRESH_TOKEN


def test_an_organisation_lays_single_facts_over_an_entry(write: Any) -> None:
    ours = load_catalogue().provider("github-app")
    directory = write(
        "github-app.yaml",
        {
            "sources": {"wiki": {"at": "our wiki", "date": "2026-11-24"}},
            "token_url": fact("https://github.acme.example/login/oauth/access_token"),
            "hosts": fact(["github.acme.example"]),
            "revoke": fact("none"),
        },
    )
    theirs = load_catalogue(directory).provider("github-app")
    assert ours is not None
    assert theirs is not None
    assert theirs.hosts == ("github.acme.example",)
    assert theirs.revoke is None
    assert theirs.title == ours.title
    assert theirs.traits == ours.traits


def test_unknown_takes_a_fact_back(write: Any) -> None:
    provider = load_catalogue(write("slack.yaml", {"rotation": "unknown"})).provider("slack")
    assert provider is not None
    assert provider.traits.rotation is Rotation.UNKNOWN


def test_unknown_takes_the_meanings_of_errors_back(write: Any) -> None:
    provider = load_catalogue(write("slack.yaml", {"errors": "unknown", "reply": "unknown"})).provider("slack")
    assert provider is not None
    assert provider.reply is STANDARD


def test_what_is_standard_has_a_source_and_the_rules_of_the_unknown(write: Any) -> None:
    catalogue = load_catalogue(write("acme.yaml", acme(reply=fact("standard"), errors=fact("standard"))))
    provider = catalogue.provider("acme")
    assert provider is not None
    assert provider.reply is STANDARD
    assert {("reply", "wiki"), ("errors", "wiki")} <= set(catalogue.entry("acme").cited())


def test_an_entry_of_an_organisation_need_not_speak_of_replies_and_errors(write: Any) -> None:
    whole = {**dict.fromkeys(FACTS, "unknown"), "title": "Acme", "sources": {}}
    provider = load_catalogue(write("acme.yaml", whole)).provider("acme")
    assert provider is not None
    assert provider.reply is STANDARD


def test_a_tool_that_is_like_another_follows_its_overrides(write: Any) -> None:
    directory = write(
        "atlassian.yaml", {"sources": {"wiki": {"at": "our wiki", "date": "2026-11-24"}}, "lifetime": fact("15m")}
    )
    provider = load_catalogue(directory).provider("jira")
    assert provider is not None
    assert provider.name == "jira"
    assert provider.traits.lifetime_s == 900


def test_an_entry_that_says_what_it_is_like_takes_nothing_from_ours_of_its_name(write: Any) -> None:
    provider = load_catalogue(write("slack.yaml", acme())).provider("slack")
    assert provider is not None
    assert not provider.reply.success
    assert provider.revoke is None


def test_a_circle_is_told(write: Any) -> None:
    write("one.yaml", acme(like="two"))
    directory = write("two.yaml", acme(like="one"))
    with pytest.raises(CatalogueError, match="circle"):
        load_catalogue(directory)


def test_files_that_are_no_entries_are_left_alone(write: Any, tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    write(".hidden.yaml", "- no entry")
    write("README.md", "# words")
    assert load_catalogue(tmp_path).provider("slack") is not None


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="nowhere: cannot be read"):
        load_catalogue(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rotation": fact("perhaps")}, r"acme\.yaml: rotation\.value: .*'rotating', 'static' or 'sometimes'"),
        ({"rotation": "rotating"}, r"acme\.yaml: rotation: neither `unknown` nor a value with its source"),
        ({"rotation": None}, r"acme\.yaml: rotation: empty: write `unknown`"),
        ({"rotation": {"value": "rotating"}}, r"acme\.yaml: rotation\.source: Field required"),
        (
            {"rotation": {"value": "rotating", "source": "x"}},
            r"acme\.yaml: rotation: the source 'x' is not in the list",
        ),
        ({"lifetime": fact("1 hour")}, r"acme\.yaml: lifetime\.value: not a duration"),
        ({"lifetime": fact(3600)}, r"acme\.yaml: lifetime\.value: not a duration"),
        ({"lifetyme": fact("1h")}, r"acme\.yaml: lifetyme: Extra inputs are not permitted"),
        ({"hosts": fact(["*.com"])}, r"acme\.yaml: hosts: '\*\.com' is neither a host name"),
        ({"hosts": fact("login.acme.example")}, r"acme\.yaml: hosts\.value: "),
        ({"token_url": fact("http://login.acme.example/")}, r"acme\.yaml: token_url: not an https URL"),
        ({"revoke": fact({"url": "http://x/revoke"})}, r"acme\.yaml: revoke\.value\.url: neither an https URL"),
        ({"revoke": fact({"url": "//evil.example/revoke"})}, r"acme\.yaml: revoke\.value\.url: neither an https URL"),
        ({"revoke": fact({"url": "{host}/revoke"})}, r"acme\.yaml: revoke\.value\.url: the only placeholder"),
        ({"revoke": fact({"url": "revoke", "parameter": None})}, r"acme\.yaml: revoke\.value: a token travels in"),
        (
            {"probe": fact({"url": "me", "credentials": "bearer", "parameter": None})},
            r"acme\.yaml: probe\.value: bearer credentials carry an access token",
        ),
        ({"errors": {"a b": fact("transient")}}, r"acme\.yaml: errors: 'a b' is no error code"),
        ({"errors": {"bad": fact("fatal")}}, r"acme\.yaml: errors\.code\.bad\.value: "),
        ({"errors": ["bad"]}, r"acme\.yaml: errors\.code: "),
        ({"errors": "standard"}, r"acme\.yaml: errors: neither `unknown` nor a value with its source"),
        ({"errors": fact("usual")}, r"acme\.yaml: errors\.all\.value: Input should be 'standard'"),
        ({"errors": {"value": "standard", "source": "x"}}, r"acme\.yaml: errors: the source 'x' is not in the list"),
        ({"reply": fact("usual")}, r"acme\.yaml: reply\.value: "),
        ({"sources": {"wiki": {"at": "our wiki"}}}, r"acme\.yaml: sources\.wiki\.date: Field required"),
        ({"sources": ["wiki"]}, r"acme\.yaml: sources: not a mapping"),
        ({"sources": {"rfc6749": {"at": "x", "date": "2026-11-24"}}}, r"acme\.yaml: sources\.rfc6749: taken by"),
        ({"like": "nobody"}, r"acme\.yaml: like: there is no entry 'nobody'"),
    ],
)
def test_a_mistake_is_told_with_file_and_field(write: Any, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(CatalogueError, match=told):
        load_catalogue(write("acme.yaml", acme(**changes)))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "acme.yaml: not YAML: "),
        ("- a\n", "acme.yaml: not a mapping of names to facts"),
        ("1: 2\n", "acme.yaml: not a mapping of names to facts"),
        ("", "acme.yaml: not a mapping of names to facts"),
        ("a: " + "x" * 70_000, "acme.yaml: larger than"),
        ("!!python/object/apply:os.system ['true']", "acme.yaml: not YAML: "),
    ],
)
def test_a_file_that_cannot_be_read_is_told(write: Any, text: str, told: str) -> None:
    with pytest.raises(CatalogueError, match=told):
        load_catalogue(write("acme.yaml", text))


def test_a_name_that_no_tool_can_have_is_told(write: Any) -> None:
    with pytest.raises(CatalogueError, match=r"Acme\.yaml: name: "):
        load_catalogue(write("Acme.yaml", acme()))


def test_all_mistakes_are_told_at_once(write: Any) -> None:
    write("one.yaml", acme(lifetime=fact("1"), rotation=fact("x")))
    directory = write("two.yaml", "[")
    with pytest.raises(CatalogueError) as told:
        load_catalogue(directory)
    lines = str(told.value).splitlines()
    assert sorted(line.split(": ")[0] for line in lines) == ["one.yaml", "one.yaml", "two.yaml"]


def test_values_become_the_terms_of_protocol_and_reader(write: Any) -> None:
    directory = write(
        "acme.yaml",
        acme(
            rotation=fact("sometimes"),
            reuse_grace=fact("30s"),
            old_access_token=fact("revoked"),
            lifetime=fact("never"),
            refresh_idle=fact("90d"),
            refresh_hard=fact("never"),
            reply=fact({"expires_in_unit": "ms", "containers": ["data", ""], "success": {"ok": True}}),
            errors={"gone": fact("reauthorize")},
            texts=[{"code": "invalid_request", "text": "was invalid", "value": "reauthorize", "source": "wiki"}],
            probe=fact(
                {"url": "/me", "method": "GET", "credentials": "bearer", "parameter": None, "tokens": ["access"]}
            ),
            parameters=fact({"audience": "x"}),
        ),
    )
    provider = load_catalogue(directory).provider("acme")
    assert provider is not None
    assert provider.traits.rotation is Rotation.UNKNOWN
    assert provider.traits.claims
    assert provider.traits.forgiving
    assert provider.traits.old_access_token is OldAccessToken.DIES
    assert provider.traits.lifetime_s is None
    assert provider.traits.refresh_hard_s is None
    assert provider.traits.refresh_idle_s == 90 * 86_400
    assert provider.reply.expires_in_unit is LifetimeUnit.MILLISECONDS
    assert provider.reply.containers == ("data", "")
    assert provider.reply.access_token == ("access_token", "accessToken")
    assert provider.reply.errors == {"gone": Rejection.REAUTHORIZE}
    assert provider.reply.texts[0].text == "was invalid"
    assert provider.probe is not None
    assert provider.probe.credentials is Credentials.BEARER
    assert provider.parameters == {"audience": "x"}


def test_unknown_rotation_locks_like_a_rotating_provider_and_recovers_at_once(write: Any) -> None:
    provider = load_catalogue(write("acme.yaml", acme())).provider("acme")
    assert provider is not None
    assert provider.traits.claims
    assert not provider.traits.strict


def test_an_endpoint_by_tenant_is_left_to_the_secret(write: Any) -> None:
    directory = write("acme.yaml", acme(token_url=fact("https://{tenant}.acme.example/token")))
    provider = load_catalogue(directory).provider("acme")
    assert provider is not None
    assert provider.token_url is None


@pytest.mark.parametrize("value", [None, "rotating", "Unknown"])
def test_only_the_word_unknown_is_no_fact(value: object) -> None:
    with pytest.raises(ValueError):
        known(value)
    assert known("unknown") is None
