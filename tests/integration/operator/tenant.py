"""A tenant of the running operator: a namespace bound to an organisation, and the questions that a test puts to it.

Everything goes through plain HTTP with the administrator's token: quicker than kubectl, and exact about what is asked.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from dev.testbed import Testbed, eventually
from tests.support.kubeapi import CREDENTIALS, JSON_PATCH, Answer, KubeApi, credential

_numbers = itertools.count(1)

CANARY: Final = "cAnArY"
"""Part of every value that tests store upstream: it may show up in the data of Secrets and nowhere else."""

TOKEN_ENDS_MS: Final = 1_893_456_000_000
TOKEN_ENDS: Final = "2030-01-01T00:00:00Z"


def value(text: str) -> str:
    """A secret value that can be found again wherever it leaks to."""
    return f"{CANARY}-{text}"


def oauth(token: str = "t1", **members: object) -> dict[str, object]:
    """An OAuth document as the consent application stores it; a member given as None is left out."""
    document = {
        "accessToken": value(token),
        "refreshToken": value(f"refresh-{token}"),
        "expiresAt": TOKEN_ENDS_MS,
        "scope": "repo",
        "tokenType": "bearer",
        "clientId": "client",
        "clientSecret": value(f"client-{token}"),
        **members,
    }
    return {key: member for key, member in document.items() if member is not None}


def oauth_data(token: str = "t1") -> dict[str, str]:
    """What the Secret of such a document holds by default."""
    return {
        "accessToken": value(token),
        "expiresAt": str(TOKEN_ENDS_MS),
        "tokenType": "bearer",
        "scope": "repo",
    }


def api_key(key: str = "k1") -> dict[str, str]:
    """An API key document; its Secret holds the same one member."""
    return {"apiKey": value(key)}


class Tenant:
    """A namespace of its own with an organisation of its own, bound to each other unless told otherwise."""

    def __init__(self, testbed: Testbed, admin: KubeApi, *, bound: bool = True, **annotations: str) -> None:
        number = next(_numbers)
        self.testbed = testbed
        self.admin = admin
        self.namespace = f"tenant-{number}"
        self.org = f"org-{number:06d}"  # an ending that looks like the suffix of an ARN
        self._path = f"/api/v1/namespaces/{self.namespace}"
        binding = {"allowed_orgs": self.org} if bound else {}
        metadata = {"name": self.namespace, "annotations": _annotations({**binding, **annotations})}
        _ok(admin.post("/api/v1/namespaces", {"metadata": metadata}))

    def close(self) -> None:
        """Delete the namespace; nobody waits for it."""
        self.admin.delete(self._path)

    def annotate(self, **annotations: str | None) -> None:
        """Set `tolstoy.dev/` annotations of the namespace; None removes one."""
        _ok(self.admin.patch(self._path, {"metadata": {"annotations": _annotations(annotations)}}))

    # --- upstream

    def upstream(self, tool: str = "github") -> str:
        """The name of the organisation's secret for a tool."""
        return f"tolstoy/{tool}/{self.org}"

    def store(self, document: Mapping[str, object] | str, tool: str = "github") -> None:
        """Store a document, or a text as it is, as the new current version."""
        text = document if isinstance(document, str) else json.dumps(document)
        self.testbed.aws.seed({self.upstream(tool): text})

    def version(self, tool: str = "github") -> str:
        """The id of the current version upstream."""
        described = self.testbed.aws.client().describe_secret(SecretId=self.upstream(tool))
        return next(str(key) for key, labels in described["VersionIdsToStages"].items() if "AWSCURRENT" in labels)

    # --- credentials

    def create(self, name: str = "github", tool: str | None = "github", **spec: Any) -> dict[str, Any]:
        """Create a ToolCredential, once admission has seen what the namespace is bound to."""
        body = credential(name, **{**({"tool": tool, "orgId": self.org} if tool else {}), **spec})
        return self._when_admitted(lambda: self.admin.post(self._credentials, body))

    def edit(self, name: str = "github", **spec: Any) -> dict[str, Any]:
        """Merge-patch the spec."""
        return self._when_admitted(lambda: self.try_edit(name, **spec))

    def try_edit(self, name: str = "github", **spec: Any) -> Answer:
        """Merge-patch the spec, and hear what the API server says to that."""
        return self.admin.patch(f"{self._credentials}/{name}", {"spec": spec})

    def patch(self, name: str, body: object) -> dict[str, Any]:
        """Merge-patch the object."""
        return _ok(self.admin.patch(f"{self._credentials}/{name}", body))

    def delete(self, name: str = "github") -> None:
        """Delete a ToolCredential."""
        _ok(self.admin.delete(f"{self._credentials}/{name}"))

    def get(self, name: str = "github") -> dict[str, Any] | None:
        """A ToolCredential, None when there is none."""
        return _found(self.admin.get(f"{self._credentials}/{name}"))

    def status(self, name: str = "github") -> dict[str, Any]:
        """What the operator says; empty before it said anything."""
        found: dict[str, Any] = (self.get(name) or {}).get("status") or {}
        return found

    def condition(self, kind: str, name: str = "github") -> dict[str, Any] | None:
        """One condition, None when it is not there."""
        return next((item for item in self.status(name).get("conditions", ()) if item["type"] == kind), None)

    def await_reason(self, reason: str, name: str = "github", *, timeout: float = 60) -> dict[str, Any]:
        """Wait until this is the reason of Ready, for the spec as it is now. Returns the status."""

        def ask() -> dict[str, Any]:
            body = self.get(name) or {}
            status: dict[str, Any] = body.get("status") or {}
            conditions = {item["type"]: item for item in status.get("conditions", ())}
            assert conditions.get("Ready", {}).get("reason") == reason, conditions
            assert status["observedGeneration"] == body["metadata"]["generation"], status
            return status

        return eventually(ask, what=f"{self.namespace}/{name} is {reason}", timeout=timeout)

    def synced(self, name: str = "github", tool: str | None = "github", **spec: Any) -> dict[str, Any]:
        """Create a ToolCredential and wait for its Secret. Returns the status."""
        self.create(name, tool, **spec)
        return self.await_reason("Synced", name)

    def force_sync(self, name: str = "github") -> dict[str, Any]:
        """Have the operator look at it now, upstream too, and wait until it has. Returns the status."""
        mark = f"mark-{next(_numbers)}"
        self.patch(name, {"metadata": {"annotations": {"tolstoy.dev/force-sync": mark}}})

        def ask() -> dict[str, Any]:
            status = self.status(name)
            assert status.get("lastHandledForceSync") == mark, status
            return status

        return eventually(ask, what=f"{self.namespace}/{name} was looked at")

    # --- Secrets

    def add_secret(self, name: str = "github", *, data: Mapping[str, str] | None = None, **body: Any) -> dict[str, Any]:
        """A Secret that somebody else makes. `metadata` and other members may be given."""
        metadata = {**body.pop("metadata", {}), "name": name}
        texts = {"theirs": "kept"} if data is None else data
        return _ok(self.admin.post(f"{self._path}/secrets", {"metadata": metadata, "stringData": texts, **body}))

    def patch_secret(self, body: object, name: str = "github", content_type: str | None = None) -> dict[str, Any]:
        """Patch a Secret, as a person would with kubectl; a list is a JSON patch."""
        content_type = content_type or (JSON_PATCH if isinstance(body, list) else None)
        return _ok(self.admin.request("PATCH", f"{self._path}/secrets/{name}", body, content_type))

    def delete_secret(self, name: str = "github") -> None:
        """Delete a Secret."""
        _ok(self.admin.delete(f"{self._path}/secrets/{name}"))

    def secret(self, name: str = "github") -> dict[str, Any] | None:
        """A Secret as the API server has it, None when there is none."""
        return _found(self.admin.get(f"{self._path}/secrets/{name}"))

    def data(self, name: str = "github") -> dict[str, str] | None:
        """The decoded data of a Secret, None when there is none."""
        body = self.secret(name)
        return None if body is None else _decoded(body)

    def all_data(self) -> dict[str, dict[str, str]]:
        """The decoded data of all Secrets of the namespace that carry our label, by name."""
        answer = self.admin.get(f"{self._path}/secrets?labelSelector=tolstoy.dev/managed")
        return {body["metadata"]["name"]: _decoded(body) for body in _ok(answer)["items"]}

    def await_data(self, expected: Mapping[str, str], name: str = "github", *, timeout: float = 60) -> dict[str, Any]:
        """Wait until the Secret holds exactly this. Returns it as the API server has it."""

        def ask() -> dict[str, Any]:
            body = self.secret(name)
            assert body is not None, "there is no such Secret"
            assert _decoded(body) == expected
            return body

        return eventually(ask, what=f"Secret {self.namespace}/{name} holds {sorted(expected)}", timeout=timeout)

    def metadata(self, name: str = "github") -> dict[str, Any]:
        """The metadata of a Secret that exists."""
        body = self.secret(name)
        assert body is not None, "there is no such Secret"
        found: dict[str, Any] = body["metadata"]
        return found

    def await_no_secret(self, name: str = "github") -> None:
        """Wait until there is no such Secret."""
        eventually(lambda: self.secret(name) is None, what=f"Secret {self.namespace}/{name} is gone")

    def events(self) -> list[dict[str, Any]]:
        """The Events of the namespace."""
        path = f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events"
        items: list[dict[str, Any]] = _ok(self.admin.get(path))["items"]
        return items

    @property
    def _credentials(self) -> str:
        return CREDENTIALS.format(self.namespace)

    def _when_admitted(self, request: Callable[[], Answer]) -> dict[str, Any]:
        # Admission looks at a copy of the Namespace that is a moment old.
        def ask() -> dict[str, Any]:
            answer = request()
            assert "is not bound to" not in answer.message, answer.message
            assert "is not granted" not in answer.message, answer.message
            return _ok(answer)

        return eventually(ask, what="admission has seen the binding")


def _ok(answer: Answer) -> dict[str, Any]:
    if not answer.ok:
        raise RuntimeError(f"HTTP {answer.status}: {answer.message}")
    return answer.body


def _found(answer: Answer) -> dict[str, Any] | None:
    return None if answer.status == 404 else _ok(answer)


def _decoded(secret: Mapping[str, Any]) -> dict[str, str]:
    return {key: base64.b64decode(text).decode() for key, text in (secret.get("data") or {}).items()}


def _annotations(given: Mapping[str, str | None]) -> dict[str, str | None]:
    return {f"tolstoy.dev/{key.replace('_', '-')}": text for key, text in given.items()}
