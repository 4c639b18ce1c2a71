"""Where a grant's request goes, how its client authenticates, and what one refusal teaches for all grants of a client.

The transport is scripted; everything between the document and the wire is real.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from joserfc.jwk import ECKey

from tolstoy_operator.domain.catalogue import load_catalogue
from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.refresh import Rotation
from tolstoy_operator.domain.revocation import TokenKind
from tolstoy_operator.domain.tokenhealth import Liveness, RevocationResult
from tolstoy_operator.domain.tokenoutcome import Accepted, InDoubt, NotSent, NotSentCause, Rejected, Rejection
from tolstoy_operator.oauth.client import TokenClient
from tolstoy_operator.oauth.proxies import Proxies
from tolstoy_operator.oauth.transport import BeforeSend, Transport, WireOutcome
from tolstoy_operator.oauth.wire import Wire, WireReply
from tolstoy_operator.services.clientstate import BREAKER_S, NETWORK_PAUSE_S
from tolstoy_operator.services.endpoints import Endpoints, Reach, ToolEndpoint

NOW = 1_790_000_000.0
URL = "https://idp.example.com/token"
TOKENS = '{"access_token":"at-2","expires_in":3600}'
REFUSED = (401, '{"error":"invalid_client"}')
DEAD = (400, '{"error":"invalid_grant"}')
WAIT = {"retry-after": "60"}
SLOW = (429, '{"error":"slow_down"}', WAIT)
BUSY = (503, "<html>", WAIT)

OWN_ENTRY = """
title: Own
sources: {wiki: {at: "https://idp.example.com/docs", date: 2026-11-24}}
like: generic
token_url: {value: "https://idp.example.com/token", source: wiki}
hosts: {value: [idp.example.com], source: wiki}
body: {value: json, source: wiki}
"""


class FakeTransport(Transport):
    """Answers in turn, the last answer for ever; keeps what was sent."""

    def __init__(self, answers: Iterable[tuple[object, ...] | str]) -> None:
        super().__init__(proxies=Proxies())
        self.answers = [item if isinstance(item, tuple) else (200, item) for item in answers]
        self.sent: list[Wire] = []

    async def send(self, wire: Wire, before_send: BeforeSend | None = None) -> WireOutcome:
        if before_send is not None:
            try:
                await before_send()
            except Exception as error:
                return NotSent(NotSentCause.FENCE, type(error).__name__)
        self.sent.append(wire)
        status, body, *rest = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        headers: Mapping[str, str] = rest[0] if rest else {}  # type: ignore[assignment]
        return WireReply(int(str(status)), {"content-length": "1", **headers}, str(body).encode())

    @property
    def ways(self) -> list[str]:
        """How each request authenticated."""
        return [_way(wire) for wire in self.sent]


def _way(wire: Wire) -> str:
    body = parse_qs(wire.body.reveal())
    if "client_secret" in body:
        return "post"
    if "client_assertion" in body:
        return "key"
    if "authorization" not in {name.lower() for name in wire.headers}:
        return "none"
    header = next(value.reveal() for name, value in wire.headers.items() if name.lower() == "authorization")
    secret = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")[2]
    return "raw" if set(secret) & set(":/+ &=") else "basic"


class Bench:
    def __init__(self, *answers: tuple[object, ...] | str, tool: str = "acme", own: Path | None = None) -> None:
        self.now = 1000.0
        self.transport = FakeTransport(answers or [TOKENS])
        self.endpoints = Endpoints(
            TokenClient(self.transport, clock=lambda: NOW),
            load_catalogue(own),
            Reach(hosts=("idp.example.com",), origins=frozenset({"http://127.0.0.1:9999"})),
            lambda: self.now,
        )
        self.tool = tool

    @property
    def endpoint(self) -> ToolEndpoint:
        return self.endpoints.of(self.tool)

    async def send(self, document: OAuthDocument) -> object:
        return await self.endpoint.send(document, before_send=lambda: True)


def document(**members: object) -> OAuthDocument:
    found = {
        "accessToken": "at-1",
        "refreshToken": "rt-1",
        "clientId": "c1",
        "clientSecret": "plain",
        "tokenEndpoint": URL,
        **members,
    }
    return OAuthDocument.of({key: value for key, value in found.items() if value is not None})


async def test_the_document_says_where_and_with_what() -> None:
    bench = Bench()
    assert isinstance(await bench.send(document()), Accepted)
    (wire,) = bench.transport.sent
    assert wire.endpoint.url == URL
    assert parse_qs(wire.body.reveal()) == {"grant_type": ["refresh_token"], "refresh_token": ["rt-1"]}


async def test_the_catalogue_says_what_the_document_does_not(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(OWN_ENTRY)
    bench = Bench(tool="own", own=tmp_path)
    assert isinstance(await bench.send(document(tokenEndpoint=None)), Accepted)
    (wire,) = bench.transport.sent
    assert wire.endpoint.url == URL
    assert '"refresh_token": "rt-1"' in wire.body.reveal().replace('":"', '": "')


def test_of_an_unknown_tool_nothing_is_known() -> None:
    assert Bench().endpoint.traits.rotation is Rotation.UNKNOWN
    assert Bench(tool="").endpoint.provider is None


@pytest.mark.parametrize(
    ("members", "cause"),
    [
        ({"tokenEndpoint": None}, NotSentCause.POLICY),
        ({"tokenEndpoint": "https://evil.example.com/token"}, NotSentCause.POLICY),
        ({"tokenEndpoint": "http://idp.example.com/token"}, NotSentCause.POLICY),
        ({"refreshToken": None}, NotSentCause.REQUEST),
    ],
)
async def test_what_cannot_be_sent_is_foreseen(members: dict[str, object], cause: NotSentCause) -> None:
    bench = Bench()
    foreseen = bench.endpoint.foresee(document(**members))
    assert isinstance(foreseen, NotSent)
    assert foreseen.cause is cause
    sent = await bench.send(document(**members))
    assert isinstance(sent, NotSent)
    assert bench.transport.sent == []


def test_what_only_the_provider_can_tell_is_not_foreseen() -> None:
    bench = Bench()
    assert bench.endpoint.foresee(document()) is None
    assert bench.endpoint.foresee(document(tokenEndpoint="http://127.0.0.1:9999/token")) is None


@pytest.mark.parametrize(
    ("members", "ways"),
    [
        ({}, ["basic", "post"]),
        ({"clientSecret": "a:/b"}, ["basic", "raw", "post"]),
        ({"clientSecret": None}, ["none"]),
    ],
)
async def test_a_refused_client_is_tried_in_every_way_that_it_has(members: dict[str, object], ways: list[str]) -> None:
    bench = Bench(REFUSED)
    outcome = await bench.send(document(**members))
    assert isinstance(outcome, Rejected)
    assert outcome.rejection is Rejection.CLIENT_MISCONFIGURED
    assert bench.transport.ways == ways


async def test_the_way_that_worked_is_remembered_for_the_client() -> None:
    bench = Bench(REFUSED, TOKENS)
    await bench.send(document())
    await bench.send(document(refreshToken="rt-of-another"))
    assert bench.transport.ways == ["basic", "post", "post"]
    await bench.send(document(clientId="c2"))
    assert bench.transport.ways[3:] == ["basic"], "another client is another matter"


@pytest.mark.parametrize(
    ("before", "then", "ways"),
    [
        ({}, {}, ["basic", "post"]),
        ({"clientSecret": None}, {}, ["basic", "post"]),
        ({}, {"clientSecret": None}, ["none"]),
    ],
    ids=["the registration changed", "a public client got a secret", "and lost it"],
)
async def test_a_way_that_worked_once_is_not_the_only_one_for_ever(
    before: dict[str, object], then: dict[str, object], ways: list[str]
) -> None:
    bench = Bench(TOKENS, *[REFUSED] * (len(ways) - 1), TOKENS)
    await bench.send(document(**before))
    bench.transport.sent.clear()
    assert isinstance(await bench.send(document(**then)), Accepted)
    assert bench.transport.ways == ways
    await bench.send(document(**then))
    assert bench.transport.ways[len(ways) :] == ways[-1:], "what works now is remembered instead"


async def test_an_encoding_that_worked_once_gives_way_to_the_other() -> None:
    bench = Bench(REFUSED, TOKENS, REFUSED, TOKENS)
    odd = document(clientSecret="a:/b")
    await bench.send(odd)
    await bench.send(odd)
    assert bench.transport.ways == ["basic", "raw", "raw", "basic"]


async def test_two_encodings_that_make_no_difference_are_one_way() -> None:
    bench = Bench(REFUSED, TOKENS, REFUSED, TOKENS)
    await bench.send(document(clientSecret="a:/b"))
    await bench.send(document(clientSecret="plain"))
    assert bench.transport.ways == ["basic", "raw", "basic", "post"]


async def test_a_client_moves_from_a_secret_to_a_key_one_document_after_the_other() -> None:
    bench = Bench(tool="microsoft-entra")
    entra = {"tokenEndpoint": "https://login.microsoftonline.com/contoso/oauth2/v2.0/token"}
    key = ECKey.generate_key("P-256").as_pem(private=True).decode()
    assert isinstance(await bench.send(document(**entra)), Accepted)
    moved = document(**entra, clientSecret=None, privateKey=key, keyAlgorithm="ES256")
    assert isinstance(await bench.send(moved), Accepted)
    assert isinstance(await bench.send(document(**entra)), Accepted)
    assert bench.transport.ways == ["post", "key", "post"]


async def test_a_refused_grant_is_sent_once() -> None:
    bench = Bench(DEAD)
    outcome = await bench.send(document())
    assert isinstance(outcome, Rejected)
    assert outcome.rejection is Rejection.REAUTHORIZE
    assert len(bench.transport.sent) == 1


async def test_the_fence_is_asked_before_every_request() -> None:
    bench = Bench(REFUSED)
    asked: list[bool] = [True, False]
    outcome = await bench.endpoint.send(document(), before_send=lambda: asked.pop(0))
    assert outcome == NotSent(NotSentCause.FENCE, "TooLate")
    assert len(bench.transport.sent) == 1


async def test_a_refused_client_holds_all_grants_with_the_same_credentials() -> None:
    bench = Bench(REFUSED)
    await bench.send(document())
    held = bench.endpoint.foresee(document(refreshToken="rt-of-another"))
    assert isinstance(held, Rejected)
    assert (held.rejection, held.retry_after) == (Rejection.CLIENT_MISCONFIGURED, BREAKER_S)
    bench.now += 100
    held = bench.endpoint.foresee(document())
    assert isinstance(held, Rejected)
    assert held.retry_after == BREAKER_S - 100
    assert bench.endpoint.foresee(document(clientSecret="another")) is None
    assert bench.endpoint.foresee(document(clientId="c2")) is None
    assert bench.endpoints.of("other").foresee(document()) is None
    assert isinstance(bench.endpoint.foresee(document(tokenEndpoint="http://idp.example.com/")), NotSent)


async def test_after_the_pause_one_goes_first() -> None:
    bench = Bench(REFUSED, REFUSED, DEAD)
    await bench.send(document())
    bench.now += BREAKER_S
    assert bench.endpoint.foresee(document()) is None
    held: list[object] = []

    def others_ask() -> bool:
        held.append(bench.endpoint.foresee(document()))
        return True

    await bench.endpoint.send(document(), before_send=others_ask)
    assert isinstance(held[0], Rejected)
    assert bench.endpoint.foresee(document()) is None, "the client was accepted, whatever became of the grant"


@pytest.mark.parametrize(
    ("answer", "rejection", "pause"),
    [
        (SLOW, Rejection.THROTTLED, 60),
        ((400, '{"error":"temporarily_unavailable"}', WAIT), Rejection.TRANSIENT, 60),
        (BUSY, Rejection.TRANSIENT, 60),
        ((503, '{"error":"temporarily_unavailable"}', WAIT), Rejection.TRANSIENT, 60),
        ((403, "<html>blocked</html>"), Rejection.NETWORK_REFUSED, NETWORK_PAUSE_S),
        ((403, "<html>blocked</html>", WAIT), Rejection.NETWORK_REFUSED, NETWORK_PAUSE_S),
    ],
)
async def test_a_provider_that_asks_for_a_pause_gets_it_from_the_whole_client(
    answer: tuple[object, ...], rejection: Rejection, pause: float
) -> None:
    bench = Bench(answer, TOKENS)
    await bench.send(document())
    held = bench.endpoint.foresee(document(clientSecret="another", refreshToken="rt-2"))
    assert isinstance(held, Rejected)
    assert (held.rejection, held.retry_after) == (rejection, pause)
    assert bench.endpoint.foresee(document(clientId="c2")) is None
    bench.now += pause
    assert bench.endpoint.foresee(document()) is None
    await bench.send(document())
    assert bench.endpoint.foresee(document()) is None


@pytest.mark.parametrize(("grace", "held"), [("0s", True), ("60s", False), ("61s", True)])
async def test_no_pause_outlasts_the_time_in_which_a_spent_token_works(grace: str, held: bool, tmp_path: Path) -> None:
    known = f"rotation: {{value: rotating, source: wiki}}\nreuse_grace: {{value: {grace}, source: wiki}}\n"
    (tmp_path / "own.yaml").write_text(OWN_ENTRY + known)
    bench = Bench(BUSY, tool="own", own=tmp_path)
    assert isinstance(await bench.send(document()), InDoubt)
    assert (bench.endpoint.foresee(document()) is not None) is held


async def test_an_odd_answer_is_taken_and_said(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench('{"access_token":"at-1","expires_in":-5,"token_type":"DPoP"}')
    assert isinstance(await bench.send(document()), Accepted)
    (record,) = caplog.records
    assert record.message.endswith("odd: expiry-in-past, same-access-token, token-type-refused")
    assert "at-1" not in record.message


async def test_a_doubt_teaches_nothing_about_the_client() -> None:
    bench = Bench((500, "<html>"))
    assert isinstance(await bench.send(document()), InDoubt)
    assert bench.endpoint.foresee(document()) is None


async def test_a_probe_says_what_its_provider_wants_to_hear() -> None:
    bench = Bench('{"data":{"viewer":{"id":"x"}}}', tool="linear")
    assert await bench.endpoint.alive(document(tokenEndpoint="https://api.linear.app/oauth/token")) is True
    (wire,) = bench.transport.sent
    assert (wire.method, wire.endpoint.url) == ("POST", "https://api.linear.app/graphql")
    assert json.loads(wire.body.reveal()) == {"query": "{ viewer { id } }"}
    assert wire.headers["content-type"].reveal() == "application/json"
    assert wire.headers["authorization"].reveal() == "Bearer at-1"


async def test_health_is_asked_where_the_provider_can_be_asked() -> None:
    assert (await Bench().endpoint.health(document())).liveness is Liveness.UNKNOWN
    assert await Bench().endpoint.alive(document()) is None
    bench = Bench('{"login":"x"}', tool="github")
    assert await bench.endpoint.alive(document(tokenEndpoint=None)) is True
    bench = Bench((401, "{}"), tool="github")
    assert await bench.endpoint.alive(document(tokenEndpoint=None)) is False
    assert await bench.endpoint.alive(document(tokenEndpoint=None, accessToken=None)) is None


INTROSPECTION = "introspect: {value: {url: introspect}, source: wiki}\n"
REVOCATION = "revoke: {value: {url: revoke}, source: wiki}\n"
BEARER = "credentials: bearer, parameter: null, tokens: [access]"
PROBE = f"probe: {{value: {{url: me, method: GET, {BEARER}}}, source: wiki}}\n"
BEARER_REVOCATION = f"revoke: {{value: {{url: revoke, {BEARER}}}, source: wiki}}\n"
ACTIVE = '{"active":true}'


async def ask(bench: Bench) -> Liveness:
    return (await bench.endpoint.health(document())).liveness


async def revoke(bench: Bench) -> RevocationResult:
    return (await bench.endpoint.revoke(document(), TokenKind.ACCESS)).result


class TestPauses:
    """What stops a client stops questions about its tokens and revocations as well, and they find it out as well."""

    @pytest.fixture
    def entry(self, tmp_path: Path) -> Path:
        return tmp_path

    def bench(self, entry: Path, calls: str, *answers: tuple[object, ...] | str) -> Bench:
        (entry / "own.yaml").write_text(OWN_ENTRY + calls)
        return Bench(*answers, tool="own", own=entry)

    @pytest.mark.parametrize("calls", [INTROSPECTION, PROBE])
    async def test_a_question_waits_for_the_end_of_a_pause(self, entry: Path, calls: str) -> None:
        bench = self.bench(entry, calls, SLOW, ACTIVE)
        await bench.send(document())
        bench.now += 20
        health = await bench.endpoint.health(document())
        assert (health.liveness, health.asked, health.retry_after) == (Liveness.UNKNOWN, False, 40)
        assert (health.code, health.rejection) == ("slow_down", Rejection.THROTTLED)
        assert len(bench.transport.sent) == 1
        bench.now += 40
        assert await ask(bench) is Liveness.ALIVE

    @pytest.mark.parametrize("calls", [REVOCATION, BEARER_REVOCATION])
    async def test_so_does_a_revocation(self, entry: Path, calls: str) -> None:
        bench = self.bench(entry, calls, SLOW, "{}")
        await bench.send(document())
        reply = await bench.endpoint.revoke(document(), TokenKind.ACCESS)
        assert (reply.result, reply.code, reply.retry_after) == (RevocationResult.RETRY, "slow_down", 60)
        assert len(bench.transport.sent) == 1
        bench.now += 60
        assert await revoke(bench) is RevocationResult.DONE
        assert await revoke(bench) is RevocationResult.DONE, "the pause is over for all"

    @pytest.mark.parametrize("answer", [SLOW, BUSY])
    @pytest.mark.parametrize(
        ("calls", "act"), [(INTROSPECTION, ask), (PROBE, ask), (REVOCATION, revoke), (BEARER_REVOCATION, revoke)]
    )
    async def test_a_pause_that_they_are_asked_for_holds_the_client(
        self, entry: Path, calls: str, act: Callable[[Bench], Awaitable[object]], answer: tuple[object, ...]
    ) -> None:
        bench = self.bench(entry, calls, answer, ACTIVE)
        await act(bench)
        held = bench.endpoint.foresee(document(clientSecret="another"))
        assert isinstance(held, Rejected)
        assert held.retry_after == 60
        await act(bench)
        assert len(bench.transport.sent) == 1

    @pytest.mark.parametrize(("calls", "act"), [(INTROSPECTION, ask), (REVOCATION, revoke)])
    async def test_a_client_that_they_are_refused_for_is_held_once(
        self, entry: Path, calls: str, act: Callable[[Bench], Awaitable[object]]
    ) -> None:
        bench = self.bench(entry, calls, *[REFUSED] * 3, TOKENS, REFUSED)
        await act(bench)
        assert bench.transport.ways == ["basic", "post", "basic"], "in every way that it has"
        held = bench.endpoint.foresee(document(refreshToken="rt-of-another"))
        assert isinstance(held, Rejected)
        assert (held.rejection, held.retry_after) == (Rejection.CLIENT_MISCONFIGURED, BREAKER_S)
        assert bench.endpoint.foresee(document(clientSecret="another")) is None
        bench.now += BREAKER_S
        await act(bench)
        assert len(bench.transport.sent) == 3, "a token request goes first"
        assert isinstance(await bench.send(document()), Accepted)
        await act(bench)
        assert len(bench.transport.sent) > 4
        assert bench.endpoint.foresee(document()) is None, "the client is good, whatever that call says"

    async def test_where_no_token_is_asked_for_a_question_goes_in_the_end(self, entry: Path) -> None:
        bench = self.bench(entry, INTROSPECTION, *[REFUSED] * 3, ACTIVE)
        await ask(bench)
        bench.now += 2 * BREAKER_S
        assert await ask(bench) is Liveness.ALIVE
        assert bench.endpoint.foresee(document()) is None

    async def test_a_token_that_is_refused_says_nothing_about_its_client(self, entry: Path) -> None:
        bench = self.bench(entry, PROBE + BEARER_REVOCATION, REFUSED)
        assert await ask(bench) is Liveness.DEAD
        assert await revoke(bench) is RevocationResult.REFUSED
        assert bench.endpoint.foresee(document()) is None

    async def test_a_client_that_is_refused_does_not_stop_what_a_token_alone_asks(self, entry: Path) -> None:
        bench = self.bench(entry, PROBE + BEARER_REVOCATION, REFUSED, REFUSED, ACTIVE)
        await bench.send(document())
        assert await ask(bench) is Liveness.ALIVE
        assert await revoke(bench) is RevocationResult.DONE
        assert bench.endpoint.foresee(document()) is not None, "nor does it prove anything of the client"

    async def test_after_a_pause_a_question_goes_alone(self, entry: Path) -> None:
        bench = self.bench(entry, INTROSPECTION, SLOW, "<html>", ACTIVE)
        await bench.send(document())
        bench.now += 60
        assert not await self.sent_during(bench, bench.endpoint.health(document())), "somebody else went as well"
        assert bench.endpoint.foresee(document()) is None

    async def sent_during(self, bench: Bench, asking: Awaitable[object]) -> bool:
        """Whether another request could have gone while one was under way."""
        free: list[bool] = []
        real = bench.transport.send

        async def send(wire: Wire, before_send: BeforeSend | None = None) -> WireOutcome:
            free.append(bench.endpoint.foresee(document()) is None)
            return await real(wire, before_send)

        bench.transport.send = send  # type: ignore[method-assign]
        await asking
        return any(free)
