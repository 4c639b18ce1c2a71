"""What the API server's refusals mean to a person, against a client that answers as told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.unit.cli.objects import credential, pod
from tolstoy_operator.cli.cluster import Cluster
from tolstoy_operator.cli.errors import CliError
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.errors import (
    Conflict,
    Forbidden,
    Gone,
    KubeError,
    KubeUnavailable,
    NotFound,
    Unauthorized,
    Unprocessable,
)

Object = dict[str, Any]
HOST = "cluster.example:6443"
ENV = [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "github", "key": "k"}}}]
USES = {"containers": [{"name": "web", "env": ENV}]}


class FakeClient:
    """Answers by path: an error is raised, a list is a collection, an object is itself; what is not there is 404."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = answers
        self.asked: list[str] = []

    async def get(self, path: str) -> Object:
        answer = self._answer(path, NotFound())
        assert isinstance(answer, dict)
        return answer

    async def patch(self, path: str, body: Object, *, content_type: str) -> Object:
        return await self.get(path)

    async def get_metadata(self, path: str) -> Object:
        return dict((await self.get(path))["metadata"])

    async def create(self, path: str, body: Object, *, query: dict[str, str]) -> Object:
        return await self.get(path)

    async def delete(self, path: str, body: Object) -> None:
        self.expected = body
        await self.get(path)

    async def list_pages(
        self, path: str, *, selector: str | None = None, fields: str | None = None
    ) -> AsyncIterator[Object]:
        items = self._answer(path, [])
        for start in range(0, max(1, len(items)), 2):
            yield {"metadata": {}, "items": items[start : start + 2] or None}

    def _answer(self, path: str, missing: Any) -> Any:
        self.asked.append(path)
        answer = self.answers.get(path, missing)
        if isinstance(answer, KubeError):
            raise answer
        return answer


def cluster(answers: dict[str, Any]) -> Cluster:
    return Cluster(FakeClient(**answers), namespace="shop", host=HOST)  # type: ignore[arg-type]


async def failure(error: KubeError) -> CliError:
    with pytest.raises(CliError) as caught:
        await cluster({paths.credentials("shop", "github"): error, paths.GROUP_VERSION: {}}).credential(
            "shop", "github"
        )
    return caught.value


@pytest.mark.parametrize(
    ("error", "cause", "next_step"),
    [
        (Unauthorized(), "does not accept your credentials", "log in again"),
        (Forbidden(), "you may not get toolcredentials.tolstoy.dev in namespace shop (403)", "kubectl auth can-i get"),
        (NotFound(), "there is no ToolCredential github in namespace shop", "kubectl tolstoy status -n shop"),
        (KubeUnavailable(reason="ClientConnectorError"), "no usable answer", "check the network"),
        (Conflict(), "changed while", "try again"),
        (Gone(), "changed while", "try again"),
        (Unprocessable(), "refuses to get", "look at the object"),
        (KubeError(418), "HTTP 418", "try again"),
    ],
)
async def test_each_refusal_names_cause_and_next_step(error: KubeError, cause: str, next_step: str) -> None:
    told = await failure(error)
    assert cause in told.message
    assert next_step in told.next_step
    assert told.exit_code == 1


async def test_a_cluster_without_the_operator_is_told_apart_from_a_missing_object() -> None:
    nothing = cluster({})
    for ask in (nothing.credential("shop", "github"), nothing.ask_for_sync("shop", "github", "m")):
        with pytest.raises(CliError, match=f"{HOST} knows no ToolCredentials"):
            await ask
    with pytest.raises(CliError, match="knows no ToolCredentials"):
        await cluster({paths.CREDENTIALS: NotFound()}).credentials(None)


async def test_all_namespaces_are_refused_with_a_way_out() -> None:
    with pytest.raises(CliError, match="in all namespaces") as caught:
        await cluster({paths.CREDENTIALS: Forbidden()}).credentials(None)
    assert "name one namespace with -n" in caught.value.next_step


async def test_every_page_is_read() -> None:
    items = [credential(f"c{number}") for number in range(5)]
    assert await cluster({paths.credentials("shop"): items}).credentials("shop") == items


async def test_workloads_of_all_kinds_and_the_owners_of_pods() -> None:
    made = {"ownerReferences": [{"kind": "ReplicaSet", "name": "web-1", "controller": True}]}
    parent = {"metadata": {"ownerReferences": [{"kind": "Deployment", "name": "web", "controller": True}]}}
    template = {"metadata": {"name": "x"}, "spec": {"template": {"spec": USES}}}
    cron = {"metadata": {"name": "nightly"}, "spec": {"jobTemplate": {"spec": {"template": {"spec": USES}}}}}
    found = await cluster(
        {
            paths.pods("shop"): [pod("web-1-a", USES, metadata=made), pod("other", {"containers": []})],
            paths.apps("shop", "replicasets", "web-1"): parent,
            paths.apps("shop", "statefulsets"): [template],
            paths.batch("shop", "cronjobs"): [cron],
        }
    ).surroundings("shop", "uid-1", "github")
    assert [item["metadata"]["name"] for item in found.pods] == ["web-1-a"]
    assert found.parents == {("ReplicaSet", "web-1"): ("Deployment", "web")}
    assert found.templates == {("StatefulSet", "x"): USES, ("CronJob", "nightly"): USES}
    assert found.unread == []


async def test_what_may_not_be_read_is_said_and_the_rest_is_shown() -> None:
    made = {"ownerReferences": [{"kind": "Job", "name": "run", "controller": True}]}
    found = await cluster(
        {
            paths.pods("shop"): [pod("run-a", USES, metadata=made)],
            paths.batch("shop", "jobs", "run"): Forbidden(),
            paths.batch("shop", "cronjobs"): Forbidden(),
            paths.events_of_core("shop"): Forbidden(),
        }
    ).surroundings("shop", "uid-1", "github")
    assert [item["metadata"]["name"] for item in found.pods] == ["run-a"]
    assert found.parents == {}
    assert found.unread == ["you may not list cronjobs in namespace shop", "you may not list events in namespace shop"]


async def test_an_outage_in_the_middle_is_no_empty_answer() -> None:
    with pytest.raises(CliError, match="no usable answer to list pods"):
        await cluster({paths.pods("shop"): KubeUnavailable(503)}).surroundings("shop", "uid-1", "github")


async def test_without_a_secret_only_events_are_read() -> None:
    client = FakeClient()
    await Cluster(client, namespace="shop", host=HOST).surroundings("shop", "uid-1", None)  # type: ignore[arg-type]
    assert client.asked == [paths.events_of_core("shop")]


GITHUB, SECRET = paths.credential("shop", "github"), paths.secrets("shop", "s")


async def test_a_credential_that_is_gone_or_another_one_is_none() -> None:
    assert await cluster({}).find_credential("shop", "github", "uid-1") is None
    there = cluster({GITHUB: credential()})
    assert await there.find_credential("shop", "github", "uid-1") == credential()
    assert await there.find_credential("shop", "github", "uid-2") is None


async def test_deletions_name_what_they_mean_and_may_come_late() -> None:
    client = FakeClient(**{GITHUB: {}, SECRET: {}})
    there = Cluster(client, namespace="shop", host=HOST)  # type: ignore[arg-type]
    await there.delete_credential("shop", "github", "uid-1")
    assert client.expected == {"preconditions": {"uid": "uid-1"}}
    await there.delete_secret("shop", "s", "uid-2")
    assert client.expected == {"preconditions": {"uid": "uid-2"}}
    await cluster({}).delete_credential("shop", "github", "uid-1")
    await cluster({SECRET: Conflict()}).delete_secret("shop", "s", "uid-1")


async def test_of_a_secret_only_metadata_is_seen() -> None:
    assert await cluster({SECRET: {"metadata": {"uid": "1"}}}).secret_metadata("shop", "s") == {"uid": "1"}
    assert await cluster({}).secret_metadata("shop", "s") is None


async def test_a_name_that_is_taken_is_no_error() -> None:
    assert await cluster({paths.secrets("shop"): {}}).create_secret("shop", {}) is True
    assert await cluster({paths.secrets("shop"): Conflict()}).create_secret("shop", {}) is False


@pytest.mark.parametrize("error", [Forbidden(), KubeUnavailable(503)])
async def test_refused_writes_are_told(error: KubeError) -> None:
    there = cluster({GITHUB: error, SECRET: error, paths.secrets("shop"): error})
    for ask, verb in (
        (there.find_credential("shop", "github", "1"), "get toolcredentials"),
        (there.change_spec("shop", "github", "1", {}), "patch toolcredentials"),
        (there.delete_credential("shop", "github", "1"), "delete toolcredentials"),
        (there.create_secret("shop", {}), "create secrets"),
        (there.secret_metadata("shop", "s"), "get secrets"),
        (there.delete_secret("shop", "s", "1"), "delete secrets"),
    ):
        with pytest.raises(CliError, match=verb):
            await ask
