"""A refreshed token restarts nobody; another consent does."""

from __future__ import annotations

from tests.integration.operator.test_restarts import WEB, add_deployment, await_restarted, deployment, reasons
from tests.integration.tokens.consent import TOOL, Consent


def test_another_consent_is_a_restart_and_a_refresh_is_none(consent: Consent) -> None:
    add_deployment(consent.tenant)
    consent.store()
    consent.create(restartTargets=[WEB])
    first = consent.await_refreshed()
    consent.again()
    consent.store(ends_in=3600)
    consent.tenant.force_sync(TOOL)
    assert consent.tenant.data(TOOL) != first
    await_restarted(consent.tenant)
    assert deployment(consent.tenant)["metadata"]["generation"] == 2
    assert reasons(consent.tenant).count("Restarted") == 1
