"""The end of a grant, against a cluster that answers as told: nothing is deleted that would leave a grant behind."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.cli.faketime import FakeTime
from tests.unit.cli.objects import NOW, active, condition, credential
from tolstoy_operator.api import names
from tolstoy_operator.api.reasons import Reason, Told, message
from tolstoy_operator.cli.errors import CliError
from tolstoy_operator.cli.revoke import Ended, plan, revoke

Object = dict[str, Any]
ORPHAN, REVOKE = {"revocationPolicy": "Orphan"}, {"revocationPolicy": "Revoke"}


class FakeCluster(FakeTime):
    """One credential and others. `operator`: what it does at each look."""

    def __init__(self, operator: Callable[[FakeCluster], None], *others: Object, **fields: Any) -> None:
        super().__init__()
        self.body: Object | None = credential(**{"grant": active(), **fields})
        self.others = others
        self.operator = operator
        self.heard: list[Object] = []
        self.trouble: dict[str, CliError] = {}

    @property
    def here(self) -> Object:
        assert self.body is not None
        return self.body

    async def credentials(self, namespace: str | None) -> list[Object]:
        if namespace is None and "everywhere" in self.trouble:
            raise self.trouble["everywhere"]
        return [self.here, *self.others]

    async def credential(self, namespace: str, name: str) -> Object:
        return copy.deepcopy(self.here)

    async def find_credential(self, namespace: str, name: str, uid: str) -> Object | None:
        if self.body is not None:
            self.operator(self)
        return copy.deepcopy(self.body)

    async def change_spec(self, namespace: str, name: str, uid: str, spec: Object) -> Object:
        if "change" in self.trouble:
            raise self.trouble["change"]
        for key, value in spec.items():
            if value is None:
                self.here["spec"].pop(key, None)
            else:
                self.here["spec"][key] = value
        self.here["metadata"]["generation"] += 1
        return self.here

    async def delete_credential(self, namespace: str, name: str, uid: str) -> None:
        if "delete" in self.trouble:
            raise self.trouble["delete"]
        self.here["metadata"]["deletionTimestamp"] = "2026-06-01T12:00:00Z"

    async def events(self, namespace: str, uid: str) -> list[Object]:
        return self.heard

    @property
    def oauth(self) -> object:
        return self.here["spec"].get("oauth")


def event(reason: str, at: str = "2026-06-01T12:00:01.000000Z") -> Object:
    return {"type": "Normal", "reason": reason, "message": "m", "eventTime": at, "metadata": {}}


def looks(cluster: FakeCluster, reason: Reason = Reason.SYNCED) -> None:
    status, generation = cluster.here["status"], cluster.here["metadata"]["generation"]
    status["observedGeneration"] = generation
    status["conditions"] = [condition("Ready", "True", reason, message(reason, "as found"))]


def ends_it(cluster: FakeCluster, told: str = Told.REVOKED) -> None:
    looks(cluster)
    if "deletionTimestamp" in cluster.here["metadata"]:
        cluster.heard = [
            event(told),
            event("Synced", "2026-06-01T12:00:02.000000Z"),
            event("RevocationPending", "2026"),
        ]
        cluster.body = None
    elif cluster.oauth == REVOKE:
        cluster.here["metadata"]["finalizers"] = [names.FINALIZER]


def refuses(reason: Reason) -> Callable[[FakeCluster], None]:
    return lambda cluster: looks(cluster, reason)


async def run(cluster: FakeCluster) -> Ended:
    planned = await plan(cluster, "shop", "github")
    return await revoke(cluster, planned, timeout=10, clocks=cluster.clocks)


def spec(**oauth: Any) -> Object:
    return {"tool": "github", "orgId": "org-abc123", **({"oauth": oauth} if oauth else {})}


@pytest.mark.parametrize("before", [{}, ORPHAN, REVOKE])
async def test_the_grant_ends(before: dict[str, str]) -> None:
    cluster = FakeCluster(ends_it, spec=spec(**before))
    ended = await run(cluster)
    assert ended.revoked
    assert list(ended.lines()) == ["shop/github is deleted; Revoked: m"]
    assert ended.to_json(NOW)["event"] == {"reason": "Revoked", "message": "m"}


async def test_a_grant_that_is_kept_after_all_is_no_success() -> None:
    ended = await run(FakeCluster(lambda cluster: ends_it(cluster, Told.KEPT)))
    assert not ended.revoked


async def test_without_an_event_nothing_is_claimed() -> None:
    def silent(cluster: FakeCluster) -> None:
        ends_it(cluster)
        cluster.heard = []

    ended = await run(FakeCluster(silent))
    assert (ended.revoked, ended.to_json(NOW)["event"]) == (False, None)
    assert "no Event that you may read" in next(ended.lines())


@pytest.mark.parametrize("before", [{}, ORPHAN, {"revocationPolicy": "Revoke"}])
@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (Reason.REVOCATION_NOT_GRANTED, "nothing was deleted: RevocationNotGranted: as found"),
        (Reason.REVOCATION_UNSUPPORTED, "RevocationUnsupported"),
        (Reason.REFRESH_FAILING, "not granted tolstoy.dev/allow-revoke, or .* tells of RefreshFailing first"),
    ],
)
async def test_a_refusal_deletes_nothing_and_puts_the_policy_back(
    reason: Reason, told: str, before: dict[str, str]
) -> None:
    cluster = FakeCluster(refuses(reason), spec=spec(**before))
    with pytest.raises(CliError, match=told):
        await run(cluster)
    assert "deletionTimestamp" not in cluster.here["metadata"]
    assert cluster.oauth == (before or None)


async def test_an_operator_that_is_silent() -> None:
    cluster = FakeCluster(lambda cluster: None)
    with pytest.raises(CliError, match="has not looked at shop/github within 10 s"):
        await run(cluster)
    assert cluster.oauth is None


async def test_a_finalizer_from_before_the_change_is_no_consent() -> None:
    cluster = FakeCluster(lambda cluster: None, finalizers=[names.FINALIZER])
    with pytest.raises(CliError, match="has not looked"):
        await run(cluster)


async def test_a_deletion_that_waits_is_said_and_not_taken_back() -> None:
    def holds(cluster: FakeCluster) -> None:
        if "deletionTimestamp" not in cluster.here["metadata"]:
            ends_it(cluster)
        else:
            cluster.heard = [event(Told.PENDING)]

    cluster = FakeCluster(holds)
    with pytest.raises(CliError, match=r"waits for the revocation \(RevocationPending: m\)"):
        await run(cluster)
    assert cluster.oauth == REVOKE


async def test_a_deletion_that_is_refused_puts_the_policy_back() -> None:
    cluster = FakeCluster(ends_it)
    cluster.trouble["delete"] = CliError("you may not", "")
    with pytest.raises(CliError, match="you may not"):
        await run(cluster)
    assert cluster.oauth is None


async def test_a_policy_that_cannot_be_put_back_is_named() -> None:
    def breaks(cluster: FakeCluster) -> None:
        looks(cluster, Reason.REVOCATION_NOT_GRANTED)
        cluster.trouble["change"] = CliError("no answer", "")

    with pytest.raises(CliError, match="may be left with revocationPolicy Revoke"):
        await run(FakeCluster(breaks))


@pytest.mark.parametrize("after", range(1, 12))
async def test_an_interruption_before_the_deletion_leaves_it_as_it_was(after: int) -> None:
    cluster = FakeCluster(lambda cluster: None)
    running = asyncio.create_task(run(cluster))
    for _ in range(after):
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (cluster.oauth, "deletionTimestamp" in cluster.here["metadata"]) == (None, False)


async def test_an_interruption_after_it_leaves_the_policy() -> None:
    def holds(cluster: FakeCluster) -> None:
        if "deletionTimestamp" not in cluster.here["metadata"]:
            ends_it(cluster)

    cluster = FakeCluster(holds)
    running = asyncio.create_task(run(cluster))
    while "deletionTimestamp" not in cluster.here["metadata"]:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert cluster.oauth == REVOKE, "or its deletion would end nothing"


async def test_the_plan_names_who_else_uses_the_grant() -> None:
    cluster = FakeCluster(
        ends_it,
        credential("other", uid="2", namespace="cafe"),
        credential("named", uid="5", namespace="cafe", spec={"secretName": "tolstoy/github/org-abc123"}),
        credential("going", uid="3", deletionTimestamp="2026-06-01T12:00:00Z"),
        credential("else", uid="4", spec={"tool": "github", "orgId": "another"}),
    )
    planned = await plan(cluster, "shop", "github")
    assert planned.others == ["cafe/named", "cafe/other"]
    assert "stays, because cafe/named, cafe/other use it too" in list(planned.lines())[1]


async def test_the_plan_says_what_it_could_not_see() -> None:
    cluster = FakeCluster(ends_it, spec={**spec(), "target": {"deletionPolicy": "Retain"}})
    cluster.trouble["everywhere"] = CliError("you may not", "")
    lines = list((await plan(cluster, "shop", "github")).lines())
    assert lines[0] == "shop/github will be deleted; its Secret stays"
    assert "org-abc123 at github ends, in tolstoy/github/org-abc123" in lines[1]
    assert "other namespaces" in lines[2]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"deletionTimestamp": "2026-06-01T12:00:00Z"}, "being deleted already"),
        ({"spec": {"secretName": "db"}}, "no OAuth grant"),
        ({"grant": None, "status": {"credentialType": "ApiKey"}}, "no OAuth grant"),
        ({"grant": {"state": "Revoked"}}, "revoked already"),
    ],
)
async def test_where_there_is_no_grant_to_end(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(CliError, match=told):
        await plan(FakeCluster(ends_it, **fields), "shop", "github")
