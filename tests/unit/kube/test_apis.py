"""What each small API sends: Secrets, statuses, Events, reviews, finalizers, Leases, and live questions."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast

import pytest

from tests.support.fakekube import FakeKube, Object, Request
from tests.unit.kube.apiserver import ApiServer, Scripted
from tolstoy_operator.api import names
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.client import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, KubeClient
from tolstoy_operator.kube.credentials import CredentialsApi
from tolstoy_operator.kube.errors import Conflict, Forbidden, KubeUnavailable, NotFound, Unprocessable
from tolstoy_operator.kube.events import EventsApi, Transition
from tolstoy_operator.kube.finalizers import release_finalizers
from tolstoy_operator.kube.leases import LeasesApi
from tolstoy_operator.kube.reviews import ReviewsAuthorizer
from tolstoy_operator.kube.secrets import SecretsApi
from tolstoy_operator.kube.status import StatusApi

AT = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)


class TestSecrets:
    async def test_each_write_names_its_manager_and_what_it_expects(
        self, server: ApiServer, client: KubeClient
    ) -> None:
        api = SecretsApi(client)
        await api.read("shop", "x")
        await api.create("shop", {"metadata": {"name": "x"}})
        await api.rewrite("shop", "x", [{"op": "test"}])
        await api.merge("shop", "x", {"metadata": {"uid": "u"}}, manager="tolstoy.dev/uid-1")
        await api.delete("shop", "x", "u", 7)
        read, create, rewrite, merge, delete = server.asked
        assert read.path == "/api/v1/namespaces/shop/secrets/x"
        assert create.query == rewrite.query == {"fieldManager": "tolstoy-operator"}
        assert rewrite.headers["Content-Type"] == JSON_PATCH
        assert merge.query == {"fieldManager": "tolstoy.dev/uid-1", "force": "true"}
        assert merge.headers["Content-Type"] == APPLY_PATCH
        assert delete.body == {"preconditions": {"uid": "u", "resourceVersion": "7"}}


class TestStatus:
    async def test_it_names_the_version_that_it_speaks_of(self, server: ApiServer, client: KubeClient) -> None:
        await StatusApi(client).write("shop", "x", 7, {"grant": None})
        asked = server.asked[0]
        assert asked.path == "/apis/tolstoy.dev/v1/namespaces/shop/toolcredentials/x/status"
        assert asked.headers["Content-Type"] == MERGE_PATCH
        assert asked.body == {"metadata": {"resourceVersion": "7"}, "status": {"grant": None}}


class TestEvents:
    def transition(self, **changes: Any) -> Transition:
        given = {"namespace": "shop", "name": "github", "uid": "u", "warning": True, "reason": "Because", "note": "n"}
        return Transition(**{**given, **changes})

    async def test_an_event_regards_its_credential(self, server: ApiServer, client: KubeClient) -> None:
        await EventsApi(client, instance="pod-1").post(self.transition(), at=AT)
        body = server.asked[0].body
        assert server.asked[0].path == "/apis/events.k8s.io/v1/namespaces/shop/events"
        assert body["regarding"]["name"] == "github"
        assert body["eventTime"] == "2026-05-01T12:00:00.123456Z"
        assert (body["type"], body["reason"], body["action"], body["note"]) == ("Warning", "Because", "Sync", "n")

    async def test_what_is_fine_is_normal(self, server: ApiServer, client: KubeClient) -> None:
        await EventsApi(client, instance="pod-1").post(self.transition(warning=False), at=AT)
        assert server.asked[0].body["type"] == "Normal"

    async def test_another_time_zone_is_the_same_moment(self, server: ApiServer, client: KubeClient) -> None:
        await EventsApi(client, instance="i").post(self.transition(), at=AT.astimezone(timezone(timedelta(hours=9))))
        assert server.asked[0].body["eventTime"] == "2026-05-01T12:00:00.123456Z"

    @pytest.mark.parametrize("name", ["x" * 253, "a" * 199 + ".b", "a" * 198 + "--b"])
    async def test_texts_and_names_keep_to_the_limits(self, server: ApiServer, client: KubeClient, name: str) -> None:
        await EventsApi(client, instance="p" * 300).post(self.transition(name=name, note="n" * 5000), at=AT)
        body = server.asked[0].body
        assert len(body["note"]) == 1024
        assert len(body["reportingInstance"]) == 128
        assert len(body["metadata"]["name"]) <= 253
        assert ".." not in body["metadata"]["name"]
        assert "-." not in body["metadata"]["name"]
        assert body["regarding"]["name"] == name

    async def test_a_failure_is_logged_and_nothing_else(
        self, server: ApiServer, client: KubeClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        server.answer(Scripted(403, {"reason": "Forbidden"}))
        with caplog.at_level(logging.DEBUG):
            await EventsApi(client, instance="pod-1").post(self.transition(), at=AT)
        assert "event not posted: Forbidden" in caplog.text


class TestReviews:
    def reviewed(self, allowed: bool, **user: Any) -> list[Scripted]:
        token = {"status": {"authenticated": True, "user": {"username": "u", "groups": ["g"], **user}}}
        return [Scripted(201, token), Scripted(201, {"status": {"allowed": allowed}})]

    @pytest.mark.parametrize("allowed", [True, False])
    async def test_who_may_list_credentials_may_see(self, server: ApiServer, client: KubeClient, allowed: bool) -> None:
        server.answer(*self.reviewed(allowed, uid="1", extra={"scopes": ["a"]}))
        assert await ReviewsAuthorizer(client).allowed("their-token", "shop") is allowed
        token, access = (item.body for item in server.asked)
        assert token["spec"] == {"token": "their-token"}
        assert access["spec"] == {
            "user": "u",
            "groups": ["g"],
            "uid": "1",
            "extra": {"scopes": ["a"]},
            "resourceAttributes": {
                "verb": "list",
                "group": "tolstoy.dev",
                "resource": "toolcredentials",
                "namespace": "shop",
            },
        }

    async def test_all_namespaces_are_a_right_of_their_own(self, server: ApiServer, client: KubeClient) -> None:
        server.answer(*self.reviewed(True))
        assert await ReviewsAuthorizer(client).allowed("their-token", None)
        assert "namespace" not in server.asked[1].body["spec"]["resourceAttributes"]

    @pytest.mark.parametrize(
        "answer", [{"status": {"authenticated": False}}, {"status": {"error": "no"}}, {"status": None}, {}]
    )
    async def test_a_token_that_is_not_accepted_lets_nobody_in(
        self, server: ApiServer, client: KubeClient, answer: Object
    ) -> None:
        server.answer(Scripted(201, answer))
        assert not await ReviewsAuthorizer(client).allowed("their-token", None)
        assert len(server.asked) == 1

    async def test_an_answer_that_says_nothing_lets_nobody_in(self, server: ApiServer, client: KubeClient) -> None:
        server.answer(Scripted(201, {"status": {"authenticated": True}}), Scripted(201, {}))
        assert not await ReviewsAuthorizer(client).allowed("their-token", None)

    async def test_a_review_that_fails_lets_nobody_in_and_tells_no_token(
        self, server: ApiServer, client: KubeClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        server.answer(Scripted(403, {"reason": "Forbidden"}))
        assert not await ReviewsAuthorizer(client).allowed("their-token", None)
        assert "Forbidden" in caplog.text
        assert "their-token" not in caplog.text


class TestFinalizers:
    def kube(self, *finalizers: list[str] | None) -> tuple[FakeKube, KubeClient]:
        kube = FakeKube()
        for number, given in enumerate(finalizers):
            meta = {} if given is None else {"finalizers": given}
            kube.put(paths.credential("shop", f"c{number}"), {"metadata": meta, "spec": {}})
        return kube, cast(KubeClient, kube)

    def left(self, kube: FakeKube, number: int) -> list[str]:
        body = kube.find(paths.credential("shop", f"c{number}"))
        assert body is not None
        return cast(list[str], body["metadata"].get("finalizers", []))

    async def test_only_ours_go(self) -> None:
        kube, client = self.kube(["a/b", names.FINALIZER, "c/d"], [names.FINALIZER], ["a/b"], None)
        assert await release_finalizers(client) == 2
        assert [self.left(kube, number) for number in range(4)] == [["a/b", "c/d"], [], ["a/b"], []]
        assert await release_finalizers(client) == 0

    async def test_one_that_moves_meanwhile_is_found(self) -> None:
        kube, client = self.kube(["a/b", names.FINALIZER])

        def at_the_patch(request: Request) -> None:
            if request.verb == "PATCH":
                kube.edit(request.path, lambda item: item["metadata"].update(finalizers=[names.FINALIZER]))
            else:
                kube.meanwhile = at_the_patch

        kube.meanwhile = at_the_patch
        assert await release_finalizers(client) == 1
        assert self.left(kube, 0) == []

    async def test_one_that_is_gone_meanwhile_is_fine(self) -> None:
        kube, client = self.kube([names.FINALIZER])
        kube.fail("PATCH", "c0", NotFound())
        assert await release_finalizers(client) == 0

    async def test_a_refusal_is_an_error(self) -> None:
        kube, client = self.kube([names.FINALIZER])
        kube.fail("PATCH", "c0", Unprocessable())
        with pytest.raises(Unprocessable):
            await release_finalizers(client)

    async def test_the_api_server_away_is_an_error(self) -> None:
        kube, client = self.kube([names.FINALIZER])
        kube.fail("PATCH", "c0", KubeUnavailable())
        with pytest.raises(KubeUnavailable):
            await release_finalizers(client)


class TestLeases:
    async def test_read_create_replace(self) -> None:
        kube = FakeKube()
        api = LeasesApi(cast(KubeClient, kube), "system", "lease")
        assert await api.get() is None
        created = await api.create({"metadata": {"name": "lease"}, "spec": {}})
        with pytest.raises(Conflict):
            await api.create({"metadata": {"name": "lease"}, "spec": {}})
        replaced = await api.replace({**created, "spec": {"holderIdentity": "me"}})
        assert await api.get() == replaced
        with pytest.raises(Conflict):
            await api.replace(created)


class TestCredentials:
    async def test_the_uids_of_a_namespace_as_of_now(self) -> None:
        kube = FakeKube()
        wanted = {kube.put(paths.credential("shop", f"c{n}"), {"spec": {}})["metadata"]["uid"] for n in range(5)}
        kube.put(paths.credential("other", "c"), {"spec": {}})
        assert await CredentialsApi(cast(KubeClient, kube)).uids("shop") == wanted

    async def test_no_answer_is_an_error(self) -> None:
        kube = FakeKube()
        kube.fail("LIST", "", Forbidden())
        with pytest.raises(Forbidden):
            await CredentialsApi(cast(KubeClient, kube)).uids("shop")
