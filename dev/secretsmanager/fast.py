"""The fast stand-in: the operations that the operator uses, from memory, several thousand calls a second.

Benchmarks must measure the operator, so the other side may not be the bottleneck. Versions and labels obey the same
rules as in the strict stand-in; tags, policies, replicas and the other AWS services are missing.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import string
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from dev.secretsmanager import listing, versions
from dev.secretsmanager.answers import check_batch, value_answer, version_ids_answer
from dev.secretsmanager.control import PREFIX, Board, Control, Fault, name_of
from dev.secretsmanager.errors import (
    MARKED_FOR_DELETION,
    NAME_PENDING_DELETION,
    AwsError,
    invalid_parameter,
    invalid_request,
    not_found,
)

_ACCOUNT = "123456789012"
_SUFFIX = string.ascii_letters
_DAY = 86_400.0

_NO_VALUE: dict[str, str | None] = {"string": None, "binary": None}

Request = Mapping[str, Any]
Answer = dict[str, Any]


class Secret:
    """One secret in memory."""

    def __init__(self, name: str, arn: str, stored: versions.Versions, now: float) -> None:
        self.name = name
        self.arn = arn
        self.versions = stored
        self.created = self.changed = round(now, 3)
        self.deleted: float | None = None
        self.history = listing.History()
        self.touch(now)

    def touch(self, now: float) -> None:
        """It changed just now."""
        self.changed = round(now, 3)
        self.row = self._row()  # kept, since listings need thousands of them
        self.history.record(now, self.row)

    def _row(self) -> Answer:
        row: Answer = {
            "ARN": self.arn,
            "Name": self.name,
            "CreatedDate": self.created,
            "LastChangedDate": self.changed,
        }
        if self.deleted is not None:
            row["DeletedDate"] = self.deleted
        if stages := versions.stages(self.versions):
            row["SecretVersionsToStages"] = stages
        return row


class Service:
    """The operations. Each takes the request document and returns the answer, or raises `AwsError`."""

    def __init__(self, board: Board, region: str) -> None:
        self._board = board
        self._region = region
        self._secrets: dict[str, Secret] = {}
        self.operations: dict[str, Callable[[Request], Answer]] = {
            "GetSecretValue": self.get,
            "BatchGetSecretValue": self.batch_get,
            "ListSecrets": self.list_secrets,
            "DescribeSecret": self.describe,
            "ListSecretVersionIds": self.list_versions,
            "CreateSecret": self.create,
            "PutSecretValue": self.put,
            "UpdateSecretVersionStage": self.move_label,
            "DeleteSecret": self.delete,
            "RestoreSecret": self.restore_secret,
        }

    def _find(self, secret_id: str, *, deleted: bool = False) -> Secret:
        secret = self._secrets.get(name_of(secret_id))
        if secret is None:
            raise not_found()
        if secret.deleted is not None and not deleted:
            raise invalid_request(MARKED_FOR_DELETION)
        return secret

    def get(self, request: Request) -> Answer:
        """GetSecretValue."""
        return self._value(request["SecretId"], request.get("VersionId"), request.get("VersionStage"))

    def _value(self, secret_id: str, version_id: str | None, label: str | None) -> Answer:
        secret = self._find(secret_id)
        return value_answer(secret.arn, secret.name, versions.select(secret.versions, version_id, label))

    def batch_get(self, request: Request) -> Answer:
        """BatchGetSecretValue, by ids only."""
        ids = request.get("SecretIdList") or []
        check_batch(ids, request.get("Filters"), request.get("MaxResults"))
        values: list[Answer] = []
        errors: list[Answer] = []
        for secret_id in ids:
            try:
                if (denied := self._board.batch_item(name_of(secret_id))) is not None:
                    raise denied
                values.append(self._value(secret_id, None, None))
            except AwsError as error:
                errors.append({"SecretId": secret_id, "ErrorCode": error.code, "Message": error.message})
        return {"SecretValues": values, "Errors": errors}

    def list_secrets(self, request: Request) -> Answer:
        """ListSecrets, with name filters only."""
        prefixes = _name_prefixes(request.get("Filters") or [])
        lag, now = self._board.list_lag, time.time()
        looks = (secret.history.as_of(now - lag) if lag else secret.row for secret in self._secrets.values())
        rows = [
            row
            for row in looks
            if row is not None
            and row["Name"].startswith(prefixes)
            and (request.get("IncludePlannedDeletion") or "DeletedDate" not in row)
        ]
        ordered = listing.sort(rows, request.get("SortBy"), request.get("SortOrder"))
        page, token = listing.page(ordered, request.get("MaxResults"), request.get("NextToken"), limit=listing.MAX_PAGE)
        return {"SecretList": page, **({"NextToken": token} if token else {})}

    def describe(self, request: Request) -> Answer:
        """DescribeSecret."""
        row = dict(self._find(request["SecretId"], deleted=True).row)
        if "SecretVersionsToStages" in row:
            row["VersionIdsToStages"] = row.pop("SecretVersionsToStages")
        return row

    def list_versions(self, request: Request) -> Answer:
        """ListSecretVersionIds."""
        secret = self._find(request["SecretId"], deleted=True)
        return version_ids_answer(secret.arn, secret.name, secret.versions, bool(request.get("IncludeDeprecated")))

    def create(self, request: Request) -> Answer:
        """CreateSecret."""
        name, now = listing.check_name(request.get("Name")), time.time()
        existing = self._secrets.get(name)
        if existing is not None and existing.deleted is not None:
            raise invalid_request(NAME_PENDING_DELETION)
        token = versions.check_token(request.get("ClientRequestToken"))
        value = _value_of(request)
        if existing is None:
            stored: versions.Versions = {}
            arn = self._arn(name)
            if value != _NO_VALUE:
                versions.put(stored, arn=arn, token=token, put_labels=[versions.CURRENT], now=now, **value)
            self._secrets[name] = Secret(name, arn, stored, now)
            return {"ARN": arn, "Name": name, **({"VersionId": next(iter(stored))} if stored else {})}
        if token not in existing.versions:
            raise AwsError("ResourceExistsException", f"The operation failed because the secret {name} already exists.")
        version_id = versions.put(existing.versions, arn=existing.arn, token=token, put_labels=[], now=now, **value)
        return {"ARN": existing.arn, "Name": name, "VersionId": version_id}

    def put(self, request: Request) -> Answer:
        """PutSecretValue."""
        secret, now = self._find(request["SecretId"]), time.time()
        version_id = versions.put(
            secret.versions,
            arn=secret.arn,
            token=request.get("ClientRequestToken"),
            put_labels=request.get("VersionStages") or [versions.CURRENT],
            now=now,
            **_value_of(request),
        )
        secret.touch(now)
        stages = sorted(secret.versions[version_id]["version_stages"])
        return {"ARN": secret.arn, "Name": secret.name, "VersionId": version_id, "VersionStages": stages}

    def move_label(self, request: Request) -> Answer:
        """UpdateSecretVersionStage."""
        secret = self._find(request["SecretId"])
        versions.move(
            secret.versions,
            request["VersionStage"],
            remove_from=request.get("RemoveFromVersionId"),
            move_to=request.get("MoveToVersionId"),
        )
        secret.touch(time.time())
        return {"ARN": secret.arn, "Name": secret.name}

    def delete(self, request: Request) -> Answer:
        """DeleteSecret."""
        now = time.time()
        if request.get("ForceDeleteWithoutRecovery"):
            gone = self._secrets.pop(name_of(request["SecretId"]), None)
            return {"ARN": gone.arn, "Name": gone.name, "DeletionDate": now} if gone else {"DeletionDate": now}
        secret = self._find(request["SecretId"])
        secret.deleted = round(now + _DAY * request.get("RecoveryWindowInDays", 30), 3)
        secret.touch(now)
        return {"ARN": secret.arn, "Name": secret.name, "DeletionDate": secret.deleted}

    def restore_secret(self, request: Request) -> Answer:
        """RestoreSecret."""
        secret = self._find(request["SecretId"], deleted=True)
        secret.deleted = None
        secret.touch(time.time())
        return {"ARN": secret.arn, "Name": secret.name}

    def _arn(self, name: str) -> str:
        suffix = "".join(secrets.choice(_SUFFIX) for _ in range(6))
        return f"arn:aws:secretsmanager:{self._region}:{_ACCOUNT}:secret:{name}-{suffix}"

    def seed(self, name: str, value: str) -> None:
        """Create the secret, or give it a new current version."""
        if name in self._secrets:
            self.put({"SecretId": name, "SecretString": value})
        else:
            self.create({"Name": name, "SecretString": value})

    def snapshot(self) -> list[dict[str, Any]]:
        """Everything stored."""
        kept = ("name", "arn", "versions", "created", "changed", "deleted")
        return [{key: getattr(secret, key) for key in kept} for secret in self._secrets.values()]

    def restore(self, secrets: list[dict[str, Any]]) -> None:
        """Replace everything stored."""
        self._secrets = {stored["name"]: _load(stored) for stored in secrets}


def _load(stored: Mapping[str, Any]) -> Secret:
    secret = Secret(stored["name"], stored["arn"], stored["versions"], stored["created"])
    secret.deleted = stored["deleted"]
    secret.touch(stored["changed"])
    return secret


def _value_of(request: Request) -> dict[str, str | None]:
    return {"string": request.get("SecretString"), "binary": request.get("SecretBinary")}


def _name_prefixes(filters: list[Request]) -> tuple[str, ...]:
    if any(each.get("Key") != "name" for each in filters):
        raise invalid_parameter("Invalid filter key")
    return tuple(value for each in filters for value in each["Values"]) or ("",)


class Server:
    """HTTP around the service: the control API, the counters and the faults."""

    def __init__(self, region: str) -> None:
        self._board = Board()
        self._service = Service(self._board, region)
        self._control = Control(self._board, self._service)

    def application(self) -> web.Application:
        """All requests go one way."""
        application = web.Application(client_max_size=1 << 30)
        application.router.add_route("*", "/{tail:.*}", self._handle)
        return application

    async def _handle(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read() or b"{}")
        if request.path.startswith(PREFIX):
            status, answer = self._control.handle(request.method, request.path, body)
            return web.json_response(answer, status=status)
        operation = request.headers.get("X-Amz-Target", "").removeprefix("secretsmanager.")
        try:
            return _answer(json.dumps(await self._call(operation, body)).encode(), 200)
        except AwsError as error:
            return _answer(error.body(), error.status)

    async def _call(self, operation: str, body: Request) -> Answer:
        fault = self._board.admit(operation, body)
        if fault is not None:
            await self._suffer(fault)
        run = self._service.operations.get(operation)
        if run is None:
            raise AwsError("UnknownOperationException", operation)
        if fault is not None and fault.error is not None:
            if fault.kind == "lost":
                run(body)
            raise fault.error
        return run(body)

    async def _suffer(self, fault: Fault) -> None:
        await asyncio.sleep(fault.seconds)
        while fault.kind == "blackhole" and self._board.stands(fault):
            await asyncio.sleep(0.05)


def _answer(body: bytes, status: int) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/x-amz-json-1.1")


def serve(port: int, region: str) -> None:
    """Run until killed. Prints `READY <url>` once requests are answered."""
    asyncio.run(_serve(port, region))


async def _serve(port: int, region: str) -> None:
    runner = web.AppRunner(Server(region).application(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    host, bound = runner.addresses[0][:2]
    sys.stdout.write(f"READY http://{host}:{bound}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()
