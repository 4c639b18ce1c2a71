"""An in-memory API server behind the methods of `KubeClient`: what its rules make of our writes, and what it tells.

It knows resourceVersions, preconditions, the patches that we send, who owns which field, the immutability of Secrets,
garbage collection, and what a watch of labelled Secrets shows. It was checked against a real kube-apiserver 1.36.
"""

from __future__ import annotations

import copy
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jsonpatch

from tolstoy_operator.api import names
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.client import APPLY_PATCH, JSON_PATCH, MERGE_PATCH
from tolstoy_operator.kube.errors import Conflict, KubeError, NotFound, Unprocessable

Object = dict[str, Any]
Field = tuple[str, str]
"""Part (`data`, `labels`, `annotations`) and name."""

PEOPLE = "kubectl-edit"
_PARTS = {"data": ("data",), "labels": ("metadata", "labels"), "annotations": ("metadata", "annotations")}


@dataclass(frozen=True, slots=True)
class Request:
    """A write of the code under test, or a read of one object. `verb` is the HTTP method."""

    verb: str
    path: str


@dataclass(slots=True)
class _Fault:
    verb: str
    part: str
    error: KubeError
    times: float
    after: bool


class FakeKube:
    """Objects by path. `requests` records what the code under test sends, `lists` what it lists; `events` what its
    watches would show.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.lists: list[str] = []
        self.events: list[tuple[str, Object]] = []
        self.meanwhile: Callable[[Request], None] | None = None
        """Called once before the next request is carried out: somebody is faster."""
        self._objects: dict[str, Object] = {}
        self._managers: defaultdict[str, dict[tuple[str, str], set[Field]]] = defaultdict(dict)
        self._faults: list[_Fault] = []
        self._versions = itertools.count(100)
        self._uids = itertools.count(1)

    # What a test does as somebody else.

    def put(self, path: str, body: Mapping[str, Any], *, manager: str = PEOPLE) -> Object:
        """Create the object, or make it so; what `body` leaves out of the metadata stays."""
        before = self._objects.get(path)
        fresh: Object = copy.deepcopy(dict(body))
        if before is not None:
            fresh["metadata"] = {**before["metadata"], **fresh.get("metadata", {})}
        return self._store(path, fresh, manager, "Update")

    def edit(self, path: str, change: Callable[[Object], object], *, manager: str = PEOPLE) -> None:
        """Change the object in place."""
        fresh = copy.deepcopy(self._objects[path])
        change(fresh)
        self._store(path, fresh, manager, "Update")

    def remove(self, path: str) -> None:
        """Delete the object."""
        self._remove(path)

    def find(self, path: str) -> Object | None:
        """The object as it is, without anybody noticing."""
        return copy.deepcopy(self._objects.get(path))

    def all(self, path: str) -> dict[str, Object]:
        """All objects of a collection by their paths; `path` may be cluster-wide."""
        return {at: copy.deepcopy(body) for at, body in self._objects.items() if _belongs(at, path)}

    def collect_garbage(self) -> None:
        """Delete what was owned by credentials that are gone."""
        live = {body["metadata"]["uid"] for body in self._objects.values()}
        for path, body in list(self._objects.items()):
            owners = [item["uid"] for item in body["metadata"].get("ownerReferences", [])]
            if owners and not live.intersection(owners):
                self._remove(path)

    def fail(self, verb: str, part: str, error: KubeError, *, times: float = float("inf"), after: bool = False) -> None:
        """Let requests fail whose path holds `part`. `after`: they are carried out, and the answer is lost."""
        self._faults.append(_Fault(verb, part, error, times, after))

    def heal(self) -> None:
        """Take all faults back."""
        self._faults.clear()

    def writes(self) -> list[Request]:
        """The writes of the code under test since the last call; Events are not counted."""
        done = [item for item in self.requests if item.verb != "GET" and "/events" not in item.path]
        self.requests.clear()
        return done

    # The methods of KubeClient.

    async def get(self, path: str) -> Object:
        self._arrive("GET", path)
        return self._existing(path)

    async def create(self, path: str, body: Object, *, query: Mapping[str, str] | None = None) -> Object:
        lost = self._arrive("POST", path)
        at = f"{path}/{body['metadata']['name']}"
        if at in self._objects:
            raise Conflict(reason="AlreadyExists")
        if "resourceVersion" in body["metadata"]:
            raise AssertionError("a create names no resourceVersion")
        created = self._store(at, copy.deepcopy(body), (query or {}).get("fieldManager", "unknown"), "Update")
        return _answer(created, lost)

    async def replace(self, path: str, body: Object) -> Object:
        lost = self._arrive("PUT", path)
        before = self._existing(path)
        if body["metadata"].get("resourceVersion") != before["metadata"]["resourceVersion"]:
            raise Conflict
        return _answer(self._store(path, copy.deepcopy(body), "unknown", "Update"), lost)

    async def patch(self, path: str, body: Any, *, content_type: str, query: Mapping[str, str] | None = None) -> Object:
        lost = self._arrive("PATCH", path)
        manager = (query or {}).get("fieldManager", "unknown")
        if content_type == APPLY_PATCH:
            assert (query or {}).get("force") == "true"
            return _answer(self._apply(path, body, manager), lost)
        before = self._existing(path.removesuffix("/status"))
        if content_type == MERGE_PATCH:
            merge = self._merge_status if path.endswith("/status") else self._merge_object
            return _answer(merge(path, before, body), lost)
        assert content_type == JSON_PATCH
        try:
            fresh = jsonpatch.JsonPatch(body).apply(before)
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException):
            raise Unprocessable(reason="Invalid") from None
        return _answer(self._store(path, fresh, manager, "Update"), lost)

    async def delete(self, path: str, body: Object) -> None:
        lost = self._arrive("DELETE", path)
        meta = self._existing(path)["metadata"]
        if any(meta[field] != value for field, value in body.get("preconditions", {}).items()):
            raise Conflict
        self._remove(path)
        _answer({}, lost)

    async def list_pages(
        self, path: str, *, selector: str | None = None, fields: str | None = None, limit: int = 2
    ) -> AsyncIterator[Object]:
        self.lists.append(path)
        self._arrive("LIST", path)
        items = [
            body
            for body in self.all(path).values()
            if (selector is None or selector in body["metadata"].get("labels", {})) and _has_field(body, fields)
        ]
        version = str(next(self._versions))
        for start in range(0, max(len(items), 1), limit):
            yield {"metadata": {"resourceVersion": version}, "items": items[start : start + limit]}
            self._arrive("LIST", path)

    def _arrive(self, verb: str, path: str) -> KubeError | None:
        """Returns the error that follows although the request is carried out."""
        request = Request(verb, path)
        if verb != "LIST":
            self.requests.append(request)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile(request)
        for fault in self._faults:
            if fault.verb == verb and fault.part in path and fault.times > 0:
                fault.times -= 1
                if fault.after:
                    return fault.error
                raise fault.error
        return None

    def _existing(self, path: str) -> Object:
        if path not in self._objects:
            raise NotFound
        return copy.deepcopy(self._objects[path])

    def _merge_object(self, path: str, before: Object, body: Object) -> Object:
        if body.get("metadata", {}).get("uid", before["metadata"]["uid"]) != before["metadata"]["uid"]:
            raise Unprocessable(reason="Invalid")
        return self._store(path, _merged(before, body), "unknown", "Update")

    def _merge_status(self, path: str, before: Object, body: Object) -> Object:
        """Only what we send: the status of a credential, guarded by its resourceVersion."""
        assert body.keys() == {"metadata", "status"}
        if body["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]:
            raise Conflict
        fresh = {**before, "status": _merged(before.get("status", {}), body["status"])}
        return self._store(path.removesuffix("/status"), fresh, "unknown", "Update")

    def _apply(self, path: str, body: Object, manager: str) -> Object:
        before, asked = self._objects.get(path), body["metadata"]
        if before is None:
            raise Conflict  # the body names a UID
        meta = before["metadata"]
        if asked["resourceVersion"] != meta["resourceVersion"] or asked["uid"] != meta["uid"]:
            raise Conflict
        wanted = _fields(body)
        owners = self._managers[path]
        mine = owners.get((manager, "Apply"), set())
        fresh = copy.deepcopy(before)
        for field in mine - wanted.keys():
            if not any(field in fields for owner, fields in owners.items() if owner != (manager, "Apply")):
                _set(fresh, field, None)
        for field, value in wanted.items():
            _set(fresh, field, value)
        return self._store(path, fresh, manager, "Apply", applied=set(wanted))

    def _store(
        self, path: str, fresh: Object, manager: str, operation: str, *, applied: set[Field] | None = None
    ) -> Object:
        before = self._objects.get(path)
        meta = fresh.setdefault("metadata", {})
        if before is None:
            *_, plural, name = path.split("/")
            meta |= {"name": name, "uid": meta.get("uid") or f"uid-{next(self._uids)}"}
            meta.setdefault("creationTimestamp", f"2026-01-01T00:00:{next(self._uids) % 60:02d}Z")
            if plural != "namespaces":
                meta["namespace"] = path.split("/")[-3]
            meta["generation"] = 1
        else:
            _check_immutable(before, fresh)
            if "spec" in fresh and fresh["spec"] != before["spec"]:
                meta["generation"] = before["metadata"]["generation"] + 1
        self._own(path, before, fresh, manager, operation, applied)
        if "deletionTimestamp" in meta and not meta.get("finalizers"):
            self._remove(path)
            return copy.deepcopy(fresh)
        if before is not None and _without_version(before) == _without_version(fresh):
            return copy.deepcopy(before)
        meta["resourceVersion"] = str(next(self._versions))
        self._objects[path] = fresh
        self._tell(path, before, fresh)
        return copy.deepcopy(fresh)

    def _own(
        self,
        path: str,
        before: Object | None,
        fresh: Object,
        manager: str,
        operation: str,
        applied: set[Field] | None,
    ) -> None:
        if "/secrets/" not in path:
            return
        old, new = _fields(before or {}), _fields(fresh)
        changed = {field for field, value in new.items() if old.get(field) != value}
        owners = self._managers[path]
        for owner, fields in owners.items():
            fields.intersection_update(new)
            if owner != (manager, operation):
                fields.difference_update(changed)
        mine = owners.setdefault((manager, operation), set())
        if applied is None:
            mine |= changed
        else:
            owners[manager, operation] = set(applied)
        fresh["metadata"]["managedFields"] = [
            {"manager": owner, "operation": how, "fieldsV1": _rendered(fields)}
            for (owner, how), fields in sorted(owners.items())
            if fields
        ]

    def _remove(self, path: str) -> None:
        gone = self._objects.pop(path)
        self._managers.pop(path, None)
        gone["metadata"]["resourceVersion"] = str(next(self._versions))
        if _is_watched(path) and ("/secrets/" not in path or _is_labelled(gone)):
            self.events.append(("DELETED", gone))

    def _tell(self, path: str, before: Object | None, fresh: Object) -> None:
        if not _is_watched(path):
            return
        if "/secrets/" not in path or _is_labelled(fresh):
            kind = "ADDED" if before is None or ("/secrets/" in path and not _is_labelled(before)) else "MODIFIED"
            self.events.append((kind, copy.deepcopy(fresh)))
        elif before is not None and _is_labelled(before):
            shown = copy.deepcopy(before)
            shown["metadata"]["resourceVersion"] = fresh["metadata"]["resourceVersion"]
            self.events.append(("DELETED", shown))


def kind_of(body: Mapping[str, Any]) -> str:
    """`namespace`, `secret` or `credential`."""
    if "namespace" not in body["metadata"]:
        return "namespace"
    return "credential" if "spec" in body else "secret"


def _belongs(at: str, collection: str) -> bool:
    parent, _, _ = at.rpartition("/")
    if collection in (paths.SECRETS, paths.CREDENTIALS):
        api, _, plural = collection.rpartition("/")
        return at.startswith(f"{api}/namespaces/") and parent.endswith(f"/{plural}")
    return parent == collection


def _has_field(body: Mapping[str, Any], wanted: str | None) -> bool:
    """Whether a field has a value, in the form `status.phase=Running`."""
    if wanted is None:
        return True
    path, _, value = wanted.partition("=")
    node: Any = body
    for step in path.split("."):
        node = (node or {}).get(step)
    return bool(node == value)


def _is_watched(path: str) -> bool:
    return any(_belongs(path, collection) for collection in (paths.NAMESPACES, paths.SECRETS, paths.CREDENTIALS))


def _is_labelled(body: Mapping[str, Any]) -> bool:
    return names.MANAGED_LABEL in (body["metadata"].get("labels") or {})


def _answer(body: Object, lost: KubeError | None) -> Object:
    if lost is not None:
        raise lost
    return body


def _fields(body: Mapping[str, Any]) -> dict[Field, Any]:
    found: dict[Field, Any] = {}
    for part, path in _PARTS.items():
        node: Any = body
        for step in path:
            node = (node or {}).get(step)
        found |= {(part, name): value for name, value in (node or {}).items()}
    return found


def _set(body: Object, field: Field, value: Any) -> None:
    part, name = field
    node = body
    for step in _PARTS[part]:
        node = node.setdefault(step, {})
    if value is None:
        node.pop(name, None)
    else:
        node[name] = value


def _rendered(fields: set[Field]) -> Object:
    rendered: Object = {}
    for part, name in sorted(fields):
        node = rendered
        for step in _PARTS[part]:
            node = node.setdefault(f"f:{step}", {})
        node[f"f:{name}"] = {}
    return rendered


def _without_version(body: Object) -> Object:
    meta = {key: value for key, value in body["metadata"].items() if key != "resourceVersion"}
    return {**body, "metadata": meta}


def _check_immutable(before: Object, fresh: Object) -> None:
    if before["metadata"]["uid"] != fresh["metadata"]["uid"] or before.get("type") != fresh.get("type"):
        raise Unprocessable(reason="Invalid")
    if before.get("immutable") and (before.get("data") or {}) != (fresh.get("data") or {}):
        raise Unprocessable(reason="Invalid")


def _merged(before: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(before) if isinstance(before, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged
