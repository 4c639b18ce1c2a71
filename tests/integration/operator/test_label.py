"""Our label taken off by hand: put back, looked for, or taken as a farewell."""

from __future__ import annotations

import pytest

from dev.testbed import eventually
from tests.integration.operator.tenant import Tenant, api_key

pytestmark = pytest.mark.integration

STRIPPED = {"metadata": {"labels": {"tolstoy.dev/managed": None}}}
LABELLED = {"metadata": {"labels": {"tolstoy.dev/managed": "true"}}}


class TestLabel:
    def test_a_retained_secret_is_taken_over_by_taking_it_off(self, tenant: Tenant) -> None:
        tenant.store(api_key())
        tenant.synced(target={"deletionPolicy": "Retain"})
        left = tenant.patch_secret(STRIPPED)
        tenant.await_reason("TargetConflict")
        tenant.store(api_key("k2"))
        tenant.force_sync()
        assert tenant.secret() == left, "nobody touches it"
        tenant.patch_secret(LABELLED)
        tenant.await_reason("Synced")
        tenant.await_data(api_key("k2"))

    def test_while_suspended_the_secret_is_still_known(self, tenant: Tenant) -> None:
        tenant.store(api_key())
        tenant.synced()
        tenant.edit(suspend=True)
        tenant.await_reason("Suspended")
        tenant.patch_secret(STRIPPED)
        status = tenant.force_sync()
        assert status["target"]["name"] == "github"
        tenant.edit(suspend=False)
        tenant.await_reason("Synced")
        eventually(
            lambda: tenant.metadata()["labels"]["tolstoy.dev/managed"] == "true", what="the label is there again"
        )

    def test_a_copy_of_ours_stays_when_ours_is_renamed(self, tenant: Tenant) -> None:
        tenant.store(api_key())
        tenant.synced()
        original = tenant.metadata()
        marks = {key: original[key] for key in ("labels", "annotations")}
        copy = tenant.add_secret("copy", metadata=marks)
        tenant.edit(target={"name": "renamed"})
        tenant.await_data(api_key(), "renamed")
        tenant.await_no_secret()
        assert tenant.secret("copy") == copy

    def test_a_key_of_the_secret_that_invites_us_is_not_taken(self, tenant: Tenant) -> None:
        tenant.store(api_key())
        invited = {"annotations": {"tolstoy.dev/allow-merge": "github"}}
        tenant.add_secret("web", metadata=invited, data={"apiKey": "theirs"})
        tenant.create(target={"name": "web", "creationPolicy": "Merge"})
        tenant.await_reason("TargetConflict")
        assert tenant.data("web") == {"apiKey": "theirs"}
