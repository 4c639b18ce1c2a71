"""`import` with an operator that takes first tokens, or says why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.conftest import Person, new_person
from tests.integration.operator.tenant import Tenant, oauth, oauth_data, value

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("operator")]

SOURCE = "github-first-tokens"
STDIN = ("import", "github", "--from-file", "-")


@pytest.fixture
def granted(tenant: Tenant) -> Tenant:
    """May store first tokens; a credential waits for them."""
    tenant.annotate(allow_import="true")
    tenant.create()
    return tenant


def stored(tenant: Tenant) -> dict[str, Any]:
    answer = tenant.testbed.aws.client().get_secret_value(SecretId=tenant.upstream())
    document: dict[str, Any] = json.loads(answer["SecretString"])
    return document


def test_tokens_from_a_file_and_later_ones_from_a_pipe(granted: Tenant, developer: Person, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    tokens.write_text(json.dumps(oauth("first")))
    done = developer.tolstoy("import", "github", "--from-file", str(tokens))
    assert done.out.splitlines()[0].endswith(f"/github: the first tokens are stored in {granted.upstream()}")
    assert granted.data() == oauth_data("first")
    assert stored(granted)["refreshToken"] == value("refresh-first")
    assert granted.secret(SOURCE) is None

    again = developer.tolstoy(*STDIN, "-o", "json", given=json.dumps(oauth("second")))
    assert again.json["stored"] is True
    assert granted.data() == oauth_data("second")
    assert granted.secret(SOURCE) is None


def test_a_newer_grant_stays_and_that_is_said(granted: Tenant, developer: Person) -> None:
    granted.store({**oauth("newer"), "lastUpdated": "2029-01-01T00:00:00Z"})
    granted.await_reason("Synced")
    done = developer.tolstoy(*STDIN, given=json.dumps(oauth("older")), code=1)
    assert "nothing was stored: the grant" in done.out
    assert granted.data() == oauth_data("newer")
    assert granted.secret(SOURCE) is None


def test_who_is_not_granted_it_leaves_nothing_behind(tenant: Tenant, developer: Person) -> None:
    tenant.create()
    for _ in range(2):
        done = developer.tolstoy(*STDIN, given=json.dumps(oauth()), code=1)
        assert "ImportNotGranted" in done.err
        assert "next: drop initialTokensFrom, or have the platform team grant allow-import" in done.err
        assert tenant.secret(SOURCE) is None


def test_a_secret_of_somebody_else_is_not_touched(granted: Tenant, developer: Person) -> None:
    theirs = granted.add_secret(SOURCE)
    done = developer.tolstoy(*STDIN, given=json.dumps(oauth()), code=1)
    assert f"there is a Secret {SOURCE} in namespace" in done.err
    assert granted.secret(SOURCE) == theirs


def test_who_may_only_read_hands_over_nothing(granted: Tenant) -> None:
    onlooker = new_person(granted, "onlooker", "view")
    assert "you may not patch" in onlooker.tolstoy(*STDIN, given=json.dumps(oauth()), code=1).err
    assert granted.secret(SOURCE) is None
