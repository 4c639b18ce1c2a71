"""What a tenant can do to others without reading anything: crowd them out, and put words into the operator's mouth."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from dev.testbed import OperatorProcess, eventually
from tests.integration.attacks.conftest import Scene
from tests.integration.operator.conftest import NewTenant
from tests.integration.operator.tenant import Tenant, api_key, value
from tests.integration.operator.test_http import token_of

pytestmark = pytest.mark.integration

FLOOD = 300
SOON = 10.0
"""Seconds, on a machine that does other things as well. How many turns it takes is shown by the tests of the queue."""


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    return {"WORKERS": "2"}  # so that it takes no more than a few hundred objects to keep all of them busy


@pytest.fixture
def neighbour(new_tenant: NewTenant) -> Tenant:
    tenant = new_tenant()
    tenant.store(api_key())
    tenant.synced()
    return tenant


def is_served(tenant: Tenant, number: int) -> None:
    """Every kind of work for a tenant gets done soon: a change upstream, an edit in the cluster, a new credential."""
    tenant.store(api_key(f"k{number}"))
    tenant.await_data(api_key(f"k{number}"), timeout=SOON)
    tenant.patch_secret({"stringData": {"apiKey": "typo"}})
    tenant.await_data(api_key(f"k{number}"), timeout=SOON)
    tenant.store(api_key("new"), f"tool{number}")
    tenant.create(f"new{number}", f"tool{number}")
    tenant.await_data(api_key("new"), f"new{number}", timeout=SOON)


@pytest.fixture
def spam(scene: Scene, new_tenant: NewTenant) -> Iterator[Tenant]:
    """Somebody who has credentials synced by force, again and again, for as long as the test lasts."""
    tenant = new_tenant()
    tenant.store(api_key())
    for number in range(10):
        tenant.create(f"c{number}")
    tenant.await_reason("Synced", "c9")
    over = Event()

    def annotate(number: int) -> None:
        while not over.is_set():
            mark = f"{time.monotonic_ns()}"
            tenant.patch(f"c{number}", {"metadata": {"annotations": {"tolstoy.dev/force-sync": mark}}})

    with ThreadPoolExecutor(2) as threads:
        spammers = [threads.submit(annotate, number) for number in range(2)]
        try:
            yield tenant
        finally:
            over.set()
            for spammer in spammers:
                spammer.result()


def test_syncs_by_force_without_end_delay_no_neighbour(neighbour: Tenant, spam: Tenant) -> None:
    for number in range(2):
        is_served(neighbour, number)


def test_syncs_by_force_without_end_cost_no_more_calls_than_there_is_time_for(
    neighbour: Tenant, spam: Tenant, operator: OperatorProcess
) -> None:
    """One credential is in one worker's hands, so the next reading begins when the last one has ended."""
    aws = spam.testbed.aws
    aws.reset_calls()
    started = time.monotonic()
    is_served(neighbour, 10)
    seconds = time.monotonic() - started
    reads = aws.calls()["GetSecretValue"] + aws.calls()["BatchGetSecretValue"]
    assert reads <= 50 + 100 * seconds


def test_hundreds_of_new_credentials_delay_no_neighbour(neighbour: Tenant, new_tenant: NewTenant) -> None:
    flood = new_tenant()
    for number in range(3):
        flood.store(api_key(), f"tool{number}")
    for number in range(FLOOD):
        flood.create(f"c{number}", f"tool{number % 3}")
    is_served(neighbour, 20)
    eventually(lambda: len(flood.all_data()) == FLOOD, what="the flood is through as well", timeout=60)


def test_hundreds_of_credentials_that_fail_delay_no_neighbour(neighbour: Tenant, new_tenant: NewTenant) -> None:
    flood = new_tenant()
    flood.store("not json")
    for number in range(FLOOD):
        flood.create(f"c{number}")
    is_served(neighbour, 30)


ESCAPE = "\x1b[31m"
HOSTILE = f'x\n{{"ts":"now","level":"error","msg":"forged"}}\r{ESCAPE}\u202e\u2028'
"""A line of its own, a return, a colour, right-to-left, and a separator that some take for a line's end."""


class TestWordsInTheOperatorsMouth:
    """Names and texts that others choose end up in statuses, Events and logs."""

    @pytest.fixture(
        params=[
            {HOSTILE: "x"},
            {"nested": {HOSTILE: "x"}},
            {"apiKey": {HOSTILE: "x"}},
            {"tokenType": [HOSTILE], "accessToken": 1},
            {"DATABASE_URL": HOSTILE},
            {"accessToken": "a", "expiresAt": HOSTILE},
            {"a" * 60_000: "x", "b c": "y"},
            HOSTILE,
        ],
        ids=["name", "nested name", "list", "members", "url", "time", "long", "text"],
    )
    def said(self, tenant: Tenant, request: pytest.FixtureRequest) -> tuple[Tenant, str]:
        """A tenant who stored such a document, and all that is said about it in the cluster."""
        tenant.store(request.param)
        tenant.create()
        eventually(lambda: tenant.status().get("conditions"), what="it says something")
        status, events = tenant.force_sync(), tenant.events()
        texts = [item["message"] for item in status["conditions"]] + [item["note"] for item in events]
        assert all(len(text) <= 1024 for text in texts)
        return tenant, "".join(texts)

    def test_they_forge_no_line_and_no_colour(self, said: tuple[Tenant, str], operator: OperatorProcess) -> None:
        tenant, texts = said
        assert not re.search(r"[\x00-\x1f\x7f\u2028\u2029\u202a-\u202e]", texts)
        raw = operator.log.read_bytes()
        assert b"\x1b" not in raw
        assert b"\r" not in raw
        records = operator.records()  # each line is one JSON object
        assert not [record for record in records if record["msg"] == "forged"]
        assert max(map(len, raw.splitlines())) < 20_000
        assert any(record.get("namespace") == tenant.namespace for record in records)

    def test_in_the_spec_they_are_refused_or_bounded(self, scene: Scene) -> None:
        for target in (
            {"name": HOSTILE},
            {"keys": [HOSTILE]},
            {"labels": {"a": HOSTILE}},
            {"type": HOSTILE},
            {"template": {HOSTILE: "x"}},
            {"template": {"x": "y" * 1_000_000}},
        ):
            answer = scene.apply(tool="github", orgId=scene.attacker.org, target=target)
            assert answer.status in (400, 413, 422), answer

    def test_a_template_is_told_by_position_only(self, tenant: Tenant) -> None:
        tenant.store(api_key())
        tenant.create(target={"template": {"x": f"${{{HOSTILE}}}"}})
        status = tenant.await_reason("TemplateError")
        assert not re.search(r"[\x00-\x1f\u202e]|forged", json.dumps(status, ensure_ascii=False))

    def test_an_annotation_of_a_mebibyte_is_refused(self, scene: Scene) -> None:
        patch = {"metadata": {"annotations": {"tolstoy.dev/force-sync": "x" * 2**20}}}
        assert not scene.developer.patch(f"{scene.credentials}/own", patch).ok

    def test_a_forced_sync_by_a_long_text_is_handled(self, tenant: Tenant) -> None:
        tenant.store(api_key())
        tenant.synced()
        tenant.patch("github", {"metadata": {"annotations": {"tolstoy.dev/force-sync": HOSTILE + "x" * 100_000}}})
        tenant.store(api_key("k2"))
        tenant.await_data(api_key("k2"))


class TestReadingWhatIsServed:
    """The HTTP port, where no NetworkPolicy keeps a tenant's pod away from it."""

    @pytest.mark.parametrize("path", ["/metrics", "/health", "/status/detailed", "/healthz", "/readyz"])
    @pytest.mark.parametrize("who", ["nobody", "a tenant"])
    def test_no_tenant_is_named(self, scene: Scene, operator: OperatorProcess, path: str, who: str) -> None:
        token = token_of(scene.attacker, f"reader-{path.strip('/').replace('/', '-')}") if who == "a tenant" else None
        _, text = operator.get(path, token=token)
        for word in (scene.victim.namespace, scene.victim.org, value("")):
            assert not re.search(rf"{re.escape(word)}\b", text)

    def test_details_of_the_victim_are_refused(self, scene: Scene, operator: OperatorProcess) -> None:
        token = token_of(scene.attacker, "curious", role="edit")
        for query in (f"?namespace={scene.victim.namespace}", "?namespace=*", "?namespace=", "?namespace=%2A"):
            status, text = operator.get(f"/status/detailed{query}", token=token)
            assert scene.victim.org not in text
            assert status in (200, 400, 403)

    @pytest.mark.parametrize("path", ["/status/detailed?namespace=kube-system&namespace=x", "//metrics", "/../metrics"])
    def test_odd_requests_get_nothing_more(self, scene: Scene, operator: OperatorProcess, path: str) -> None:
        _, text = operator.get(path)
        assert scene.victim.namespace not in text
