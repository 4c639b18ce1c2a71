"""What people do to a grant by hand, and what a limit does: nothing is spent twice, and the status says why."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

from dev.testbed import eventually
from tests.integration.tokens.consent import Consent

NewConsent = Callable[..., Consent]


def put(consent: Consent, document: dict[str, Any]) -> str:
    """Write a version, as the console does. Returns its id."""
    written = consent.tenant.testbed.aws.client().put_secret_value(
        SecretId=consent.tenant.upstream(consent.tool),
        SecretString=json.dumps(document),
        ClientRequestToken=str(uuid.uuid4()),
    )
    return str(written["VersionId"])


def labels(consent: Consent) -> dict[str, str]:
    described = consent.tenant.testbed.aws.client().describe_secret(SecretId=consent.tenant.upstream(consent.tool))
    return {label: version for version, found in described["VersionIdsToStages"].items() for label in found}


def message(consent: Consent) -> str:
    return str((consent.tenant.condition("Ready", consent.tool) or {}).get("message"))


def iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def test_tokens_too_short_lived_to_share_are_told_and_not_spent(consent: Consent) -> None:
    consent.store(ends_in=30, lastUpdated=iso(time.time() - 60))
    consent.create()
    status = consent.await_reason("VersionBudgetExceeded")
    assert "tokens this short-lived need exclusive mode; " in message(consent)
    assert status["grant"]["state"] == "RefreshFailing"
    assert (consent.tenant.condition("Stalled", consent.tool) or {})["status"] == "True"
    assert (consent.tenant.data(consent.tool) or {})["accessToken"] == consent.grant.access_token
    assert consent.family().requests == (0,)


class TestConsole:
    def test_an_edit_that_carries_the_spent_token_gets_the_live_ones(self, consent: Consent) -> None:
        consent.store()
        opened = consent.document()
        consent.create()
        consent.await_refreshed()
        live = consent.stored()
        put(consent, {**opened, "note": "edited in the console"})

        def mended() -> dict[str, Any]:
            found = consent.stored()
            assert found.get("note") == "edited in the console"
            assert found["refreshToken"] == live["refreshToken"]
            return found

        assert eventually(mended, what="the edit carries the live tokens")["custom"] == {"keep": ["me", 1]}
        consent.await_reason("Synced")
        assert (consent.tenant.data(consent.tool) or {})["accessToken"] == live["accessToken"]
        assert consent.family().requests[0] == 1
        assert not consent.family().revoked

    def test_a_version_that_is_made_current_again_by_hand_is_not_spent_again(self, consent: Consent) -> None:
        consent.store()
        consent.create()
        consent.await_refreshed()
        consent.await_reason("Synced")
        found = labels(consent)
        consent.tenant.testbed.aws.client().update_secret_version_stage(
            SecretId=consent.tenant.upstream(consent.tool),
            VersionStage="AWSCURRENT",
            RemoveFromVersionId=found["AWSCURRENT"],
            MoveToVersionId=found["AWSPREVIOUS"],
        )
        consent.await_reason("ReauthorizationRequired")
        assert "moved back to a version whose refresh token has been used" in message(consent)
        assert labels(consent)["AWSCURRENT"] == found["AWSPREVIOUS"], "it stays where the hand put it"
        assert consent.family().requests[0] == 1
        assert not consent.family().revoked
        consent.again()
        consent.store(ends_in=3000)
        consent.await_reason("Synced")
