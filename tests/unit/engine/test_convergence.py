"""Whatever happens in whatever order, it ends as it should, once; and what belongs to others is as they left it."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.support.fakekube import Object
from tests.unit.engine.world import SHOP, UPSTREAM, World
from tolstoy_operator.api import names
from tolstoy_operator.domain.errors import StoreUnavailable
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.errors import Conflict, KubeUnavailable

CREDENTIALS = ("a", "b")
SECRETS = ("a", "b", "web")
GRANTED = {"org-1": {"orgs": "org-1"}, "nothing": {"orgs": ""}}

Step = tuple[str, tuple[Any, ...]]

targets = st.fixed_dictionaries(
    {"name": st.sampled_from(SECRETS)},
    optional={
        "creationPolicy": st.just("Merge"),
        "deletionPolicy": st.sampled_from(["Delete", "Retain"]),
        "labels": st.just({"team": "x"}),
        "template": st.sampled_from([{"A": "${apiKey}"}, {"A": "${apiKey}", "B": "b"}]),
    },
)
credential = st.sampled_from(CREDENTIALS)
drift = st.sampled_from(["value", "extra", "label", "owner", "both", "empty"])
secret = st.sampled_from(SECRETS)
steps = st.one_of(
    st.tuples(st.just("apply"), st.tuples(credential, targets, st.booleans())),
    st.tuples(st.just("delete_credential"), st.tuples(credential)),
    st.tuples(st.just("bind"), st.tuples(st.sampled_from(sorted(GRANTED)))),
    st.tuples(st.just("upstream"), st.tuples(st.sampled_from(["good", "bad", "gone"]))),
    st.tuples(st.just("outage"), st.tuples(st.booleans())),
    st.tuples(st.just("put_foreign"), st.tuples(secret, st.booleans())),
    st.tuples(st.just("delete_secret"), st.tuples(secret)),
    st.tuples(st.just("drift"), st.tuples(secret, drift)),
    st.tuples(st.just("race"), st.tuples(secret, drift)),
    st.tuples(st.just("api_fault"), st.tuples(st.sampled_from(["POST", "PATCH", "DELETE"]), st.booleans())),
    st.tuples(st.just("collect_garbage"), st.just(())),
    st.tuples(st.just("restart"), st.just(())),
    st.tuples(st.just("deliver"), st.just(())),
    st.tuples(st.just("settle"), st.just(())),
    st.tuples(st.just("later"), st.tuples(st.sampled_from([1, 400, 700]))),
)


@dataclass
class Story:
    """People act on a world; it is remembered which Secrets are theirs, and how they left them."""

    world: World = field(default_factory=World)
    foreign: dict[str, dict[str, str]] = field(default_factory=dict)
    values: int = 0

    async def run(self, told: list[Step]) -> None:
        self.world.namespace()
        self.world.store.write(UPSTREAM, {"apiKey": "v0"})
        for step, arguments in told:
            await getattr(self, step)(*arguments)
            self.check_foreign()
        await self.end()

    async def end(self) -> None:
        """The weather turns fine, and everything gets its time."""
        world = self.world
        world.kube.heal()
        world.store.heal()
        for _ in range(3):
            world.clock.now += 700
            world.kube.collect_garbage()
            await world.settle()
            await world.look_at_all()
            await world.janitor.clean()
        self.check_foreign()
        world.kube.writes()
        before = self.everything()
        await world.settle()
        await world.look_at_all()
        assert self.everything() == before, "a second pass writes nothing"
        assert {item.verb for item in world.kube.writes()} <= {"POST"}, "and tries only names that are taken"
        for name in CREDENTIALS:
            self.check_credential(name)

    async def apply(self, name: str, target: dict[str, Any], suspend: bool) -> None:
        path = paths.credential(SHOP, name)
        before = self.world.kube.find(path)
        wanted = copy.deepcopy(target)
        if before is not None:  # the CRD forbids to change it
            wanted.pop("creationPolicy", None)
            if before["spec"]["target"].get("creationPolicy"):
                wanted["creationPolicy"] = before["spec"]["target"]["creationPolicy"]
        if wanted.get("creationPolicy") == "Merge":
            wanted.pop("deletionPolicy", None)
            wanted.pop("labels", None)
        self.world.credential(name, target=wanted, suspend=suspend)

    async def delete_credential(self, name: str) -> None:
        if self.world.kube.find(paths.credential(SHOP, name)):
            self.world.delete_credential(name)

    async def bind(self, which: str) -> None:
        self.world.namespace(**GRANTED[which])

    async def upstream(self, how: str) -> None:
        self.values += 1
        content = {"apiKey": f"v{self.values}"} if how == "good" else "not json"
        if how == "gone":
            self.world.store.schedule_deletion(UPSTREAM)
        else:
            self.world.store.schedule_deletion(UPSTREAM, pending=False)
            self.world.store.write(UPSTREAM, content)

    async def outage(self, begins: bool) -> None:
        self.world.store.heal()
        if begins:
            self.world.store.fail("get", StoreUnavailable)

    async def put_foreign(self, name: str, invites: bool) -> None:
        path = paths.secrets(SHOP, name)
        if self.world.kube.find(path) is not None:
            return
        data = {"THEIRS": "x", "apiKey": "theirs"} if not invites else {"THEIRS": "x"}
        self.world.put_secret(name, data, annotations={names.ALLOW_MERGE: "a"} if invites else {})
        self.foreign[path] = data

    async def delete_secret(self, name: str) -> None:
        path = paths.secrets(SHOP, name)
        if self.world.kube.find(path) is not None:
            self.world.kube.remove(path)
            self.foreign.pop(path, None)

    async def drift(self, name: str, how: str) -> None:
        self.edit_by_hand(name, how)

    async def race(self, name: str, how: str) -> None:
        """At the very moment of the next request."""
        self.world.kube.meanwhile = lambda _: self.edit_by_hand(name, how)

    def edit_by_hand(self, name: str, how: str) -> None:
        path = paths.secrets(SHOP, name)
        if self.world.kube.find(path) is None or path in self.foreign:
            return
        changes: dict[str, Callable[[Object], object]] = {
            "value": lambda body: body.setdefault("data", {}).update(dict.fromkeys(body.get("data", {}), "eA==")),
            "extra": lambda body: body.setdefault("data", {}).update(extra="eA=="),
            "label": lambda body: body["metadata"].get("labels", {}).pop(names.MANAGED_LABEL, None),
            "owner": lambda body: body["metadata"].pop("ownerReferences", None),
            "both": lambda body: (body["metadata"].pop("ownerReferences", None), body["metadata"].pop("labels", None)),
            "empty": lambda body: body.update(data={}),
        }
        self.world.kube.edit(path, changes[how])
        body = self.world.kube.find(path)
        assert body is not None
        if names.MANAGED_LABEL not in body["metadata"].get("labels", {}) and not body["metadata"].get(
            "ownerReferences"
        ):
            self.foreign[path] = self.world.data(name) or {}  # nothing says any more that it is ours

    async def api_fault(self, verb: str, after: bool) -> None:
        error = KubeUnavailable() if after else Conflict()
        self.world.kube.fail(verb, "", error, times=1, after=after)

    async def collect_garbage(self) -> None:
        self.world.kube.collect_garbage()

    async def restart(self) -> None:
        self.world.restart()

    async def deliver(self) -> None:
        self.world.deliver()

    async def settle(self) -> None:
        await self.world.settle()

    async def later(self, seconds: int) -> None:
        self.world.clock.now += seconds
        await self.world.settle()
        await self.world.look_at_all()

    def everything(self) -> list[dict[str, Object]]:
        return [self.world.kube.all(collection) for collection in (paths.SECRETS, paths.CREDENTIALS)]

    def check_foreign(self) -> None:
        for path, data in self.foreign.items():
            now = self.world.data(path.rpartition("/")[2])
            assert now is not None, f"{path} was deleted"
            assert data.items() <= now.items(), f"{path} was changed"

    def check_credential(self, name: str) -> None:
        world = self.world
        body = world.kube.find(paths.credential(SHOP, name))
        if body is None:
            return
        target, reason = body["spec"]["target"]["name"], world.reason(name)
        path = paths.secrets(SHOP, target)
        if reason == "Synced":
            self.check_synced(body, world.data(target))
        elif reason == "TargetConflict":
            assert self.is_taken(name, path)
        elif reason == "NamespaceNotBound":
            assert world.condition("Stalled", name)["status"] == "True"
            assert not self.held_by(body["metadata"]["uid"])
        else:
            assert reason in {"Suspended", "SecretMalformed", "SecretPendingDeletion"}

    def check_synced(self, body: Object, data: dict[str, str] | None) -> None:
        value = self.world.store.read(UPSTREAM).partition('"apiKey": "')[2].rstrip('"}')
        target = body["spec"]["target"]
        wanted = {"A": value, "B": "b"} if "B" in target.get("template", {}) else {"A": value}
        wanted = wanted if "template" in target else {"apiKey": value}
        assert data is not None
        if target.get("creationPolicy") == "Merge":
            assert wanted.items() <= data.items()
        else:
            assert data == wanted
        assert [path.rpartition("/")[2] for path in self.held_by(body["metadata"]["uid"])] == [target["name"]]

    def is_taken(self, name: str, path: str) -> bool:
        """Whether somebody else has the target, or it is none that the credential may merge into."""
        body = self.world.kube.find(path)
        mine = (self.world.kube.find(paths.credential(SHOP, name)) or {})["metadata"]["uid"]
        claimed = any(
            item["spec"]["target"]["name"] == path.rpartition("/")[2] and item["metadata"]["uid"] != mine
            for item in self.world.kube.all(paths.CREDENTIALS).values()
        )
        return claimed or body is None or path not in self.held_by(mine)

    def held_by(self, uid: str) -> list[str]:
        """The Secrets that say that they are, or have keys, of the credential."""
        found = []
        for path, body in self.world.kube.all(paths.SECRETS).items():
            meta = body["metadata"]
            owned = any(item["uid"] == uid for item in meta.get("ownerReferences") or ())
            marked = (meta.get("labels") or {}).get(names.MANAGED_LABEL) == "true" and (
                meta.get("annotations") or {}
            ).get(names.CREDENTIAL_UID_ANNOTATION) == uid
            merged = any(item["manager"].endswith(f"/{uid}") for item in meta.get("managedFields") or ())
            if owned or marked or merged:
                found.append(path)
        return found


@given(st.lists(steps, min_size=5, max_size=40))
@hypothesis_settings(max_examples=60, deadline=None)
def test_it_ends_as_it_should_and_touches_nothing_else(told: list[Step]) -> None:
    async def play() -> None:
        await Story().run(told)

    asyncio.run(play())
