"""A reconciler with everything it talks to, in memory, on a clock that only moves when told."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from tests.support.fakekube import FakeKube, Object, kind_of
from tests.support.fakestore import FakeStore
from tolstoy_operator.api import names
from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.domain.existing import fingerprint_with
from tolstoy_operator.domain.grant import Trouble
from tolstoy_operator.engine.bindings import Unbound
from tolstoy_operator.engine.change import Change
from tolstoy_operator.engine.checks import Check
from tolstoy_operator.engine.departures import Departures
from tolstoy_operator.engine.grants import Grants
from tolstoy_operator.engine.imports import Imports
from tolstoy_operator.engine.inventory import Inventory
from tolstoy_operator.engine.janitor import Janitor
from tolstoy_operator.engine.mirror import Mirror
from tolstoy_operator.engine.questions import Questions
from tolstoy_operator.engine.reconciler import Reconciler, Timing
from tolstoy_operator.engine.records import Key
from tolstoy_operator.engine.upstream import UpstreamHealth
from tolstoy_operator.engine.workqueue import WorkQueue
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.client import KubeClient
from tolstoy_operator.kube.credentials import CredentialsApi
from tolstoy_operator.kube.errors import KubeError
from tolstoy_operator.kube.events import EventsApi
from tolstoy_operator.kube.finalizers import FinalizersApi
from tolstoy_operator.kube.secrets import SecretsApi
from tolstoy_operator.kube.status import StatusApi
from tolstoy_operator.observability.audit import Actor, Entry
from tolstoy_operator.services.resolver import SecretsResolver
from tolstoy_operator.services.revocation import Outcome, RevocationService, Revoked
from tolstoy_operator.services.secrets import SecretsService

GRACE = 600.0
STALL = 600.0
REVOCATION_TIMEOUT = 1800.0
SHOP = "shop"
UPSTREAM = "tolstoy/github/org-1"


class Clock:
    """Epoch seconds, and monotonic seconds: the same here."""

    def __init__(self) -> None:
        self.now = datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp()

    def __call__(self) -> float:
        return self.now

    def date(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)


class FakeGrants:
    """Nothing is ever refreshed, and nothing is wrong. `unsure`: newer tokens may be in a journal.

    `asked`: the secrets for which a pass was asked; `end_pass` ends one.
    """

    unsure = False
    unusable = ""
    told: Trouble | None = None
    consent_ends: float | None = None

    def __init__(self) -> None:
        self.questions = Questions(lambda _: True)
        self.asked: list[str] = []

    def settling(self, _: str) -> bool:
        return self.unsure

    def note(self, *_: object) -> SimpleNamespace:
        self.noted = SimpleNamespace(
            due_at=None, trouble=self.told, consent_ends=self.consent_ends, unusable=self.unusable, check=Check()
        )
        return self.noted

    def refresh_now(self, name: str, uid: str, mark: str) -> None:
        if not self.questions.knows(name, uid, mark):
            self.questions.ask(name, uid, mark)
            self.asked.append(name)

    def end_pass(self, name: str) -> None:
        self.questions.begin(name)
        self.questions.end(name)


class FakeRevocations:
    """A revocation service that answers as it is told."""

    def __init__(self) -> None:
        self.supported = True
        self.answers: list[Revoked] = []
        self.asked: list[str] = []
        self.finished: list[str] = []

    def supports(self, _: str) -> bool:
        return self.supported

    async def revoke(self, name: str, *, actor: Actor) -> Revoked:
        self.asked.append(name)
        return self.answers.pop(0) if self.answers else Revoked(Outcome.REVOKED, "the tokens are revoked")

    async def finish(self, name: str) -> None:
        self.finished.append(name)


class World:
    """A cluster, a store, and an operator that is told what happens in which order."""

    def __init__(self, *, grants: Callable[[], FakeGrants] = FakeGrants) -> None:
        self._new_grants = grants
        self.clock = Clock()
        self.set_by = timedelta()
        """By how much the operator's time of day is wrong, where that is tried."""
        self.kube = FakeKube()
        self.store = FakeStore(wall=self.clock)
        self.revocations = FakeRevocations()
        self.revocations_allowed = True
        self.data_changes: list[tuple[Key, Change]] = []
        self.audited: list[Entry] = []
        """What was done to Secrets of the cluster."""
        self._start()

    def _start(self) -> None:
        client = cast(KubeClient, self.kube)
        self.grants = self._new_grants()
        fingerprint = fingerprint_with(b"key")
        self.inventory = Inventory(fingerprint)
        self.secrets = SecretsService(
            self.store,
            cache_ttl=300,
            stale_max_age=86_400,
            clock=self.clock,
            wall=self.clock,
            window=0,
            record=lambda entry: None,
        )
        self.mirror = Mirror(self.inventory, SecretsApi(client), fingerprint, record=self.audited.append)
        self.unbound = Unbound(self.inventory, clock=self.clock, grace=GRACE)
        self.upstream = UpstreamHealth(self.clock)
        self.janitor = Janitor(self.inventory, self.mirror, CredentialsApi(client))
        self.departing = WorkQueue(self.clock)
        self.departures = Departures(
            inventory=self.inventory,
            revocations=cast(RevocationService, self.revocations),
            finalizers=FinalizersApi(client),
            events=EventsApi(client, instance="pod-1"),
            queue=self.departing,
            allowed=self.revocations_allowed,
            timeout=timedelta(seconds=REVOCATION_TIMEOUT),
            now=lambda: self.clock.date() + self.set_by,
            clock=self.clock,
            uniform=lambda low, high: high,
        )
        self.reconciler = Reconciler(
            inventory=self.inventory,
            secrets=self.secrets,
            mirror=self.mirror,
            unbound=self.unbound,
            upstream=self.upstream,
            grants=cast(Grants, self.grants),
            imports=Imports(
                self.inventory,
                SecretsApi(client),
                SecretsResolver(self.secrets, database_secret="db"),
                events=EventsApi(client, instance="pod-1"),
                now=self.clock.date,
            ),
            departures=self.departures,
            status=StatusApi(client),
            events=EventsApi(client, instance="pod-1"),
            region="local",
            timing=Timing(now=self.clock.date, uniform=lambda low, high: high, stall_after=timedelta(seconds=STALL)),
            on_status=lambda key, status: None,
            on_data=lambda credential, change: self.data_changes.append((credential.key, change)),
        )

    def restart(self) -> None:
        """Forget everything, and list."""
        self.kube.events.clear()
        self._start()
        for collection in (paths.NAMESPACES, paths.SECRETS, paths.CREDENTIALS):
            for body in self.kube.all(collection).values():
                if kind_of(body) != "secret" or names.MANAGED_LABEL in (body["metadata"].get("labels") or {}):
                    self._observe("ADDED", body)

    # What people do.

    def namespace(self, name: str = SHOP, *, orgs: str = "org-1", **annotations: str) -> None:
        given = {f"{names.GROUP}/{key.replace('_', '-')}": value for key, value in annotations.items()}
        given[names.ALLOWED_ORGS] = orgs
        self.kube.put(f"{paths.NAMESPACES}/{name}", {"metadata": {"annotations": given}})

    def credential(self, name: str = "github", *, namespace: str = SHOP, **spec: Any) -> str:
        """Apply a ToolCredential for tolstoy/github/org-1; `spec` has the names of YAML. Returns its UID."""
        path = paths.credential(namespace, name)
        body = {"spec": {"tool": "github", "orgId": "org-1", **spec}}
        before = self.kube.find(path)
        if before is not None and "status" in before:
            body["status"] = before["status"]
        return str(self.kube.put(path, body)["metadata"]["uid"])

    def delete_credential(self, name: str = "github", *, namespace: str = SHOP) -> None:
        """At once, or when its finalizers are gone."""
        path, since = paths.credential(namespace, name), self.clock.date().strftime("%Y-%m-%dT%H:%M:%SZ")
        body = self.kube.find(path)
        if body is not None and body["metadata"].get("finalizers"):
            self.kube.edit(path, lambda body: body["metadata"].update(deletionTimestamp=since))
        else:
            self.kube.remove(path)

    def annotate_credential(self, name: str = "github", **annotations: str) -> None:
        given = {f"{names.GROUP}/{key.replace('_', '-')}": value for key, value in annotations.items()}
        self.kube.edit(paths.credential(SHOP, name), lambda body: body["metadata"].update(annotations=given))

    def put_secret(self, name: str, data: Mapping[str, str], **meta: Any) -> None:
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        self.kube.put(paths.secrets(SHOP, name), {"metadata": meta, "type": "Opaque", "data": encoded})

    # What the operator does.

    def deliver(self) -> frozenset[Key]:
        """Let the watches show everything that happened. Returns the credentials concerned."""
        concerned: set[Key] = set()
        events, self.kube.events = self.kube.events, []
        for kind, body in events:
            concerned |= self._observe(kind, body)
        return frozenset(concerned)

    def _observe(self, kind: str, body: Object) -> frozenset[Key]:
        meta, what = body["metadata"], kind_of(body)
        key, version = (meta.get("namespace", ""), meta["name"]), int(meta["resourceVersion"])
        if what == "namespace":
            if kind == "DELETED":
                self.inventory.forget_namespace(meta["name"], version)
                return frozenset()
            return self.inventory.observe_namespace(body)
        if what == "secret":
            if kind == "DELETED":
                return self.inventory.forget_secret(key, meta["uid"], version)
            return self.inventory.observe_secret(body)
        if kind == "DELETED":
            return self.inventory.forget_credential(key, meta["uid"])
        return self.inventory.observe_credential(body)

    async def reconcile(self, name: str = "github", *, namespace: str = SHOP) -> tuple[Reason | None, float | None]:
        return await self.reconciler.reconcile((namespace, name), 0)

    async def settle(self, *, rounds: int = 30) -> None:
        """Events and reconciliations until nothing follows from anything any more."""
        await self._work_on(self.deliver(), rounds)

    async def look_at_all(self, *, rounds: int = 30) -> None:
        """What retries with growing pauses come to."""
        await self._work_on([item.key for item in self.inventory.credentials()], rounds)

    async def _work_on(self, keys: Iterable[Key], rounds: int) -> None:
        for _ in range(rounds):
            again = set()
            for key in sorted(keys):
                try:
                    await self.reconciler.reconcile(key, 0)
                except KubeError:
                    again.add(key)
            keys = self.deliver() | again
            if not keys:
                return
        raise AssertionError(f"it does not settle: {sorted(keys)}")

    # What is there.

    def uid(self, name: str = "github", *, namespace: str = SHOP) -> str:
        body = self.kube.find(paths.credential(namespace, name))
        assert body is not None
        return str(body["metadata"]["uid"])

    def data(self, name: str = "github", *, namespace: str = SHOP) -> dict[str, str] | None:
        body = self.kube.find(paths.secrets(namespace, name))
        if body is None:
            return None
        return {key: base64.b64decode(value).decode() for key, value in (body.get("data") or {}).items()}

    def status(self, name: str = "github", *, namespace: str = SHOP) -> Object:
        body = self.kube.find(paths.credential(namespace, name))
        assert body is not None
        return cast(Object, body.get("status") or {})

    def condition(self, kind: str, name: str = "github", *, namespace: str = SHOP) -> Object:
        found = self.status(name, namespace=namespace).get("conditions", [])
        return next((item for item in found if item["type"] == kind), {})

    def reason(self, name: str = "github", *, namespace: str = SHOP) -> str | None:
        return self.condition("Ready", name, namespace=namespace).get("reason")

    def message(self, name: str = "github", *, namespace: str = SHOP) -> str:
        return str(self.condition("Ready", name, namespace=namespace).get("message"))

    def events(self) -> list[str]:
        """The reasons of the Events posted so far."""
        return [body["reason"] for path, body in self.kube.all(paths.events(SHOP)).items()]
