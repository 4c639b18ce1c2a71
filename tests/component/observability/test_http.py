from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.observability.http import Check, HttpServer
from tolstoy_operator.observability.metrics import CacheTotals, Metrics

CANARY = "cAnary7QxT9vLm2ZpK4wRs8"
PATHS = ["/healthz", "/readyz", "/health", "/status/detailed", "/metrics"]


class FakeHealth:
    def __init__(self) -> None:
        self.alive = [Check("loop", True), Check("watches", True, "last event 3 s ago")]
        self.ready = [Check("inventory", True)]
        self.figures: dict[str, Any] = {
            "secrets": {"connected": True, "region": "eu-west-1"},
            "credentials": {"total": 2},
        }
        self.credentials: list[dict[str, Any]] = [
            {"namespace": "team-a", "name": "github", "reason": "Synced"},
            {"namespace": "team-b", "name": "slack", "reason": "TokenExpired"},
        ]
        self.failure: BaseException | None = None

    def liveness(self) -> Sequence[Check]:
        if self.failure:
            raise self.failure
        return self.alive

    def readiness(self) -> Sequence[Check]:
        return self.ready

    def summary(self) -> Mapping[str, Any]:
        return self.figures

    def detail(self, namespace: str | None) -> Sequence[Mapping[str, Any]]:
        return [one for one in self.credentials if namespace in (None, one["namespace"])]


class FakeAuthorizer:
    """Knows two tokens. Records what it was asked, waits where told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.gate: asyncio.Event | None = None
        self.underway = self.most_underway = 0

    async def allowed(self, token: str, namespace: str | None) -> bool:
        self.asked.append((token, namespace))
        self.underway += 1
        self.most_underway = max(self.most_underway, self.underway)
        if self.gate:
            await self.gate.wait()
        self.underway -= 1
        return token == "admin" or (token == "team-a" and namespace == "team-a")


class Bench:
    def __init__(self, server: HttpServer, health: FakeHealth, authorizer: FakeAuthorizer, metrics: Metrics) -> None:
        self.server, self.health, self.authorizer, self.metrics = server, health, authorizer, metrics
        self.session = aiohttp.ClientSession(base_url=f"http://127.0.0.1:{server.port}")

    async def get(self, path: str, token: str | None = None, method: str = "GET", **more: Any) -> Answer:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.session.request(
            method, path, headers={**headers, **more.pop("headers", {})}, **more
        ) as response:
            return Answer(response.status, dict(response.headers), await response.text())


class Answer:
    def __init__(self, status: int, headers: dict[str, str], text: str) -> None:
        self.status, self.headers, self.text = status, headers, text

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[Bench]:
    health, authorizer, metrics = FakeHealth(), FakeAuthorizer(), Metrics(version="1.2.3", per_credential=True)
    server = HttpServer(
        health=health, metrics=metrics, authorizer=authorizer, host="127.0.0.1", port=0, request_seconds=1.0
    )
    await server.start()
    made = Bench(server, health, authorizer, metrics)
    yield made
    await made.session.close()
    await server.stop()


async def test_healthz_says_which_check_fails(bench: Bench) -> None:
    answer = await bench.get("/healthz")
    assert answer.status == 200
    assert answer.json == {
        "status": "ok",
        "checks": [
            {"name": "loop", "ok": True, "detail": ""},
            {"name": "watches", "ok": True, "detail": "last event 3 s ago"},
        ],
    }
    bench.health.alive[1] = Check("watches", False, "no event for 900 s")
    answer = await bench.get("/healthz")
    assert (answer.status, answer.json["status"]) == (500, "failed")
    assert answer.json["checks"][1]["detail"] == "no event for 900 s"


async def test_readyz_is_about_readiness_alone(bench: Bench) -> None:
    assert (await bench.get("/readyz")).status == 200
    bench.health.ready = [Check("inventory", False)]
    assert (await bench.get("/readyz")).status == 503
    assert (await bench.get("/healthz")).status == 200


@pytest.mark.parametrize(
    ("alive", "ready", "connected", "status", "code"),
    [
        (True, True, True, "healthy", 200),
        (True, True, None, "healthy", 200),
        (True, True, False, "degraded", 200),
        (True, False, True, "degraded", 200),
        (False, True, True, "unhealthy", 503),
    ],
)
async def test_health_sums_up(
    bench: Bench, alive: bool, ready: bool, connected: bool | None, status: str, code: int
) -> None:
    bench.health.alive = [Check("loop", alive)]
    bench.health.ready = [Check("inventory", ready)]
    bench.health.figures["secrets"]["connected"] = connected
    answer = await bench.get("/health")
    assert (answer.status, answer.json["status"]) == (code, status)
    assert answer.json["secrets"] == {"connected": connected, "region": "eu-west-1"}


async def test_the_detailed_status_gives_figures_to_all_and_credentials_to_nobody_unasked(bench: Bench) -> None:
    answer = await bench.get("/status/detailed")
    assert answer.status == 200
    assert answer.json["status"] == "healthy"
    assert answer.json["credentials"] == {"total": 2}
    assert [check["name"] for check in answer.json["checks"]] == ["loop", "watches", "inventory"]
    assert "items" not in answer.json
    assert bench.authorizer.asked == []


@pytest.mark.parametrize(
    ("token", "query", "status", "names"),
    [
        ("admin", "", 200, ["github", "slack"]),
        ("admin", "?namespace=team-b", 200, ["slack"]),
        ("team-a", "?namespace=team-a", 200, ["github"]),
        ("team-a", "?namespace=team-b", 403, None),
        ("team-a", "", 403, None),
        ("stranger", "?namespace=team-a", 403, None),
        (None, "?namespace=team-a", 401, None),
    ],
)
async def test_single_credentials_are_for_those_whom_the_cluster_lets_see_them(
    bench: Bench, token: str | None, query: str, status: int, names: list[str] | None
) -> None:
    answer = await bench.get(f"/status/detailed{query}", token)
    assert answer.status == status
    if names is None:
        assert "github" not in answer.text
        assert "slack" not in answer.text
        assert answer.json.keys() == {"error"}
    else:
        assert [one["name"] for one in answer.json["items"]] == names
        assert answer.json["credentials"] == {"total": 2}
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "admin", "Bearer " + "x" * 8100])
async def test_what_is_no_bearer_token_is_not_taken_to_the_api_server(bench: Bench, header: str) -> None:
    answer = await bench.get("/status/detailed", headers={"Authorization": header})
    assert answer.status in {400, 401, 403}
    assert "github" not in answer.text
    assert all(len(token) <= 8192 for token, _ in bench.authorizer.asked)


@pytest.mark.parametrize(
    "query",
    [
        "namespace=",
        "namespace=../x",
        "namespace=A",
        "namespace=a&namespace=b",
        "namespace=a%0ab",
        f"namespace={'a' * 64}",
    ],
)
async def test_a_namespace_that_cannot_be_one_is_refused_before_anybody_is_asked(bench: Bench, query: str) -> None:
    assert (await bench.get(f"/status/detailed?{query}", "admin")).status == 400
    assert bench.authorizer.asked == []


async def test_few_reviews_run_at_a_time(bench: Bench) -> None:
    bench.authorizer.gate = asyncio.Event()
    requests = [asyncio.create_task(bench.get("/status/detailed", "admin")) for _ in range(12)]
    async with asyncio.timeout(0.9):
        while bench.authorizer.underway < 4:
            await asyncio.sleep(0)
        bench.authorizer.gate.set()
        assert {answer.status for answer in await asyncio.gather(*requests)} == {200}
    assert bench.authorizer.most_underway == 4


async def test_metrics_are_sampled_at_the_scrape_and_parse_in_both_formats(bench: Bench) -> None:
    class FakeSource:
        depth = 3

        def credentials_by_reason(self) -> Mapping[str, int]:
            return {"Synced": 5}

        def queue_depth(self) -> int:
            return self.depth

        def oldest_overdue_seconds(self) -> float:
            return 1.5

        def oldest_overdue_refresh_seconds(self) -> float:
            return 2.5

        def refreshed_tools(self) -> Iterable[str]:
            return ()

        def withdrawals_held(self) -> bool:
            return False

        def is_leader(self) -> bool:
            return True

        def cache_totals(self) -> CacheTotals:
            return CacheTotals(hits=1)

    source = FakeSource()
    bench.metrics.bind(source)
    plain = await bench.get("/metrics")
    assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in parse_text(plain.text)}
    assert families["tolstoy_queue_depth"].samples[0].value == 3
    source.depth = 4
    rich = await bench.get(
        "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0,text/plain;q=0.5"}
    )
    assert rich.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in parse_openmetrics(rich.text)}  # type: ignore[no-untyped-call]
    assert families["tolstoy_queue_depth"].samples[0].value == 4
    assert {"process_cpu_seconds", "python_info", "python_gc_collections", "tolstoy_build"} <= families.keys()


async def test_the_loop_answers_probes_while_large_metrics_are_rendered(bench: Bench) -> None:
    for number in range(3000):
        bench.metrics.observe_credential("team", f"credential-{number}", ready=True, expires_at=1.0)
    scrape = asyncio.create_task(bench.get("/metrics"))
    answer, scraped = await asyncio.gather(bench.get("/healthz"), scrape)
    assert answer.status == 200
    assert scraped.text.count("tolstoy_credential_ready{") == 3000


@pytest.mark.parametrize("path", [*PATHS, "/nowhere"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_every_answer_is_guarded(bench: Bench, path: str, method: str) -> None:
    answer = await bench.get(path, method=method)
    expected = 404 if path == "/nowhere" else 200 if method in {"GET", "HEAD"} else 405
    assert answer.status == expected
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Server"] == "tolstoy-operator"
    assert "Content-Security-Policy" in answer.headers
    if method == "HEAD":
        assert answer.text == ""
        assert path == "/nowhere" or int(answer.headers["Content-Length"]) > 0
    if expected == 405:
        assert set(answer.headers["Allow"].split(",")) == {"GET", "HEAD"}


@pytest.mark.parametrize(
    "path",
    ["/", "/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/healthz/", "/status", "/metrics/..%2f..%2f"],
)
async def test_other_paths_do_not_exist(bench: Bench, path: str) -> None:
    assert (await bench.get(path)).status == 404


async def test_an_error_is_told_without_its_text(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.health.failure = ValueError(CANARY)
    with caplog.at_level(logging.ERROR):
        for path in ("/healthz", "/health", "/status/detailed"):
            answer = await bench.get(path)
            assert (answer.status, answer.json) == (500, {"error": "internal error"})
            assert answer.headers["Cache-Control"] == "no-store"
    assert CANARY not in " ".join(record.getMessage() for record in caplog.records)


async def test_a_secret_in_the_figures_is_an_error_not_an_answer(bench: Bench) -> None:
    bench.health.figures["oops"] = SecretValue(CANARY)
    answer = await bench.get("/health")
    assert answer.status == 500
    assert CANARY not in answer.text


async def test_a_request_that_hangs_is_ended(bench: Bench) -> None:
    bench.authorizer.gate = asyncio.Event()
    answer = await bench.get("/status/detailed", "admin")
    assert (answer.status, answer.json) == (503, {"error": "timeout"})


async def test_a_body_is_not_read(bench: Bench) -> None:
    answer = await bench.get("/healthz", data=b"x" * 100_000)
    assert answer.status == 200


async def test_a_body_that_never_comes_does_not_hold_the_connection(bench: Bench) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", bench.server.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
    async with asyncio.timeout(3):
        answer = await reader.read()  # until the server closes
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
    ],
)
async def test_garbage_on_the_wire_is_a_400(bench: Bench, garbage: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", bench.server.port)
    writer.write(garbage)
    async with asyncio.timeout(5):
        line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert b" 400 " in line or b" 404 " in line or b" 505 " in line
    assert (await bench.get("/healthz")).status == 200


async def test_the_port_is_shown_and_free_again_after_stop() -> None:
    def server(port: int) -> HttpServer:
        return HttpServer(
            health=FakeHealth(),
            metrics=Metrics(version="1"),
            authorizer=FakeAuthorizer(),
            host="127.0.0.1",
            port=port,
        )

    first = server(0)
    assert first.port == 0
    await first.start()
    port = first.port
    assert port > 0
    second = server(port)
    with pytest.raises(OSError, match="address already in use"):
        await second.start()
    await first.stop()
    await second.start()
    assert second.port == port
    await second.stop()
    await second.stop()
