"""A store that refuses at the worst moment: nothing is spent without a place for the result, and nothing is lost."""

from __future__ import annotations

from typing import Any

import pytest

from tests.component.refresh.stage import Stage, StagedReplica, refuse
from tolstoy_operator.domain.errors import (
    AccessDenied,
    DecryptionFailed,
    IdentityRefused,
    LimitExceeded,
    StoreError,
    StoreUnavailable,
    Throttled,
)
from tolstoy_operator.domain.refresh import RefreshRules
from tolstoy_operator.services.refresh.endings import Current, Ending, Failed, Journalled, Problem

ERRORS = (Throttled, StoreUnavailable, LimitExceeded, AccessDenied, IdentityRefused, DecryptionFailed)
MODES: dict[str, tuple[float, dict[str, Any]]] = {
    "claim": (3600.0, {}),
    "lease": (1800.0, {}),
    "owner": (3600.0, {"exclusive": True}),
    "sole writer": (3600.0, {"exclusive": True, "sole_writer": True}),
}
WRITES = ("put", "move_label", "take_label")


def staged(mode: str) -> tuple[Stage, StagedReplica]:
    """Tokens that are due, reserved in this way, and a replica to refresh them."""
    lifetime, settings = MODES[mode]
    stage = Stage(lifetime=lifetime)
    stage.consent(note="kept")
    for _ in range(2):
        stage.until_due()
        assert isinstance(stage.replica(**settings).run(), Current)
    stage.until_due()
    return stage, stage.replica(**settings)


def refuse_from(step: str, replica: StagedReplica, error: type[StoreError]) -> None:
    """The store takes no write any more from this step on."""
    parts = replica.refresher._parts

    async def reached(name: str) -> None:
        if name == step:
            for write in WRITES:
                refuse(parts.store, write, error)

    object.__setattr__(parts, "step", reached)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("mode", ["claim", "lease"])
def test_what_cannot_be_reserved_is_not_spent(mode: str, error: type[StoreError]) -> None:
    stage, replica = staged(mode)
    refuse_from("claim", replica, error)
    before = len(stage.provider.requests)

    ending = replica.run()

    assert isinstance(ending, Failed)
    budget = error is LimitExceeded
    assert ending.problem is (Problem.VERSION_BUDGET_EXCEEDED if budget else Problem.UPSTREAM_UNAVAILABLE)
    assert ending.cause.startswith("refused")
    assert ("the platform team must" in ending.cause) is (error in (AccessDenied, DecryptionFailed))
    assert len(stage.provider.requests) == before


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(
    ("mode", "step", "kind"),
    [
        ("claim", "keep", Journalled),
        ("claim", "commit", Failed),
        ("lease", "keep", Journalled),
        ("lease", "commit", Failed),
        ("owner", "upstream", Journalled),
        ("owner", "commit", Journalled),
        ("sole writer", "overwrite", Journalled),
    ],
)
def test_what_was_brought_is_kept_and_written_later_by_a_peer(
    mode: str, step: str, kind: type[Ending], error: type[StoreError]
) -> None:
    """Journalled: the tokens serve in this cluster already. Failed: they are stored, and not yet current."""
    stage, replica = staged(mode)
    refuse_from(step, replica, error)
    before = len(stage.provider.requests)

    ending = replica.run()
    peer = stage.replica("peer", **MODES[mode][1])
    helped = peer.run()

    assert isinstance(ending, kind)
    assert isinstance(helped, Current)
    assert helped.refreshed
    assert stage.lives
    assert stage.current["note"] == "kept"
    assert len(stage.provider.requests) == before + 1
    assert not any(family.ended_by for family in stage.provider.families)
    stage.until_due()
    assert isinstance(peer.run(), Current)


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_spent_while_the_secret_can_take_no_more_versions(mode: str) -> None:
    stage, _ = staged(mode)
    stage.rules = RefreshRules(version_limit=len(stage.store.versions) + 9)
    before = len(stage.provider.requests)

    ending = stage.replica(**MODES[mode][1]).run()

    assert isinstance(ending, Failed)
    assert ending.problem is Problem.VERSION_BUDGET_EXCEEDED
    assert len(stage.provider.requests) == before
