"""`refresh` with an operator that answers."""

from __future__ import annotations

import pytest

from dev.testbed import eventually
from tests.integration.cli.conftest import Person, marked, new_person
from tests.integration.operator.tenant import Tenant, api_key, oauth, oauth_data

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("operator")]


def test_upstream_is_read_at_once_and_the_outcome_is_shown(tenant: Tenant, developer: Person) -> None:
    tenant.store(oauth("before"))
    tenant.synced()
    tenant.testbed.aws.set_list_lag(3600)  # the sweep sees nothing for an hour
    try:
        tenant.store(oauth("after"))
        done = developer.tolstoy("refresh", "github")
    finally:
        tenant.testbed.aws.set_list_lag(0)
    assert tenant.data() == oauth_data("after")
    assert done.out.splitlines()[1].split() == ["ready", "True", "(Synced)"]
    assert "needed no refresh; ends in" in done.out


def test_every_question_is_a_new_one(tenant: Tenant, developer: Person) -> None:
    tenant.store(api_key())
    tenant.synced()
    first = developer.tolstoy("refresh", "github", "-o", "json").json
    mark = marked(tenant)
    second = developer.tolstoy("refresh", "github", "-o", "json").json
    assert marked(tenant) != mark
    assert (first["handled"], second["handled"], second["tokenRefreshed"]) == (True, True, None)


def test_trouble_is_shown_and_ends_with_1(tenant: Tenant, developer: Person) -> None:
    tenant.create()
    tenant.await_reason("SecretNotFound")
    done = developer.tolstoy("refresh", "github", code=1)
    assert "who acts   the consent application" in done.out
    tenant.store(api_key())
    developer.tolstoy("refresh", "github")
    assert tenant.data() == api_key()


def test_without_waiting(tenant: Tenant, developer: Person) -> None:
    tenant.store(api_key())
    tenant.synced()
    assert developer.tolstoy("refresh", "github", "--no-wait", "-o", "json").json["handled"] is False
    eventually(lambda: tenant.status().get("lastHandledForceSync") == marked(tenant), what="it was looked at")


def test_who_may_only_read_may_not_ask(tenant: Tenant) -> None:
    tenant.store(api_key())
    tenant.synced()
    onlooker = new_person(tenant, "onlooker", "view")
    done = onlooker.tolstoy("refresh", "github", code=1)
    assert "error: you may not patch toolcredentials.tolstoy.dev" in done.err
    assert marked(tenant) is None
