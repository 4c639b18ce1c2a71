"""Typed credentials of organisations."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.support.fakestore import FakeStore
from tolstoy_operator.api.v1 import CredentialType
from tolstoy_operator.domain.documents import MalformedSecret
from tolstoy_operator.domain.errors import (
    AlreadyExists,
    InvalidRequest,
    LabelMoved,
    SecretNotFound,
    SecretPendingDeletion,
    StoreError,
    StoreUnavailable,
)
from tolstoy_operator.domain.naming import InvalidName
from tolstoy_operator.domain.oauthdocument import Bookkeeping, OAuthDocument, Scheme, consented_at, merge
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.domain.tokenoutcome import Tokens
from tolstoy_operator.observability.audit import Actor, Entry
from tolstoy_operator.services.resolver import ClientCredentials, NewerConsent, OAuthCredentials, SecretsResolver
from tolstoy_operator.services.secrets import SecretsService

NAME = "tolstoy/github/org-1"
ORG = ("github", "org-1")
EXPIRES = 1_790_000_000_000
NOW = datetime(2026, 9, 21, 14, 26, 40, 123456, tzinfo=timezone(timedelta(hours=2)))
STAMP = "2026-09-21T12:26:40.123Z"


@dataclass
class Bench:
    store: FakeStore = field(default_factory=FakeStore)
    pauses: list[float] = field(default_factory=list)
    audited: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.secrets = SecretsService(
            self.store, cache_ttl=300, stale_max_age=3600, window=0, record=self.audited.append
        )
        self.resolver = SecretsResolver(
            self.secrets, database_secret="conductor-db-secret", now=lambda: NOW, sleep=self.sleep
        )

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    def stored(self, name: str = NAME) -> dict[str, Any]:
        stored: dict[str, Any] = json.loads(self.store.read(name))
        return stored


@pytest.fixture
def bench() -> Bench:
    return Bench()


FULL = OAuthCredentials(
    access_token=SecretValue("at"),
    refresh_token=SecretValue("rt"),
    expires_at_ms=EXPIRES,
    scope="repo",
    token_type="bearer",
    client_id="id",
    client_secret=SecretValue("cs"),
    token_endpoint="https://github.example/token",
)


async def test_a_grant_goes_in_and_comes_back(bench: Bench) -> None:
    version_id = await bench.resolver.set_oauth_credentials(*ORG, FULL)
    assert await bench.resolver.oauth_credentials(*ORG) == FULL
    assert bench.secrets.versions_known() == {NAME: version_id}
    assert bench.stored() == {
        "accessToken": "at",
        "refreshToken": "rt",
        "expiresAt": EXPIRES,
        "scope": "repo",
        "tokenType": "bearer",
        "clientId": "id",
        "clientSecret": "cs",
        "tokenEndpoint": "https://github.example/token",
        "lastUpdated": STAMP,
    }


async def test_a_grant_that_says_little_is_read_as_such(bench: Bench) -> None:
    bench.store.write(NAME, {"accessToken": "at", "refreshToken": "", "expiresAt": None, "scope": None})
    assert await bench.resolver.oauth_credentials(*ORG) == OAuthCredentials(access_token=SecretValue("at"))


async def test_what_was_known_of_a_refresh_token_goes_with_it(bench: Bench) -> None:
    bench.store.write(NAME, {"refreshToken": "old", "refreshTokenExpiresAt": 1, "lastUpdated": "x"})
    await bench.resolver.set_oauth_credentials(*ORG, OAuthCredentials(access_token=SecretValue("new")))
    assert bench.stored()["refreshTokenExpiresAt"] == 1
    await bench.resolver.set_oauth_credentials(*ORG, FULL)
    assert "refreshTokenExpiresAt" not in bench.stored()


async def test_what_was_noted_of_other_tokens_goes_with_them(bench: Bench) -> None:
    noted = {"revoked": True, "base": "b"}
    bench.store.write(NAME, {"clientId": "id", "tolstoy": noted})
    await bench.resolver.set_oauth_credentials(*ORG, FULL)
    assert "tolstoy" not in bench.stored()
    bench.store.write(NAME, {**bench.stored(), "tolstoy": noted})
    await bench.resolver.set_oauth_credentials(*ORG, FULL)
    assert bench.stored()["tolstoy"] == noted, "nothing was to be stored"


async def test_a_write_changes_its_members_and_keeps_all_others(bench: Bench) -> None:
    bench.store.write(NAME, {"custom": {"kept": [1]}, "accessToken": "old", "refreshToken": "rt", "lastUpdated": "x"})
    await bench.resolver.set_oauth_credentials(*ORG, OAuthCredentials(access_token=SecretValue("new")))
    expected = {"custom": {"kept": [1]}, "accessToken": "new", "refreshToken": "rt", "lastUpdated": STAMP}
    assert bench.stored() == expected
    assert list(bench.stored()) == list(expected)


async def test_a_write_builds_on_what_is_stored_now_and_not_on_what_was_read_before(bench: Bench) -> None:
    bench.store.write(NAME, {"apiKey": "a"})
    await bench.resolver.api_key(*ORG)
    bench.store.write(NAME, {"apiKey": "a", "added": "by somebody"})
    await bench.resolver.set_api_key(*ORG, SecretValue("b"))
    assert bench.stored() == {"apiKey": "b", "added": "by somebody", "createdAt": STAMP}


async def test_an_api_key(bench: Bench) -> None:
    await bench.resolver.set_api_key(*ORG, SecretValue("key"))
    assert await bench.resolver.api_key(*ORG) == SecretValue("key")
    assert bench.stored() == {"apiKey": "key", "createdAt": STAMP}


async def test_a_webhook_secret(bench: Bench) -> None:
    await bench.resolver.set_webhook_secret(*ORG, SecretValue("hook"))
    assert await bench.resolver.webhook_secret(*ORG) == SecretValue("hook")
    assert bench.stored() == {"webhookSecret": "hook"}


async def test_client_credentials(bench: Bench) -> None:
    client = ClientCredentials("id", SecretValue("cs"))
    await bench.resolver.set_client_credentials(*ORG, client)
    assert await bench.resolver.client_credentials(*ORG) == client
    assert bench.stored() == {"clientId": "id", "clientSecret": "cs"}
    fuller = ClientCredentials("id", SecretValue("cs"), "https://t.example", "read")
    await bench.resolver.set_client_credentials(*ORG, fuller)
    assert await bench.resolver.client_credentials(*ORG) == fuller


async def test_the_platforms_database(bench: Bench) -> None:
    bench.store.write("conductor-db-secret", {"DATABASE_URL": "postgresql://h/d", "DIRECT_URL": "postgresql://h/e"})
    database = await bench.resolver.database()
    assert (database.database_url.reveal(), database.direct_url) == (
        "postgresql://h/d",
        SecretValue("postgresql://h/e"),
    )
    bench.secrets.clear()
    bench.store.write("conductor-db-secret", {"DATABASE_URL": "postgresql://h/d"})
    assert (await bench.resolver.database()).direct_url is None


async def test_validation_finds_the_shape_or_says_what_is_wrong(bench: Bench) -> None:
    bench.store.write(NAME, {"apiKey": "k"})
    assert await bench.resolver.validate(*ORG) is CredentialType.API_KEY
    with pytest.raises(MalformedSecret, match="webhookSecret"):
        await bench.resolver.validate(*ORG, CredentialType.WEBHOOK)


@pytest.mark.parametrize(
    ("tool", "org"),
    [("github", "../org-2"), ("github", "a/b"), ("git/hub", "org-1"), ("", "org-1"), ("github", ""), ("github", "*")],
)
async def test_nobody_leaves_their_organisation(bench: Bench, tool: str, org: str) -> None:
    resolver = bench.resolver
    for attempt in (
        resolver.oauth_credentials(tool, org),
        resolver.set_oauth_credentials(tool, org, FULL),
        resolver.api_key(tool, org),
        resolver.set_api_key(tool, org, SecretValue("x")),
        resolver.webhook_secret(tool, org),
        resolver.set_webhook_secret(tool, org, SecretValue("x")),
        resolver.client_credentials(tool, org),
        resolver.set_client_credentials(tool, org, ClientCredentials("i", SecretValue("s"))),
        resolver.validate(tool, org),
    ):
        with pytest.raises(InvalidName):
            await attempt
    assert bench.store.calls == []


async def test_organisations_do_not_see_each_other(bench: Bench) -> None:
    await bench.resolver.set_api_key("github", "org-1", SecretValue("one"))
    await bench.resolver.set_api_key("github", "org-2", SecretValue("two"))
    await bench.resolver.set_api_key("slack", "org-1", SecretValue("three"))
    assert (await bench.resolver.api_key("github", "org-1")).reveal() == "one"
    assert (await bench.resolver.api_key("github", "org-2")).reveal() == "two"
    with pytest.raises(SecretNotFound):
        await bench.resolver.api_key("slack", "org-2")


class TestNewerConsents:
    """A consent that is newer than what is to be stored stays, however often it was refreshed."""

    ISSUED = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)

    async def store(self, bench: Bench, at: datetime, token: str = "rt") -> str:
        credentials = replace(FULL, refresh_token=SecretValue(token))
        return await bench.resolver.set_oauth_credentials(*ORG, credentials, issued_at=at)

    async def refresh(self, bench: Bench) -> None:
        found = await bench.store.get(NAME)
        document = OAuthDocument.parse(found.value)
        known = consented_at(found.arn, document)
        books = Bookkeeping("b", "o", 0, Scheme.CLAIM, Scheme.CLAIM, token="", spent="", consented_at=known)
        fresh = Tokens(SecretValue("fresh"), SecretValue("fresh"))
        merged = merge(document, fresh, books, arn=found.arn, now=NOW.timestamp())
        bench.store.write(NAME, merged.encode().reveal())

    async def test_what_is_stored_says_when_it_was_given(self, bench: Bench) -> None:
        await self.store(bench, self.ISSUED.astimezone(timezone(timedelta(hours=2))))
        assert bench.stored()["lastUpdated"] == "2026-05-01T12:00:00.123456Z"

    @pytest.mark.parametrize("refreshed", [False, True])
    async def test_a_newer_one_stays(self, bench: Bench, refreshed: bool) -> None:
        version = await self.store(bench, self.ISSUED)
        if refreshed:
            await self.refresh(bench)
        before = bench.stored()
        with pytest.raises(NewerConsent) as caught:
            await self.store(bench, self.ISSUED - timedelta(microseconds=1), "older")
        assert caught.value.given_at == self.ISSUED.timestamp()
        assert refreshed or caught.value.version == version
        assert bench.stored() == before

    @pytest.mark.parametrize("refreshed", [False, True])
    async def test_an_older_one_is_replaced(self, bench: Bench, refreshed: bool) -> None:
        await self.store(bench, self.ISSUED)
        if refreshed:
            await self.refresh(bench)
        await self.store(bench, self.ISSUED + timedelta(microseconds=1), "newer")
        assert bench.stored()["refreshToken"] == "newer"

    async def test_the_same_one_again_does_not_undo_its_refresh(self, bench: Bench) -> None:
        version = await self.store(bench, self.ISSUED)
        assert await self.store(bench, self.ISSUED) == version
        await self.refresh(bench)
        with pytest.raises(NewerConsent):
            await self.store(bench, self.ISSUED)
        assert bench.stored()["refreshToken"] == "fresh"

    async def test_one_that_does_not_say_gives_way_once_it_was_refreshed(self) -> None:
        """When it was refreshed tells nothing, and a consent that is dropped is worse than one that is taken twice."""
        bench = Bench(store=FakeStore(wall=self.ISSUED.timestamp))
        bench.store.write(NAME, {"refreshToken": "old"})
        await self.refresh(bench)
        await self.store(bench, self.ISSUED - timedelta(seconds=1))
        assert bench.stored()["refreshToken"] == "rt"

    @pytest.mark.parametrize("stamp", [{}, {"lastUpdated": "x"}])
    async def test_one_that_does_not_say_is_as_old_as_its_version(self, stamp: dict[str, Any]) -> None:
        bench = Bench(store=FakeStore(wall=self.ISSUED.timestamp))
        version = bench.store.write(NAME, {"refreshToken": "old", **stamp})
        with pytest.raises(NewerConsent) as caught:
            await self.store(bench, self.ISSUED - timedelta(seconds=1))
        assert (caught.value.given_at, caught.value.version) == (self.ISSUED.timestamp(), version)
        await self.store(bench, self.ISSUED + timedelta(seconds=1))
        assert bench.stored()["refreshToken"] == "rt"

    @pytest.mark.parametrize("before", [{"clientId": "id"}, {"accessToken": 7, "lastUpdated": STAMP}])
    async def test_what_holds_no_grant_is_none(self, before: dict[str, Any]) -> None:
        bench = Bench(store=FakeStore(wall=NOW.timestamp))
        bench.store.write(NAME, before)
        await self.store(bench, self.ISSUED)
        assert bench.stored()["refreshToken"] == "rt"

    async def test_one_that_comes_between_the_look_and_the_write_stays(self, bench: Bench) -> None:
        await self.store(bench, self.ISSUED, "first")
        stored, labels = bench.stored(), (await bench.store.describe(NAME)).labels
        write = bench.store.hold("put")
        importing = asyncio.create_task(self.store(bench, self.ISSUED + timedelta(hours=9), "imported"))
        await until(lambda: bench.store.count("put") == 1)
        newer = {**stored, "refreshToken": "newer", "lastUpdated": "2026-05-02T12:00:00Z"}
        version = bench.store.write(NAME, newer)
        write.set()
        with pytest.raises(NewerConsent) as caught:
            await importing
        assert caught.value.version == version
        assert bench.stored() == newer
        assert (await bench.store.describe(NAME)).labels == {"AWSCURRENT": version, "AWSPREVIOUS": labels["AWSCURRENT"]}

    async def test_an_older_one_that_comes_between_is_replaced_in_its_turn(self, bench: Bench) -> None:
        await self.store(bench, self.ISSUED, "first")
        write = bench.store.hold("put")
        importing = asyncio.create_task(self.store(bench, self.ISSUED + timedelta(hours=9), "imported"))
        await until(lambda: bench.store.count("put") == 1)
        between = bench.store.write(NAME, {**bench.stored(), "added": "meanwhile"})
        write.set()
        version = await importing
        assert (bench.stored()["refreshToken"], bench.stored()["added"]) == ("imported", "meanwhile")
        assert (await bench.store.describe(NAME)).labels == {"AWSCURRENT": version, "AWSPREVIOUS": between}


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0)


class TestRefusedWrites:
    async def test_what_would_be_malformed_is_not_written(self, bench: Bench) -> None:
        resolver = bench.resolver
        for attempt in (
            resolver.set_api_key(*ORG, SecretValue("")),
            resolver.set_webhook_secret(*ORG, SecretValue("")),
            resolver.set_oauth_credentials(*ORG, OAuthCredentials(scope="repo")),
            resolver.set_oauth_credentials(
                *ORG, OAuthCredentials(access_token=SecretValue("x"), expires_at_ms=EXPIRES // 1000)
            ),
            resolver.set_client_credentials(*ORG, ClientCredentials("", SecretValue("s"))),
        ):
            with pytest.raises(MalformedSecret):
                await attempt
        assert bench.store.count("create", "put") == 0

    async def test_what_cannot_be_read_is_not_written_over(self, bench: Bench) -> None:
        bench.store.write(NAME, "precious, though not JSON")
        with pytest.raises(MalformedSecret):
            await bench.resolver.set_api_key(*ORG, SecretValue("x"))
        bench.store.schedule_deletion(NAME)
        with pytest.raises(SecretPendingDeletion):
            await bench.resolver.set_api_key(*ORG, SecretValue("x"))
        assert bench.store.count("create", "put") == 0

    async def test_a_stale_value_is_nothing_to_build_on(self, bench: Bench) -> None:
        bench.store.write(NAME, {"apiKey": "a"})
        await bench.resolver.api_key(*ORG)
        bench.store.fail("get", StoreUnavailable)
        with pytest.raises(StoreUnavailable):
            await bench.resolver.set_api_key(*ORG, SecretValue("b"))
        assert bench.store.count("create", "put") == 0

    async def test_a_document_that_would_be_too_large_is_refused_by_the_store(self, bench: Bench) -> None:
        bench.store.write(NAME, {"apiKey": "a", "x": "y" * 65_000})
        with pytest.raises(InvalidRequest):
            await bench.resolver.set_api_key(*ORG, SecretValue("b" * 1000))
        assert bench.stored()["apiKey"] == "a"


async def test_what_is_there_already_is_not_written_again(bench: Bench) -> None:
    version_id = await bench.resolver.set_oauth_credentials(*ORG, FULL)
    assert await bench.resolver.set_oauth_credentials(*ORG, FULL) == version_id
    assert bench.store.count("create", "put") == 1


async def test_two_writers_at_once_do_not_undo_each_other(bench: Bench) -> None:
    bench.store.write(NAME, {"apiKey": "a"})
    other = Bench(store=bench.store)
    await asyncio.gather(
        bench.resolver.set_api_key(*ORG, SecretValue("b")), other.resolver.set_webhook_secret(*ORG, SecretValue("c"))
    )
    assert bench.stored() == {"apiKey": "b", "createdAt": STAMP, "webhookSecret": "c"}
    assert bench.store.count("put") == 3, "one lost, read again and wrote again"


async def test_two_creators_at_once_do_not_undo_each_other(bench: Bench) -> None:
    other = Bench(store=bench.store)
    await asyncio.gather(
        bench.resolver.set_api_key(*ORG, SecretValue("b")), other.resolver.set_webhook_secret(*ORG, SecretValue("c"))
    )
    assert bench.stored() == {"apiKey": "b", "createdAt": STAMP, "webhookSecret": "c"}
    assert (bench.store.count("create"), bench.store.count("put")) == (2, 1)


async def test_a_label_moved_back_by_hand_does_not_block_writing(bench: Bench) -> None:
    before = bench.store.write(NAME, {"apiKey": "a"})
    replaced = await bench.resolver.set_api_key(*ORG, SecretValue("b"))
    await bench.store.move_label(NAME, "AWSCURRENT", from_version=replaced, to_version=before)
    other = Bench(store=bench.store)
    await other.resolver.set_api_key(*ORG, SecretValue("c"))
    assert bench.stored()["apiKey"] == "c"
    assert other.pauses == [1.0]


@pytest.mark.parametrize(("step", "error"), [("put", AlreadyExists), ("move_label", LabelMoved)])
async def test_an_endless_race_ends(bench: Bench, step: str, error: type[StoreError]) -> None:
    bench.store.write(NAME, {"apiKey": "a"})
    bench.store.fail(step, error)
    with pytest.raises(AlreadyExists):
        await bench.resolver.set_api_key(*ORG, SecretValue("b"))
    assert bench.store.count("put") == len(bench.pauses) == 5


async def test_who_asked_is_audited(bench: Bench) -> None:
    actor = Actor("team-a", "github", "uid-1")
    await bench.resolver.set_api_key(*ORG, SecretValue("b"), actor=actor)
    bench.secrets.clear()
    await bench.resolver.api_key(*ORG, actor=actor)
    assert [(entry.operation, entry.outcome, entry.actor) for entry in bench.audited] == [
        ("read", "SecretNotFound", actor),
        ("create", "ok", actor),
        ("read", "ok", actor),
    ]


def test_credentials_show_no_secret() -> None:
    assert "rt" not in repr(FULL).replace("https", "")
    assert "redacted" in repr(FULL)
