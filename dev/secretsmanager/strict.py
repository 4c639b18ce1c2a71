"""The strict stand-in: moto's server, with Secrets Manager as in `moto_models`, behind faults and counters.

One process serves all of moto (SQS, EventBridge, STS too), so that what the operator uses besides Secrets Manager is
there as well. It is correct rather than fast: about 150 calls a second.
"""

from __future__ import annotations

import functools
import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.secretsmanager import responses, urls
from moto.secretsmanager.exceptions import SecretsManagerClientError
from werkzeug.serving import make_server

from dev.secretsmanager import moto_models
from dev.secretsmanager.control import PREFIX, Control, Fault
from dev.secretsmanager.errors import AwsError
from dev.secretsmanager.moto_models import BOARD, StrictSecret

ACCOUNT = "123456789012"
TARGET_PREFIX = "secretsmanager."

_lock = threading.RLock()  # moto's dictionaries are not safe against concurrent changes

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class StrictResponse(responses.SecretsManagerResponse):  # type: ignore[misc]  # moto is untyped
    """The request layer: what moto does not pass on, and errors as the service words them."""

    def list_secrets(self) -> str:
        """Page of secrets, sorted as asked."""
        filters = self._get_param("Filters", if_none=[])
        responses._validate_filters(filters)
        entries, token = self.backend.list_secrets(
            filters=filters,
            max_results=self._get_int_param("MaxResults"),
            next_token=self._get_param("NextToken"),
            include_planned_deletion=self._get_param("IncludePlannedDeletion", if_none=False),
            sort_by=self._get_param("SortBy"),
            sort_order=self._get_param("SortOrder"),
        )
        return json.dumps({"SecretList": entries, **({"NextToken": token} if token else {})})

    def list_secret_version_ids(self) -> str:
        """Versions of one secret."""
        deprecated = self._get_param("IncludeDeprecated", if_none=False)
        answer: str = self.backend.list_secret_version_ids(self._get_param("SecretId"), deprecated)
        return answer


def _as_the_service(operation: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """One call at a time; not-found and mismatches have HTTP status 400, which moto answers with 404."""

    @functools.wraps(operation)
    def run(response: Any) -> Any:
        with _lock:
            try:
                return operation(response)
            except AwsError as error:
                raise SecretsManagerClientError(error.code, error.message) from None
            except SecretsManagerClientError as error:
                error.code = 400
                raise

    return run


def install() -> Any:
    """Put the strict classes in moto's place. Returns the backends by account and region."""
    backends = moto_models.install()
    responses.secretsmanager_backends = backends
    for name in dir(responses.SecretsManagerResponse):
        operation = getattr(StrictResponse, name)
        if name in vars(responses.SecretsManagerResponse) and not name.startswith("_") and callable(operation):
            setattr(StrictResponse, name, _as_the_service(operation))
    urls.url_paths = {"{0}/$": StrictResponse.dispatch}
    return backends


class MotoStorage:
    """The control API's way into moto's memory."""

    def __init__(self, backends: Any, region: str) -> None:
        self._backends = backends
        self._region = region

    def seed(self, name: str, value: str) -> None:
        """Create the secret, or give it a new current version."""
        backend = self._backends[ACCOUNT][self._region]
        with _lock:
            if name in backend.secrets:
                backend.put_secret_value(name, value, None, None, ["AWSCURRENT"])
                return
            nothing: dict[str, Any] = {"description": "", "tags": [], "kms_key_id": None, "client_request_token": None}
            backend.create_secret(name, value, None, replica_regions=[], force_overwrite=False, **nothing)

    def snapshot(self) -> list[dict[str, Any]]:
        """Secrets of all regions; replicas are left out."""
        with _lock:
            return [
                {"account": account, "region": region, **_dump(secret)}
                for account, regions in self._backends.items()
                for region, backend in regions.items()
                for secret in backend.secrets.values()
                if isinstance(secret, StrictSecret)
            ]

    def restore(self, secrets: list[dict[str, Any]]) -> None:
        """Replace everything stored."""
        with _lock:
            for regions in self._backends.values():
                for backend in regions.values():
                    backend.reset()
            for stored in secrets:
                backend = self._backends[stored["account"]][stored["region"]]
                backend.secrets[stored["name"]] = _load(stored)


_KEPT = ("arn", "description", "tags", "kms_key_id", "created_date", "deleted_date", "policy", "versions")


def _dump(secret: Any) -> dict[str, Any]:
    fields = {key: getattr(secret, key) for key in _KEPT}
    return {"name": secret.name, "changed_date": secret.last_changed_date, **fields}


def _load(stored: Mapping[str, Any]) -> StrictSecret:
    secret = StrictSecret(stored["account"], stored["region"], stored["name"], {}, "")
    for key in _KEPT:
        setattr(secret, key, stored[key])
    secret.last_changed_date = stored["changed_date"]
    secret.history.record(0.0, secret.to_dict())
    return secret


class Gate:
    """WSGI application in front of moto's: the control API, the counters and the faults."""

    def __init__(self, application: Callable[[Environ, StartResponse], Iterable[bytes]], control: Control) -> None:
        self._application = application
        self._control = control

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        if environ["PATH_INFO"].startswith(PREFIX):
            status, answer = self._control.handle(environ["REQUEST_METHOD"], environ["PATH_INFO"], _json(environ))
            return _respond(start_response, status, json.dumps(answer).encode())
        if not target.startswith(TARGET_PREFIX):
            return self._application(environ, start_response)
        fault = BOARD.admit(target.removeprefix(TARGET_PREFIX), _json(environ))
        if fault is not None:
            _suffer(fault)
            if fault.kind == "lost":
                list(self._application(environ, lambda _status, _headers: None))
            if fault.error is not None:
                return _respond(start_response, fault.error.status, fault.error.body())
        return self._application(environ, start_response)


def _suffer(fault: Fault) -> None:
    time.sleep(fault.seconds)
    while fault.kind == "blackhole" and BOARD.stands(fault):
        time.sleep(0.05)


def _json(environ: Environ) -> Mapping[str, Any]:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    document = json.loads(body or b"{}")
    return document if isinstance(document, dict) else {}


def _respond(start_response: StartResponse, status: int, body: bytes) -> Iterable[bytes]:
    start_response(f"{status} .", [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))])
    return [body]


class _Handler(MotoRequestHandler):  # type: ignore[misc]  # moto is untyped
    def log_request(self, *_args: Any) -> None:
        """Requests are not logged: they are counted."""


def serve(port: int, region: str, host: str = "127.0.0.1") -> None:
    """Run until killed. Prints `READY <url>` once requests are answered."""
    storage = MotoStorage(install(), region)
    application = Gate(DomainDispatcherApplication(create_backend_app), Control(BOARD, storage))
    server = make_server(host, port, application, threaded=True, request_handler=_Handler)
    sys.stdout.write(f"READY http://{host}:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
