"""`revoke` with an authorization server that can tell whether a grant has ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dev.oauth.server import OAuthServer
from dev.testbed import OperatorProcess, Testbed
from tests.integration.cli.conftest import Done, Person, new_person
from tests.integration.operator.conftest import stop
from tests.integration.operator.tenant import Tenant
from tests.integration.tokens.consent import Consent

pytestmark = pytest.mark.integration

TOOL = "revocable"
PLAIN = "irrevocable"
"""A tool that no catalogue knows, so nobody knows how to revoke there."""
LIVES_S = 3000.0
ENTRY = """\
like: generic
title: A server that revokes
sources: {here: {at: this test, date: 2026-11-24}}
revoke: {value: {url: token/revocation}, source: here}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[OAuthServer]:
    with OAuthServer(access_token_ttl=3600) as running:
        yield running


@pytest.fixture(scope="module")
def operator(
    testbed: Testbed, server: OAuthServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    providers = tmp_path_factory.mktemp("providers")
    (providers / f"{TOOL}.yaml").write_text(ENTRY)
    settings = {"PROVIDERS_DIR": str(providers), "ALLOW_SHARED_REVOCATION": "true"}
    with testbed.operator(TOKEN_ENDPOINT_ORIGINS=server.url, **settings) as process:
        yield process
        stop(process)


@pytest.fixture
def consent(tenant: Tenant, server: OAuthServer, operator: OperatorProcess) -> Consent:
    """A grant in use, which the namespace may end."""
    assert operator
    tenant.annotate(allow_revoke="true")
    consent = Consent(tenant, server, tool=TOOL)
    consent.store(ends_in=LIVES_S)
    consent.create()
    consent.await_reason("Synced")
    return consent


def revoke(person: Person, consent: Consent, *args: str, code: int = 0) -> Done:
    """Run it; no token may be shown."""
    done = person.tolstoy("revoke", consent.tool, "--yes", *args, code=code)
    assert consent.grant.access_token not in done.out + done.err
    assert consent.grant.refresh_token not in done.out + done.err
    return done


def policy(consent: Consent) -> object:
    body = consent.tenant.get(consent.tool)
    assert body is not None, "it is there"
    return body["spec"].get("oauth")


def test_the_grant_ends_and_the_credential_goes(consent: Consent, developer: Person) -> None:
    done = revoke(developer, consent)
    assert f"the grant of {consent.tenant.org} at {TOOL} ends, in {consent.tenant.upstream(TOOL)}," in done.err
    assert "you may not look into other namespaces" in done.err
    assert "is deleted; Revoked: " in done.out
    assert consent.family().revoked
    assert consent.tenant.get(TOOL) is None


def test_without_the_right_nothing_is_deleted(consent: Consent, developer: Person) -> None:
    consent.tenant.annotate(allow_revoke=None)
    done = revoke(developer, consent, code=1)
    assert "nothing was deleted: RevocationNotGranted" in done.err
    assert policy(consent) is None, "put back"
    consent.await_reason("Synced")
    assert not consent.family().revoked


def test_where_nobody_knows_how_to_revoke_nothing_is_deleted(consent: Consent, developer: Person) -> None:
    plain = Consent(consent.tenant, consent.server, tool=PLAIN)
    plain.store(ends_in=LIVES_S)
    plain.create()
    plain.await_reason("Synced")
    done = revoke(developer, plain, code=1)
    assert "nothing was deleted: RevocationUnsupported" in done.err
    assert policy(plain) is None, "put back"
    plain.await_reason("Synced")
    assert not plain.family().revoked


def test_what_others_use_is_kept_unless_that_is_meant(consent: Consent, developer: Person) -> None:
    consent.tenant.create("other", TOOL)
    done = revoke(developer, consent, code=1)
    assert f"because {consent.tenant.namespace}/other use it too" in done.err
    assert policy(consent) is None

    done = revoke(developer, consent, "--delete-anyway", "-o", "json", code=1)
    assert (done.json["revoked"], done.json["event"]["reason"]) == (False, "GrantKept")
    assert consent.tenant.get(TOOL) is None
    assert not consent.family().revoked


def test_who_may_only_read_ends_nothing(consent: Consent) -> None:
    done = revoke(new_person(consent.tenant, "onlooker", "view"), consent, code=1)
    assert "you may not patch toolcredentials.tolstoy.dev" in done.err
    assert policy(consent) is None
