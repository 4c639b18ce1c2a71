"""First tokens on their way, against a cluster that answers as told: none may stay behind, none may be shown."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.cli.faketime import FakeTime
from tests.unit.cli.objects import NOW, active, condition, credential
from tolstoy_operator.api import names
from tolstoy_operator.api.reasons import Reason, message
from tolstoy_operator.cli.errors import CliError
from tolstoy_operator.cli.handover import Handed, hand_over, read_tokens

Object = dict[str, Any]
SOURCE = "github-first-tokens"
CANARY = "cAnArY"
TOKENS = f'{{"accessToken": "{CANARY}-a", "refreshToken": "{CANARY}-r", "expiresAt": 1785000000000}}'.encode()


def upstream(version: str) -> dict[str, str]:
    return {"name": "tolstoy/github/org-abc123", "arn": "a", "versionId": version, "region": "r"}


class FakeCluster(FakeTime):
    """One credential and at most one Secret. `operator`: what it does at each look while the Secret is there."""

    def __init__(self, operator: Callable[[FakeCluster], None] = lambda cluster: None, **fields: Any) -> None:
        super().__init__()
        self.body = credential(grant=active(), status={"upstream": upstream("old")}, **fields)
        self.operator = operator
        self.secret: Object | None = None
        self.written: list[Object] = []
        self.trouble: dict[str, CliError] = {}

    def _arrive(self, what: str) -> None:
        if what in self.trouble:
            raise self.trouble[what]

    async def credential(self, namespace: str, name: str) -> Object:
        self._arrive("get")
        if self.secret is not None:
            self.operator(self)
        return copy.deepcopy(self.body)

    async def ask_for_sync(self, namespace: str, name: str, mark: str) -> Object:
        self._arrive("sync")
        self.body["metadata"]["annotations"] = {names.FORCE_SYNC: mark}
        self.body["status"]["lastHandledForceSync"] = mark
        return self.body

    async def change_spec(self, namespace: str, name: str, uid: str, spec: Object) -> Object:
        self._arrive("change")
        self.body["spec"].update(spec)
        return self.body

    async def create_secret(self, namespace: str, manifest: Object) -> bool:
        self._arrive("create")
        if self.secret is not None:
            return False
        self.written.append(manifest)
        self.secret = {**manifest["metadata"], "uid": "secret-1"}
        return True

    async def secret_metadata(self, namespace: str, name: str) -> Object | None:
        self._arrive("look")
        return self.secret

    async def delete_secret(self, namespace: str, name: str, uid: str) -> None:
        self._arrive("delete")
        assert self.secret is not None
        assert self.secret["uid"] == uid
        self.secret = None


def takes(cluster: FakeCluster) -> None:
    cluster.secret = None
    cluster.body["status"]["upstream"] = upstream("new")


def says(reason: Reason, cause: str = "as found") -> Callable[[FakeCluster], None]:
    def speak(cluster: FakeCluster) -> None:
        cluster.body["status"]["conditions"] = [condition("Ready", "False", reason, message(reason, cause))]

    return speak


async def run(cluster: FakeCluster, content: bytes = TOKENS) -> Handed:
    tokens = read_tokens(content)
    return await hand_over(cluster, "shop", "github", tokens, timeout=10, clocks=cluster.clocks)


async def test_the_operator_takes_them() -> None:
    cluster = FakeCluster(takes)
    handed = await run(cluster)
    assert (handed.stored, handed.good) == (True, True)
    assert cluster.body["spec"]["initialTokensFrom"] == {"secretRef": {"name": SOURCE}}
    (manifest,) = cluster.written
    assert manifest["metadata"]["labels"] == {"tolstoy.dev/managed": "import"}
    assert manifest["stringData"]["expiresAt"] == "1785000000000"
    assert next(handed.lines(NOW)) == "shop/github: the first tokens are stored in tolstoy/github/org-abc123"
    assert handed.to_json(NOW)["stored"] is True


async def test_a_secret_that_the_spec_names_is_used() -> None:
    spec = {"tool": "github", "orgId": "o", "initialTokensFrom": {"secretRef": {"name": "consent"}}}
    cluster = FakeCluster(takes, spec=spec)
    cluster.trouble["change"] = CliError("not needed", "")
    await run(cluster)
    assert cluster.written[0]["metadata"]["name"] == "consent"


async def test_a_newer_grant_stays() -> None:
    def drops(cluster: FakeCluster) -> None:
        cluster.secret = None

    handed = await run(FakeCluster(drops))
    assert (handed.stored, handed.good) == (False, False)
    assert "nothing was stored" in next(handed.lines(NOW))


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        (Reason.IMPORT_NOT_GRANTED, "not granted"),
        (Reason.NAMESPACE_NOT_BOUND, "not bound"),
        (Reason.SECRET_MALFORMED, f'Secret {SOURCE} of initialTokensFrom: key "x"'),
    ],
)
async def test_a_refusal_is_told_and_takes_the_secret_along(reason: Reason, cause: str) -> None:
    cluster = FakeCluster(says(reason, cause))
    with pytest.raises(CliError, match=reason) as error:
        await run(cluster)
    assert cause in error.value.message
    assert error.value.next_step
    assert (len(cluster.written), cluster.secret) == (1, None)
    assert cluster.elapsed < 10


@pytest.mark.parametrize("reason", [Reason.UPSTREAM_UNAVAILABLE, Reason.SECRET_MALFORMED, Reason.SECRET_NOT_FOUND])
async def test_what_may_pass_is_waited_for_and_no_longer_than_the_timeout(reason: Reason) -> None:
    cluster = FakeCluster(says(reason))
    with pytest.raises(CliError, match=f"within 10 s; it says {reason}"):
        await run(cluster)
    assert cluster.secret is None
    assert cluster.elapsed == pytest.approx(10)


async def test_a_status_of_an_earlier_spec_is_no_refusal() -> None:
    cluster = FakeCluster(says(Reason.IMPORT_NOT_GRANTED), generation=2)
    with pytest.raises(CliError, match="within 10 s"):
        await run(cluster)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"deletionTimestamp": "2026-06-01T12:00:00Z"}, "being deleted"),
        ({"spec": {"secretName": "db"}}, "outright"),
        ({"reason": Reason.SUSPENDED}, "Suspended"),
        ({"reason": Reason.NAMESPACE_NOT_BOUND}, "NamespaceNotBound"),
    ],
)
async def test_where_it_is_hopeless_nothing_is_written(fields: dict[str, Any], told: str) -> None:
    cluster = FakeCluster(takes, **fields)
    with pytest.raises(CliError, match=told):
        await run(cluster)
    assert cluster.written == []
    assert "initialTokensFrom" not in cluster.body["spec"]


async def test_a_secret_of_somebody_else_is_left_alone() -> None:
    cluster = FakeCluster()
    theirs = cluster.secret = {"name": SOURCE, "uid": "theirs"}
    with pytest.raises(CliError, match="there is a Secret"):
        await run(cluster)
    assert cluster.secret is theirs


async def test_a_create_whose_answer_was_lost_finds_its_own_secret() -> None:
    class Forgetful(FakeCluster):
        async def create_secret(self, namespace: str, manifest: Object) -> bool:
            await super().create_secret(namespace, manifest)
            return False

    assert (await run(Forgetful(takes))).stored


@pytest.mark.parametrize("after", range(1, 12))
async def test_an_interruption_at_any_moment_leaves_no_token(after: int) -> None:
    cluster = FakeCluster()
    running = asyncio.create_task(run(cluster))
    for _ in range(after):
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert cluster.secret is None


async def test_what_is_under_way_at_an_interruption_is_waited_for_and_removed() -> None:
    asked, arrives = asyncio.Event(), asyncio.Event()

    class Slow(FakeCluster):
        async def create_secret(self, namespace: str, manifest: Object) -> bool:
            asked.set()
            self.request = asyncio.create_task(self._arrive_later(namespace, manifest))
            return await asyncio.shield(self.request)  # the server has it, whoever waits for the answer

        async def _arrive_later(self, namespace: str, manifest: Object) -> bool:
            await arrives.wait()
            return await super().create_secret(namespace, manifest)

    cluster = Slow()
    running = asyncio.create_task(run(cluster))
    await asked.wait()
    running.cancel()
    asyncio.get_running_loop().call_later(0.01, arrives.set)
    with pytest.raises(asyncio.CancelledError):
        await running
    await cluster.request
    assert (len(cluster.written), cluster.secret) == (1, None)


async def test_a_secret_that_cannot_be_removed_is_named() -> None:
    cluster = FakeCluster(says(Reason.IMPORT_NOT_GRANTED))
    cluster.trouble["delete"] = CliError("no answer", "")
    with pytest.raises(CliError, match=f"Secret {SOURCE} may be left with the tokens in it") as error:
        await run(cluster)
    assert f"kubectl delete secret {SOURCE} -n shop" in error.value.next_step


async def test_an_operator_that_goes_afterwards_does_not_hide_that_it_took_them() -> None:
    cluster = FakeCluster(takes)
    cluster.trouble["sync"] = CliError("no answer", "try again")
    with pytest.raises(CliError, match="has taken the first tokens, but no answer"):
        await run(cluster)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        CANARY.encode(),
        f'"{CANARY}"'.encode(),
        f'{{"accessToken": "{CANARY}"'.encode(),
        f'{{"accessToken": ["{CANARY}"]}}'.encode(),
        f'{{"accessToken": "a", "other": "{CANARY}"}}'.encode(),
        f'{{"accessToken": "a", "expiresAt": "{CANARY}"}}'.encode(),
        f'{{"accessToken": "a", "expiresAt": 1.5, "scope": "{CANARY}"}}'.encode(),
        f'{{"scope": "{CANARY}"}}'.encode(),
        CANARY.encode() + b"\xff",
        f'{{"accessToken": "{CANARY * 20_000}"}}'.encode(),
    ],
)
def test_what_is_no_document_is_refused_without_repeating_it(content: bytes) -> None:
    with pytest.raises(CliError, match="no first tokens") as error:
        read_tokens(content)
    assert CANARY not in error.value.message + error.value.next_step
