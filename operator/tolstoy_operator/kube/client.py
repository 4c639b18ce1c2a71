"""One small client for the API server: dictionaries in, dictionaries out, errors by class.

The official library loads the configuration, verifies TLS, renews the ServiceAccount token and owns the connection
pool. Requests go to its HTTP session with a body that is serialised once: measured on a real API server with two
writes an object, this takes half the CPU of the generated API classes (docs/decisions/0002-kube-client.md).
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import tenacity
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import ConfigException, load_incluster_config

from tolstoy_operator.kube.errors import KubeUnavailable, TooLarge, from_status
from tolstoy_operator.kube.kubeconfig import KubeconfigError, load_user_cluster

Object = dict[str, Any]
OnRequest = Callable[[str, str, int, float], None]
"""Called after each request with verb, resource, HTTP status (0: no answer) and seconds."""

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
METADATA: Final = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
"""What to accept where an object's content is nobody's business."""
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
APPLY_PATCH: Final = "application/apply-patch+yaml"  # YAML is a superset of JSON, which is what we send

REQUEST_TIMEOUT: Final = 15.0
"""Seconds for one attempt, body included."""
ANSWER_LIMIT: Final = 16 * 2**20
"""Bytes. Whoever writes objects decides how large they are, and reading takes four times what is read."""
PAGE_SIZE: Final = 200
_ATTEMPTS: Final = 4
_LONGEST_WAIT: Final = 10.0


async def load_configuration() -> Configuration:
    """The cluster that this process belongs to: the ServiceAccount of its pod, else the usual kubeconfig.

    Raises `KubeconfigError` when there is neither.
    """
    if not os.environ.get("KUBERNETES_SERVICE_HOST") or os.environ.get("KUBECONFIG"):
        return (await load_user_cluster()).configuration
    configuration = Configuration()
    try:
        load_incluster_config(configuration)
    except ConfigException as error:
        raise KubeconfigError(f"the ServiceAccount of this pod cannot be used: {error}") from None
    return configuration


class KubeClient:
    """Requests to one API server. Close it when done.

    Transient failures (no connection, 429, 5xx) are tried a few times within seconds for every request: each of ours is
    safe to repeat, because creates, patches and deletes say what they expect to find.
    """

    def __init__(
        self, configuration: Configuration, *, on_request: OnRequest | None = None, user_agent: str = "tolstoy-operator"
    ) -> None:
        self._configuration = configuration
        self._base = configuration.host.rstrip("/")
        self._rest = RESTClientObject(configuration)
        self._session: aiohttp.ClientSession | None = None
        self._user_agent = user_agent
        self._on_request = on_request or (lambda verb, resource, status, seconds: None)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str) -> Object:
        """GET one object. Raises `NotFound` and the other errors of `kube.errors`."""
        return await self._request("GET", path)

    async def get_metadata(self, path: str) -> Object:
        """GET nothing but the metadata of one object, such as of a Secret whose data must not travel."""
        found: Object = (await self._request("GET", path, accept=METADATA))["metadata"]
        return found

    async def create(self, path: str, body: Object, *, query: Mapping[str, str] | None = None) -> Object:
        """POST to a collection. Raises `Conflict` when the name is taken."""
        return await self._request("POST", path, body, query=query)

    async def replace(self, path: str, body: Object) -> Object:
        """PUT an object. Raises `Conflict` when its resourceVersion is not the current one."""
        return await self._request("PUT", path, body)

    async def patch(
        self, path: str, body: Object | list[Object], *, content_type: str, query: Mapping[str, str] | None = None
    ) -> Object:
        """PATCH with one of this module's content types. Raises `Conflict` or `Unprocessable` when a test fails."""
        return await self._request("PATCH", path, body, content_type=content_type, query=query)

    async def delete(self, path: str, body: Object) -> None:
        """DELETE with preconditions in `body` (a DeleteOptions)."""
        await self._request("DELETE", path, body)

    async def list_pages(
        self, path: str, *, selector: str | None = None, fields: str | None = None, accept: str = JSON
    ) -> AsyncIterator[Object]:
        """The pages of a collection, as lists with `items` and `metadata.resourceVersion`.

        `selector` goes by labels, `fields` by the fields that the kind can be selected by. `accept`: `METADATA_LIST`
        for items without their content. A page that is too large is asked for again as a smaller one.
        Raises `Gone` when paging took so long that the server forgot the version: start over.
        """
        query = {}
        if selector:
            query["labelSelector"] = selector
        if fields:
            query["fieldSelector"] = fields
        limit = PAGE_SIZE
        while True:
            query["limit"] = str(limit)
            try:
                page = await self._request("GET", path, query=query, accept=accept)
            except TooLarge:
                if limit == 1:
                    raise
                limit //= 2
                continue
            yield page
            token = page["metadata"].get("continue")
            if not token:
                return
            query["continue"] = token
            limit = min(2 * limit, PAGE_SIZE)

    async def _request(
        self,
        method: str,
        path: str,
        body: Object | list[Object] | None = None,
        *,
        content_type: str = JSON,
        accept: str = JSON,
        query: Mapping[str, str] | None = None,
    ) -> Object:
        headers = {"Accept": accept, "Content-Type": content_type, "User-Agent": self._user_agent}
        url = f"{self._base}{path}?{urlencode(query)}" if query else f"{self._base}{path}"
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        try:
            return await self._send(method, url, data, headers)
        except KubeUnavailable as error:
            return await self._send_again(error, method, url, data, headers)

    async def _send_again(
        self, first: KubeUnavailable, method: str, url: str, data: bytes | None, headers: Mapping[str, str]
    ) -> Object:
        """The attempts after the first, which has failed: nearly all requests end with it and pay for no more."""
        async for attempt in tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(KubeUnavailable),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=_wait,
            reraise=True,
        ):
            with attempt:
                if attempt.retry_state.attempt_number == 1:
                    raise first
                return await self._send(method, url, data, headers)
        raise AssertionError

    async def _send(self, method: str, url: str, data: bytes | None, headers: Mapping[str, str]) -> Object:
        resource = _resource_of(url[len(self._base) :])
        started, status = time.monotonic(), 0
        try:
            sent = {**headers, **await self._authorization()}
            async with self._open_session().request(
                method, url, data=data, headers=sent, allow_redirects=False
            ) as response:
                answer = await _read(response)
                status = response.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise KubeUnavailable(reason=type(error).__name__) from None
        finally:
            self._on_request(method, resource, status, time.monotonic() - started)
        return _decode(status, answer, response.headers.get("Retry-After"))

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._configuration.client_session_kwargs = {
                "timeout": aiohttp.ClientTimeout(total=REQUEST_TIMEOUT),
                # aiohttp would look into the environment and for a ~/.netrc on threads, anew for each request.
                "trust_env": False,
                "proxy": _proxy(self._configuration),
            }
            self._session = self._rest._create_pool_manager()
        return self._session

    async def _authorization(self) -> dict[str, str]:
        token = await self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        return {"Authorization": token} if token else {}


def _proxy(configuration: Configuration) -> str | None:
    """The proxy on the way to the API server: the kubeconfig's, else the environment's (HTTPS_PROXY, NO_PROXY)."""
    host = urlsplit(configuration.host)
    proxy: str | None = configuration.proxy
    return proxy if proxy or proxy_bypass(host.netloc) else getproxies().get(host.scheme)


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, KubeUnavailable) else None
    if asked is not None:
        return min(asked, _LONGEST_WAIT)
    return random.uniform(0, min(_LONGEST_WAIT, 0.2 * 2**state.attempt_number))  # noqa: S311 - spread, not secrecy


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body. Raises `TooLarge`."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > ANSWER_LIMIT:
            raise TooLarge
    return b"".join(parts)


def _decode(status: int, answer: bytes, retry_after: str | None) -> Object:
    try:
        content = json.loads(answer)
    except ValueError:
        content = None
    if 200 <= status < 300:
        if not isinstance(content, dict):
            raise KubeUnavailable(status, "NoObject")  # something between us and the API server has answered
        return content
    raise from_status(
        status,
        str(content.get("reason") or "") if isinstance(content, dict) else "",
        retry_after=float(retry_after) if retry_after and retry_after.isdecimal() else None,
    )


def _resource_of(path: str) -> str:
    """`/api/v1/namespaces/x/secrets/y?…` → `secrets`: bounded names for metrics."""
    parts = path.split("?", maxsplit=1)[0].strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    if len(parts) > 2 and parts[0] == "namespaces":
        parts = parts[2:]
    return "/".join([parts[0], *parts[2:3]]) if parts else "unknown"
