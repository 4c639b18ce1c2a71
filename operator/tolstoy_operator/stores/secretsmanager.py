"""The store on AWS Secrets Manager, through boto3.

boto3 blocks, so calls run on a small pool of threads of their own; more than a dozen threads gain nothing, since
botocore holds the interpreter most of the time. Retries here are few and quick; slow ones belong to whoever called.
What AWS answers is translated by `secretsmanager_errors`, and neither a value nor a text of AWS is in any error.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, TypeVar

import boto3
import botocore.session
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError, NoCredentialsError
from botocore.utils import parse_timestamp

from tolstoy_operator.domain.errors import (
    InvalidRequest,
    LabelMoved,
    SecretNotFound,
    SecretPendingDeletion,
    StoreError,
    StoreUnavailable,
    Throttled,
)
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.stores import secretsmanager_rows as rows
from tolstoy_operator.stores.base import (
    CURRENT,
    SecretDescription,
    SecretListing,
    SecretVersion,
    VersionInfo,
    check_value,
)
from tolstoy_operator.stores.batchread import BatchReader
from tolstoy_operator.stores.ratelimit import TokenBucket
from tolstoy_operator.stores.secretsmanager_errors import FAILURES, WrongState, from_code, translate

logger = logging.getLogger(__name__)

_PAGE = 100
_ARN_NAME_FIELD = 6
_ABSENT_LABEL = "TOLSTOY_ABSENT"
"""Is on no version, ever."""
_T = TypeVar("_T")

OnCall = Callable[[str, str, float], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """Calls a second that we allow ourselves. Others share the account, so each is a fraction of its quota.

    Batches may take half of theirs: hardly anything else makes such calls, and they decide how fast a restart is.
    """

    get: float = 500
    describe: float = 500
    batch: float = 50
    list: float = 10
    versions: float = 50
    write: float = 25


class SecretsManagerStore:
    """`SecretStore` on Secrets Manager in one `region`.

    `on_call(operation, outcome, seconds)` is told of every call: the outcome is `ok` or the name of the error class.
    `threads`: calls at the same time. `read_timeout`: seconds without an answer before a call is tried again (three
    times in all). The endpoint follows AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_SECRETS_MANAGER.
    """

    def __init__(
        self,
        *,
        region: str,
        on_call: OnCall | None = None,
        threads: int = 12,
        limits: Limits | None = None,
        read_timeout: float = 5.0,
    ) -> None:
        self._region = region
        self._read_timeout = read_timeout
        self._on_call = on_call
        self._threads = threads
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="secretsmanager")
        self._client: Any = None
        self._refuses_absent_labels: bool | None = None
        self._client_lock = threading.Lock()
        self._buckets = _buckets(limits or Limits())
        self._reader = BatchReader(
            batch=self._batch,
            single=self.get,
            concurrency=threads,
        )

    @property
    def region(self) -> str:
        """The AWS region."""
        return self._region

    async def get(self, name: str, *, version_id: str | None = None, label: str | None = CURRENT) -> SecretVersion:
        """Read one version: see `SecretStore.get`."""
        request = {"SecretId": name, "VersionId": version_id, "VersionStage": label}
        try:
            return await self._call("GetSecretValue", name, request, rows.version)
        except WrongState as error:
            failure = await self._explain(error)
        if isinstance(failure, WrongState) and version_id is not None and label is not None:
            failure = SecretNotFound(name, f"version {version_id} does not carry {label}")
        raise failure

    async def get_many(self, names: Sequence[str]) -> Mapping[str, SecretVersion | StoreError]:
        """Current versions of any number of names, each answered on its own."""
        return await self._reader.read(names)

    async def _batch(self, names: Sequence[str]) -> Mapping[str, SecretVersion | StoreError]:
        answer = await self._call(
            "BatchGetSecretValue", f"{len(names)} secrets", {"SecretIdList": list(names)}, self._decode_batch
        )
        wrong = [error for error in answer.values() if isinstance(error, WrongState)]
        explained = await asyncio.gather(*map(self._explain, wrong))
        return {**answer, **{error.name: error for error in explained}}

    def _decode_batch(self, answer: Mapping[str, Any]) -> dict[str, SecretVersion | StoreError]:
        answers: dict[str, SecretVersion | StoreError] = {
            row["Name"]: rows.version(row) for row in answer["SecretValues"]
        }
        for row in answer.get("Errors", ()):
            name = _name_of(row["SecretId"])
            answers[name] = from_code(row["ErrorCode"], name, self._region)
        return answers

    async def describe(self, name: str) -> SecretDescription:
        """Labels and state, no value."""
        return await self._call("DescribeSecret", name, {"SecretId": name}, rows.description)

    async def list_versions(self, name: str) -> Sequence[VersionInfo]:
        """All versions, those without labels too."""
        request = {"SecretId": name, "IncludeDeprecated": True, "MaxResults": _PAGE}
        return [rows.version_info(row) async for row in self._pages("ListSecretVersionIds", name, request, "Versions")]

    async def list_changed(self, *, prefix: str, since: float | None) -> AsyncIterator[SecretListing]:
        """Latest change first, until one from before `since`."""
        request: dict[str, Any] = {
            "MaxResults": _PAGE,
            "IncludePlannedDeletion": True,
            "SortBy": "last-changed-date",
            "SortOrder": "desc",
            "Filters": [{"Key": "name", "Values": [prefix]}] if prefix else None,
        }
        async for row in self._pages("ListSecrets", prefix, request, "SecretList"):
            listing = rows.listing(row)
            if since is not None and listing.changed_at < since:
                return
            yield listing

    async def create(self, name: str, value: SecretValue, *, version_id: str) -> str:
        """Create the secret with its first version."""
        check_value(name, value)
        request = {"Name": name, "SecretString": value.reveal(), "ClientRequestToken": version_id}
        try:
            return await self._call("CreateSecret", name, request, lambda answer: str(answer["VersionId"]))
        except WrongState as error:
            failure = await self._explain(error)
        raise failure

    async def put(self, name: str, value: SecretValue, *, version_id: str, labels: Sequence[str] = (CURRENT,)) -> None:
        """Add a version under an id, create-if-absent."""
        check_value(name, value)
        request = {
            "SecretId": name,
            "SecretString": value.reveal(),
            "ClientRequestToken": version_id,
            "VersionStages": list(labels),
        }
        try:
            await self._call("PutSecretValue", name, request, _nothing)
        except WrongState as error:
            failure = await self._explain(error)
        else:
            return
        raise failure

    async def move_label(self, name: str, label: str, *, from_version: str | None, to_version: str | None) -> None:
        """Compare-and-swap of a label. A lost swap and bad input have one error code, so DescribeSecret decides."""
        request = {
            "SecretId": name,
            "VersionStage": label,
            "RemoveFromVersionId": from_version,
            "MoveToVersionId": to_version,
        }
        try:
            await self._call("UpdateSecretVersionStage", name, request, _nothing)
        except InvalidRequest as error:
            refusal = error
        else:
            return
        described = await self.describe(name)
        if described.pending_deletion:
            raise SecretPendingDeletion(name, "scheduled for deletion")
        where = described.labels.get(label)
        if where == to_version:
            return
        raise refusal if where == from_version else LabelMoved(name, f"{label} is on {where or 'no version'}")

    async def take_label(self, name: str, label: str, *, from_version: str) -> bool | None:
        """Rests on the refusal to take off what is not there, which is not documented: it is tried once a process."""
        if self._refuses_absent_labels is None:
            self._refuses_absent_labels = not await self._take_off(name, _ABSENT_LABEL, from_version)
            if not self._refuses_absent_labels:
                logger.warning("Secrets Manager takes off labels that are not there: refreshes cost one version more")
        return await self._take_off(name, label, from_version) if self._refuses_absent_labels else None

    async def _take_off(self, name: str, label: str, version: str) -> bool:
        request = {"SecretId": name, "VersionStage": label, "RemoveFromVersionId": version}
        try:
            await self._call("UpdateSecretVersionStage", name, request, _nothing)
        except InvalidRequest:
            return False
        return True

    async def validate_access(self) -> None:
        """One ListSecrets of one row."""
        await self._call("ListSecrets", "all secrets", {"MaxResults": 1}, _nothing)

    async def close(self) -> None:
        """Calls that have not begun are cancelled; those under way end with their timeouts."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    async def _explain(self, error: WrongState) -> StoreError:
        """A request that does not fit the state of the secret: say which state."""
        try:
            described = await self.describe(error.name)
        except StoreError:
            return error
        return SecretPendingDeletion(error.name, "scheduled for deletion") if described.pending_deletion else error

    async def _pages(self, operation: str, name: str, request: Mapping[str, Any], rows: str) -> AsyncIterator[Any]:
        token = None
        while True:
            answer = await self._call(operation, name, {**request, "NextToken": token}, dict)
            for row in answer[rows]:
                yield row
            token = answer.get("NextToken")
            if not token:
                return

    async def _call(
        self, operation: str, name: str, request: Mapping[str, Any], decode: Callable[[Mapping[str, Any]], _T]
    ) -> _T:
        """One operation on a worker thread, counted and rate-limited. Raises `StoreError` only."""
        bucket = self._buckets[operation]
        await bucket.acquire()
        given = {key: value for key, value in request.items() if value is not None}
        try:
            future = asyncio.get_running_loop().run_in_executor(
                self._executor, self._run, operation, name, given, decode
            )
        except RuntimeError:  # the executor refuses work after `close`
            raise StoreUnavailable(name, "the store is closed") from None
        answer = await future
        if not isinstance(answer, StoreError):
            bucket.speed_up()
            return answer
        if isinstance(answer, Throttled):
            bucket.slow_down()
        raise answer

    def _run(
        self, operation: str, name: str, request: Mapping[str, Any], decode: Callable[[Mapping[str, Any]], _T]
    ) -> _T | StoreError:
        """On a worker thread. Errors are returned, so that none carries botocore's frames, which hold the request."""
        started = time.monotonic()
        result: _T | StoreError
        try:
            answer = getattr(self._connected(), xform_name(operation))(**request)
        except FAILURES as error:
            result = translate(error, name, self._region)
            self._note(operation, name, error)
        else:
            result = self._decoded(name, answer, decode)
        outcome = type(result).__name__ if isinstance(result, StoreError) else "ok"
        if self._on_call is not None:
            self._on_call(operation, outcome, time.monotonic() - started)
        return result

    def _decoded(self, name: str, answer: Any, decode: Callable[[Mapping[str, Any]], _T]) -> _T | StoreError:
        try:
            return decode(answer)
        except (KeyError, TypeError, ValueError):
            return StoreUnavailable(name, f"the answer of Secrets Manager is unreadable (region {self._region})")

    def _note(self, operation: str, name: str, error: BaseException) -> None:
        if isinstance(error, NoCredentialsError):
            with self._client_lock:
                self._client = None  # a client never looks for credentials again; they may appear yet
        if isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") == "AccessDeniedException":
            logger.debug("%s of %s: %s", operation, name, error.response["Error"].get("Message", ""))

    def _connected(self) -> Any:
        """The one client. Making it is not thread-safe, and may fail like a call (no region, no credentials)."""
        with self._client_lock:
            if self._client is None:
                self._client = _make_client(self._region, self._threads, self._read_timeout)
            return self._client


def _make_client(region: str, threads: int, read_timeout: float) -> Any:
    session = botocore.session.Session()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_timestamp)
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=threads,
        connect_timeout=2,
        read_timeout=read_timeout,
        tcp_keepalive=True,
        user_agent_extra=f"tolstoy-operator/{version('tolstoy-operator')}",
    )
    return boto3.Session(botocore_session=session, region_name=region).client("secretsmanager", config=config)


def _timestamp(value: Any) -> Any:
    """Epoch seconds as they are: parsing them to `datetime` is most of the cost of a listing.

    The same session parses the answers of STS when it assumes a role; those times are ISO 8601 and stay `datetime`.
    """
    try:
        return float(value)
    except (TypeError, ValueError):
        return parse_timestamp(value)


def _buckets(limits: Limits) -> dict[str, TokenBucket]:
    writes = TokenBucket(limits.write)
    return {
        "GetSecretValue": TokenBucket(limits.get),
        "DescribeSecret": TokenBucket(limits.describe),
        "BatchGetSecretValue": TokenBucket(limits.batch),
        "ListSecrets": TokenBucket(limits.list),
        "ListSecretVersionIds": TokenBucket(limits.versions),
        "CreateSecret": writes,
        "PutSecretValue": writes,
        "UpdateSecretVersionStage": writes,
    }


def _name_of(secret_id: str) -> str:
    """The name in what AWS calls an id: a name, or an ARN that ends in a hyphen and six characters."""
    return secret_id.split(":", _ARN_NAME_FIELD)[-1][:-7] if secret_id.startswith("arn:") else secret_id


def _nothing(_answer: Mapping[str, Any]) -> None:
    return None
