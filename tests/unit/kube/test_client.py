"""What goes over the wire, what is tried again, and what comes back as which error."""

from __future__ import annotations

import asyncio
import logging
import traceback

import pytest
import tenacity
from kubernetes.aio.client.configuration import Configuration

from tests.unit.kube.apiserver import TOKEN, ApiServer, Scripted
from tolstoy_operator.kube import client as module
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.client import ANSWER_LIMIT, JSON_PATCH, KubeClient
from tolstoy_operator.kube.errors import (
    Conflict,
    Forbidden,
    Gone,
    KubeError,
    KubeUnavailable,
    NotFound,
    TooLarge,
    Unauthorized,
    Unprocessable,
)
from tolstoy_operator.kube.kubeconfig import KubeconfigError, UserCluster

SECRET = {"metadata": {"name": "x"}, "data": {"accessToken": "Y2FuYXJ5LXZhbHVl"}}


async def test_a_request_carries_the_token_and_what_it_is(server: ApiServer, client: KubeClient) -> None:
    server.answer(Scripted(201, {"kind": "Secret"}))
    created = await client.create(paths.secrets("shop"), SECRET, query={"fieldManager": "tolstoy-operator"})
    assert created == {"kind": "Secret"}
    asked = server.asked[0]
    assert (asked.method, asked.path, asked.query) == (
        "POST",
        "/api/v1/namespaces/shop/secrets",
        {"fieldManager": "tolstoy-operator"},
    )
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.headers["User-Agent"] == "tolstoy-operator"
    assert asked.body == SECRET


async def test_each_method_is_its_verb(server: ApiServer, client: KubeClient) -> None:
    await client.get("/a")
    await client.replace("/a", {"b": 1})
    await client.patch("/a", [{"op": "test"}], content_type=JSON_PATCH)
    await client.delete("/a", {"preconditions": {"uid": "1"}})
    assert [item.method for item in server.asked] == ["GET", "PUT", "PATCH", "DELETE"]
    assert server.asked[2].headers["Content-Type"] == JSON_PATCH
    assert server.asked[2].body == [{"op": "test"}]
    assert server.asked[3].body == {"preconditions": {"uid": "1"}}


async def test_of_metadata_alone_nothing_else_is_asked_for(server: ApiServer, client: KubeClient) -> None:
    server.answer(Scripted(200, {"kind": "PartialObjectMetadata", "metadata": {"name": "x"}}))
    assert await client.get_metadata(paths.secrets("shop", "x")) == {"name": "x"}
    accepted = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    assert server.asked[0].headers["Accept"] == accepted, "and no plain JSON, which would be the whole Secret"
    await client.get("/a")
    assert server.asked[1].headers["Accept"] == "application/json"


async def test_a_name_is_never_a_path(server: ApiServer, client: KubeClient) -> None:
    await client.get(paths.secrets("shop", "../../other/secrets/theirs"))
    assert server.asked[0].path == "/api/v1/namespaces/shop/secrets/..%2F..%2Fother%2Fsecrets%2Ftheirs"


async def test_the_server_may_live_under_a_path(server: ApiServer) -> None:
    seen: list[str] = []
    client = server.client(
        path="/k8s/clusters/c1/", on_request=lambda verb, resource, status, seconds: seen.append(resource)
    )
    await client.get(paths.secrets("shop", "x"))
    await client.close()
    assert server.asked[0].path == "/k8s/clusters/c1/api/v1/namespaces/shop/secrets/x"
    assert seen == ["secrets"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, KubeError),
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (410, Gone),
        (422, Unprocessable),
        (302, KubeError),
    ],
)
async def test_a_refusal_is_an_error_of_its_class_and_is_not_repeated(
    server: ApiServer, client: KubeClient, status: int, error: type[KubeError]
) -> None:
    server.answer(Scripted(status, {"kind": "Status", "reason": "Because"}, {"Location": "/elsewhere"}))
    with pytest.raises(error) as caught:
        await client.get("/a")
    assert type(caught.value) is error
    assert (caught.value.status, caught.value.reason) == (status, "Because")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "bad",
    [
        Scripted(429),
        Scripted(500, {"reason": "InternalError"}),
        Scripted(503, "not json"),
        Scripted(cut=True),
        Scripted(200, "<html>a proxy</html>"),
        Scripted(200, "[]"),
    ],
)
async def test_trouble_is_tried_again(
    server: ApiServer, client: KubeClient, pauses: list[float], bad: Scripted
) -> None:
    server.answer(bad, bad, Scripted(200, {"kind": "Secret"}))
    assert await client.create("/a", SECRET) == {"kind": "Secret"}
    assert [item.body for item in server.asked] == [SECRET] * 3
    assert len(pauses) == 2
    assert pauses[0] <= 0.4
    assert pauses[1] <= 0.8


async def test_trouble_that_lasts_is_an_error(server: ApiServer, client: KubeClient, pauses: list[float]) -> None:
    server.answer(Scripted(503, {"reason": "ServiceUnavailable"}))
    with pytest.raises(KubeUnavailable) as caught:
        await client.get("/a")
    assert (caught.value.status, caught.value.reason) == (503, "ServiceUnavailable")
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("asked_for", "waited"),
    [("3", 3.0), ("600", 10.0), ("0", 0.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("²", None)],
)
async def test_the_server_says_how_long_to_wait(
    server: ApiServer, client: KubeClient, pauses: list[float], asked_for: str, waited: float | None
) -> None:
    server.answer(Scripted(429, {}, {"Retry-After": asked_for}), Scripted())
    await client.get("/a")
    if waited is None:
        assert pauses[0] <= 0.4
    else:
        assert pauses == [waited]


async def test_a_server_that_does_not_answer_is_not_waited_for(
    server: ApiServer, client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up: list[int] = []

    def wait(state: tenacity.RetryCallState) -> float:
        given_up.append(state.attempt_number)
        return 0.0

    monkeypatch.setattr(module, "REQUEST_TIMEOUT", 0.02)
    monkeypatch.setattr(module, "_wait", wait)
    server.answer(Scripted(hang=True))
    with pytest.raises(KubeUnavailable):
        await asyncio.wait_for(client.get("/a"), 5)
    assert given_up == [1, 2, 3, 4]


async def test_no_server_at_all(server: ApiServer, pauses: list[float]) -> None:
    client = server.client()
    await server.__aexit__()
    with pytest.raises(KubeUnavailable) as caught:
        await client.get("/a")
    await client.close()
    assert caught.value.status == 0


async def test_a_cancelled_request_is_not_repeated(server: ApiServer, client: KubeClient) -> None:
    server.answer(Scripted(hang=True))
    asking = asyncio.create_task(client.get("/a"))
    while not server.asked:
        await asyncio.sleep(0.001)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert len(server.asked) == 1


async def test_every_attempt_is_told(server: ApiServer, pauses: list[float]) -> None:
    told: list[tuple[str, str, int]] = []
    client = server.client(on_request=lambda verb, resource, status, seconds: told.append((verb, resource, status)))
    server.answer(Scripted(500), Scripted(cut=True), Scripted())
    await client.create(f"{paths.credential('shop', 'x')}/status", {})
    await client.close()
    assert told == [("POST", "toolcredentials/status", status) for status in (500, 0, 200)]


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("/api/v1/namespaces", "namespaces"),
        ("/api/v1/namespaces/kube-system", "namespaces"),
        ("/api/v1/secrets?limit=1", "secrets"),
        (paths.secrets("shop"), "secrets"),
        (paths.leases("shop", "x"), "leases"),
        (paths.TOKEN_REVIEWS, "tokenreviews"),
        ("/version", "unknown"),
    ],
)
def test_requests_are_counted_under_bounded_names(path: str, resource: str) -> None:
    assert module._resource_of(path) == resource


async def test_pages_follow_each_other(server: ApiServer, client: KubeClient) -> None:
    server.answer(
        Scripted(200, {"metadata": {"continue": "t1", "resourceVersion": "7"}, "items": [1]}),
        Scripted(200, {"metadata": {"continue": "", "resourceVersion": "7"}, "items": [2]}),
    )
    pages = [page["items"] async for page in client.list_pages("/a", selector="tolstoy.dev/managed", fields="x=y")]
    assert pages == [[1], [2]]
    assert [item.query.get("continue") for item in server.asked] == [None, "t1"]
    assert server.asked[0].query["labelSelector"] == "tolstoy.dev/managed"
    assert server.asked[0].query["fieldSelector"] == "x=y"
    assert server.asked[0].query["limit"] == "200"


async def test_a_page_that_is_too_large_is_asked_for_again_as_a_smaller_one(
    server: ApiServer, client: KubeClient
) -> None:
    """Who makes objects decides how large they are, and the memory of a pod has an end."""
    large = Scripted(200, {"items": ["x" * ANSWER_LIMIT]})
    first = Scripted(200, {"metadata": {"continue": "t1"}, "items": [1]})
    server.answer(large, large, first, large, Scripted(200, {"metadata": {}, "items": [2]}))
    assert [page["items"] async for page in client.list_pages("/a")] == [[1], [2]]
    asked = [(item.query["limit"], item.query.get("continue")) for item in server.asked]
    assert asked == [("200", None), ("100", None), ("50", None), ("100", "t1"), ("50", "t1")]


async def test_one_object_that_is_too_large_is_an_error(server: ApiServer, client: KubeClient) -> None:
    server.answer(Scripted(200, {"items": ["x" * ANSWER_LIMIT]}))
    with pytest.raises(TooLarge):
        [page async for page in client.list_pages("/a")]
    assert server.asked[-1].query["limit"] == "1"


async def test_a_page_that_is_too_old_says_so(server: ApiServer, client: KubeClient) -> None:
    server.answer(Scripted(200, {"metadata": {"continue": "t1"}}), Scripted(410, {"reason": "Expired"}))
    with pytest.raises(Gone):
        [page async for page in client.list_pages("/a")]


@pytest.mark.parametrize(
    "bad",
    [
        Scripted(422, {"reason": "Invalid", "message": "data: canary-value Y2FuYXJ5LXZhbHVl"}),
        Scripted(500, {"message": "canary-value"}),
        Scripted(cut=True),
        Scripted(200, "canary-value"),
    ],
)
async def test_nothing_that_was_sent_or_said_is_in_an_error(
    server: ApiServer, client: KubeClient, pauses: list[float], caplog: pytest.LogCaptureFixture, bad: Scripted
) -> None:
    server.answer(bad)
    with caplog.at_level(logging.DEBUG), pytest.raises(KubeError) as caught:
        await client.create(paths.secrets("shop"), SECRET)
    said = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + caplog.text
    assert "canary-value" not in said
    assert "Y2FuYXJ5LXZhbHVl" not in said
    assert TOKEN not in said


async def test_a_client_that_was_never_used_can_be_closed(server: ApiServer) -> None:
    await server.client().close()


@pytest.mark.parametrize(
    ("environment", "source"),
    [
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "pod"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBECONFIG": "/some/file"}, "file"),
        ({}, "file"),
    ],
)
async def test_a_pod_uses_its_own_account_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], source: str
) -> None:
    for name in ("KUBERNETES_SERVICE_HOST", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    async def from_file() -> UserCluster:
        return UserCluster(Configuration("file"), "context", "default")

    def from_pod(configuration: Configuration) -> None:
        configuration.host = "pod"

    monkeypatch.setattr(module, "load_user_cluster", from_file)
    monkeypatch.setattr(module, "load_incluster_config", from_pod)
    assert (await module.load_configuration()).host == source


async def test_a_pod_without_its_account_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(KubeconfigError, match="the ServiceAccount of this pod cannot be used: Service token file"):
        await module.load_configuration()
