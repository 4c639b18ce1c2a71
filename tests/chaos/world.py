"""Two clusters with three replicas each, one Secrets Manager, one authorization server behind a faulty network."""

from __future__ import annotations

import contextlib
import json
import random
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from dev.oauth.proxy import ProxyProcess
from dev.oauth.server import CLIENT_SECRET, Grant, OAuthServer
from dev.testbed import OperatorProcess, Testbed, eventually
from tests.chaos.ledger import CALM, LEDGER, RATE, STRUCK
from tests.support.kubeapi import CREDENTIALS, KubeApi, credential

NAMESPACE: Final = "team"
REPLICAS: Final = 3
TOOLS: Final = ("unknown", "strict")
"""A provider of which nothing is known, and one that is known to punish a second use."""
SHORTEST_SHARED_S: Final = 1260.0
"""Of the protocol's rules: what a token must live at least in shared mode, in production's time."""

_STRICT = """
title: A strict server
sources: {run: {at: "https://idp.example.com", date: 2026-11-24}}
like: generic
token_url: unknown
hosts: unknown
rotation: {value: rotating, source: run}
reuse_grace: {value: 0s, source: run}
old_access_token: {value: survives, source: run}
"""


@dataclass(frozen=True)
class Plan:
    """How much.

    `lifetime`: of access tokens, seconds. `seconds`: how long the faults go on. `exclusive`: one cluster refreshes, the
    other one mirrors; else both do. `step_rate`: the probability of a kill, and of a stop, before each step of the
    protocol, but the first time, when a kill is certain. `fault_rate`: of another fault, twice a second.
    """

    secrets: int
    lifetime: int
    seconds: float
    seed: int
    exclusive: bool = False
    step_rate: float = 0.003
    fault_rate: float = 0.06

    @property
    def time_scale(self) -> float:
        """The protocol's times in proportion to the tokens' lifetime."""
        return min(1.0, 0.9 * self.lifetime / SHORTEST_SHARED_S)

    @property
    def ttl(self) -> float:
        """Seconds after which a claim is taken over."""
        return 120.0 * self.time_scale


@dataclass
class Consent:
    """One consent of one organisation. `ended`: when a new one took its place."""

    grant: Grant
    given: float
    ended: float = float("inf")


class Cluster:
    """One control plane and its operators."""

    def __init__(self, name: str, testbed: Testbed, environment: dict[str, str], directory: Path) -> None:
        self.name = name
        self.testbed = testbed
        self.admin = KubeApi(testbed.plane, testbed.plane.token)
        self.ledgers = [directory / f"{name}-{number}.jsonl" for number in range(REPLICAS)]
        self.operators = [
            OperatorProcess(
                testbed.kubeconfig,
                testbed.environment(**environment, CLUSTER_ID=name, **{LEDGER: str(ledger)}),
                name=f"{name}-{number}",
                module="tests.chaos.operator_main",
            )
            for number, ledger in enumerate(self.ledgers)
        ]
        self.api_down = threading.Event()


class World:
    """Everything, running. A context manager."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.consents: dict[str, list[Consent]] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self.directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tolstoy-chaos-")))
            self.server = stack.enter_context(OAuthServer(access_token_ttl=self.plan.lifetime))
            self.proxy = stack.enter_context(ProxyProcess(self.server.url, seed=self.plan.seed))
            first = stack.enter_context(Testbed())
            second = stack.enter_context(Testbed(aws=first.aws))
            self.aws = first.aws
            self._seed()
            self.calm()
            environment = self._environment()
            alone = {"EXCLUSIVE_REFRESH": "true"} if self.plan.exclusive else {}
            self.clusters = [
                Cluster("a", first, environment | alone, self.directory),
                Cluster("b", second, environment, self.directory),
            ]
            for cluster in self.clusters:
                self._prepare(cluster)
                stack.callback(cluster.admin.__exit__, None, None, None)
                for operator in cluster.operators:
                    stack.callback(operator.close)
                    operator.start(wait=False)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def calm(self) -> None:
        """Nothing happens at the steps of the protocol, as from the world's start until it is unsettled."""
        self._calm.touch()

    def unsettle(self) -> None:
        """Operators may be killed or stopped before any step of the protocol."""
        self._calm.unlink()

    @property
    def _calm(self) -> Path:
        return self.directory / "calm"

    @property
    def ledgers(self) -> list[Path]:
        """The ledger files of all operators."""
        return [ledger for cluster in self.clusters for ledger in cluster.ledgers]

    def consent(self, name: str) -> None:
        """The organisation gives its consent (again), and the consent application stores it."""
        grant = self.server.seed("post", name)
        self.aws.client().put_secret_value(SecretId=name, SecretString=self._document(grant))
        self._note(name, grant)

    def _seed(self) -> None:
        chance = random.Random(self.plan.seed)
        names = [f"tolstoy/{TOOLS[number % 2]}/org-{number}" for number in range(self.plan.secrets)]
        for name in names:
            grant = self.server.seed("post", name)
            lived = chance.uniform(0, 0.6) * self.plan.lifetime
            self.aws.seed({name: self._document(grant, lived)})
            self._note(name, grant)

    def _note(self, name: str, grant: Grant) -> None:
        now = time.time()
        given = self.consents.setdefault(name, [])
        if given:
            given[-1].ended = now
        given.append(Consent(grant, now))

    def _document(self, grant: Grant, lived: float = 0.0) -> str:
        """`lived`: seconds that the token has lived already, so that not all are due at the same moment."""
        now = time.time() - lived
        document = {
            "accessToken": grant.access_token,
            "refreshToken": grant.refresh_token,
            "expiresAt": round((now + grant.expires_in) * 1000),
            "clientId": "post",
            "clientSecret": CLIENT_SECRET,
            "tokenEndpoint": f"{self.proxy.url}/token",
            "lastUpdated": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        }
        return json.dumps(document)

    def _environment(self) -> dict[str, str]:
        providers = self.directory / "providers"
        providers.mkdir()
        struck = self.directory / "struck"
        struck.mkdir()
        (providers / "strict.yaml").write_text(_STRICT)
        root = Path(__file__).resolve().parents[2]
        return {
            "PYTHONPATH": f"{root / 'operator'}:{root}",
            "PROVIDERS_DIR": str(providers),
            "TOKEN_ENDPOINT_ORIGINS": self.proxy.url,
            "REFRESH_TIME_SCALE": f"{self.plan.time_scale:.5f}",
            "SECRETS_SWEEP_INTERVAL_S": "1",
            RATE: str(self.plan.step_rate),
            CALM: str(self._calm),
            STRUCK: str(struck),
        }

    def _prepare(self, cluster: Cluster) -> None:
        parts = [name.split("/") for name in self.consents]
        cluster.testbed.bind(NAMESPACE, allowed_orgs=",".join(org for _, _, org in parts))
        for _, tool, org in parts:
            body = credential(org, tool=tool, orgId=org)
            eventually(lambda body=body: self._created(cluster, body), what="the credential is admitted")  # type: ignore[misc]  # lambda

    def _created(self, cluster: Cluster, body: dict[str, Any]) -> bool:
        return cluster.admin.post(CREDENTIALS.format(NAMESPACE), body).status in (201, 409)
