"""The API server as one user sees it: plain HTTP, so that a test says exactly which request it means."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import httpx

from dev.controlplane import ControlPlane

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

CREDENTIALS = "/apis/tolstoy.dev/v1/namespaces/{}/toolcredentials"


@dataclass(frozen=True)
class Answer:
    """What the API server said: its HTTP status, and the object or Status in the body."""

    status: int
    body: dict[str, Any]

    @property
    def ok(self) -> bool:
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def message(self) -> str:
        """What a Status says; empty for other objects."""
        return str(self.body.get("message", ""))


class KubeApi:
    """Requests with one bearer token."""

    def __init__(self, plane: ControlPlane, token: str) -> None:
        self._plane = plane
        self._http = httpx.Client(
            base_url=plane.url,
            headers={"Authorization": f"Bearer {token}"},
            verify=ssl.create_default_context(cafile=str(plane.ca_file)),
            timeout=30,
            trust_env=False,
        )

    def as_service_account(self, name: str, namespace: str) -> KubeApi:
        """The same API server with a fresh token of that ServiceAccount; asking for it takes the right to."""
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        answer = self.post(f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token", request)
        assert answer.ok, answer
        return KubeApi(self._plane, answer.body["status"]["token"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def request(self, method: str, path: str, body: object = None, content_type: str | None = None) -> Answer:
        """A patch is a merge patch unless said otherwise."""
        content_type = content_type or (MERGE_PATCH if method == "PATCH" else JSON)
        headers = {"Content-Type": content_type, "Accept": JSON}
        response = self._http.request(method, path, json=body, headers=headers)
        try:
            parsed = response.json()
        except ValueError:
            parsed = {"message": response.text}
        return Answer(response.status_code, parsed)

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def post(self, path: str, body: object) -> Answer:
        return self.request("POST", path, body)

    def patch(self, path: str, body: object, content_type: str = MERGE_PATCH) -> Answer:
        return self.request("PATCH", path, body, content_type)

    def delete(self, path: str) -> Answer:
        return self.request("DELETE", path)


def credential(name: str, **spec: object) -> dict[str, Any]:
    """A ToolCredential with this spec."""
    return {"apiVersion": "tolstoy.dev/v1", "kind": "ToolCredential", "metadata": {"name": name}, "spec": spec}
