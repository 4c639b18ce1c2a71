"""What the store makes of answers that the stand-ins do not give. botocore's Stubber plays the service."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest
from botocore import exceptions as boto
from botocore.config import Config
from botocore.parsers import ResponseParserError
from botocore.stub import Stubber

from tolstoy_operator.domain import errors
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.stores import secretsmanager
from tolstoy_operator.stores.secretsmanager import Limits, SecretsManagerStore
from tolstoy_operator.stores.secretsmanager_errors import FAILURES, from_code, translate

NAME = "tolstoy/github/org-abc123"
ARN = f"arn:aws:secretsmanager:eu-central-1:123456789012:secret:{NAME}-AbCdEf"
ID = "11111111-2222-3333-4444-555555555555"
OTHER = "99999999-2222-3333-4444-555555555555"
CANARY = "canary-of-a-value"


@pytest.fixture(scope="module")
def client() -> Any:
    session = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="eu-central-1")
    return session.client("secretsmanager", config=Config(retries={"total_max_attempts": 1}))


@pytest.fixture
def stub(client: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    monkeypatch.setattr(secretsmanager, "_make_client", lambda *_: client)
    with Stubber(client) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.fixture
def calls() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def store(stub: Stubber, calls: list[tuple[str, str]]) -> SecretsManagerStore:
    def on_call(operation: str, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        calls.append((operation, outcome))

    return SecretsManagerStore(region="eu-central-1", on_call=on_call, threads=1)


def described(stages: Mapping[str, list[str]], *, deleted: bool = False) -> dict[str, Any]:
    answer: dict[str, Any] = {"ARN": ARN, "Name": NAME, "VersionIdsToStages": stages}
    return {**answer, "DeletedDate": 1.0} if deleted else answer


def value_row(**changes: Any) -> dict[str, Any]:
    row = {"ARN": ARN, "Name": NAME, "VersionId": ID, "VersionStages": ["AWSCURRENT"], "CreatedDate": 1.5}
    return {**row, "SecretString": CANARY, **changes}


CODES = {
    "ResourceNotFoundException": errors.SecretNotFound,
    "InvalidRequestException": errors.InvalidRequest,
    "InvalidParameterException": errors.InvalidRequest,
    "ValidationException": errors.InvalidRequest,
    "PreconditionNotMetException": errors.InvalidRequest,
    "MalformedPolicyDocumentException": errors.InvalidRequest,
    "PublicPolicyException": errors.InvalidRequest,
    "ResourceExistsException": errors.AlreadyExists,
    "LimitExceededException": errors.LimitExceeded,
    "DecryptionFailure": errors.DecryptionFailed,
    "EncryptionFailure": errors.DecryptionFailed,
    "InvalidNextTokenException": errors.StoreUnavailable,
    "AccessDeniedException": errors.AccessDenied,
    "ExpiredTokenException": errors.IdentityRefused,
    "UnrecognizedClientException": errors.IdentityRefused,
    "InvalidSignatureException": errors.IdentityRefused,
    "ThrottlingException": errors.Throttled,
    "TooManyRequestsException": errors.Throttled,
    "InternalServiceError": errors.StoreUnavailable,
    "ServiceUnavailableException": errors.StoreUnavailable,
    "IDPCommunicationError": errors.StoreUnavailable,
}


class TestErrorTable:
    @pytest.mark.parametrize(("code", "kind"), CODES.items())
    def test_by_code(self, code: str, kind: type[errors.StoreError]) -> None:
        error = from_code(code, NAME, "eu-central-1")
        assert isinstance(error, kind)
        assert str(error).startswith(f"{NAME}: ")
        assert code in str(error)
        assert "eu-central-1" in str(error)

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (503, errors.StoreUnavailable),
            (500, errors.StoreUnavailable),
            (429, errors.Throttled),
            (403, errors.AccessDenied),
            (401, errors.AccessDenied),
            (400, errors.InvalidRequest),
        ],
    )
    def test_an_unknown_code_goes_by_its_status(self, status: int, kind: type[errors.StoreError]) -> None:
        assert type(from_code("SomethingNew", NAME, "eu-central-1", status=status)) is kind
        assert f"HTTP {status}" in str(from_code("", NAME, "eu-central-1", status=status))

    @pytest.mark.parametrize(
        ("error", "kind", "says"),
        [
            (boto.NoCredentialsError(), errors.IdentityRefused, "no AWS credentials"),
            (boto.PartialCredentialsError(provider="env", cred_var="x"), errors.IdentityRefused, "incomplete"),
            (boto.CredentialRetrievalError(provider="x", error_msg=CANARY), errors.StoreUnavailable, "fetched"),
            (boto.ParamValidationError(report=CANARY), errors.InvalidRequest, "malformed"),
            (boto.NoRegionError(), errors.InvalidRequest, "region"),
            (boto.InvalidRegionError(region_name="moon"), errors.InvalidRequest, "eu-moon-1"),
            (boto.EndpointConnectionError(endpoint_url="https://x"), errors.StoreUnavailable, "region right"),
            (boto.ConnectTimeoutError(endpoint_url="https://x"), errors.StoreUnavailable, "timed out"),
            (boto.ReadTimeoutError(endpoint_url="https://x"), errors.StoreUnavailable, "in time"),
            (boto.SSLError(endpoint_url="https://x", error="x"), errors.StoreUnavailable, "TLS"),
            (boto.ProxyConnectionError(proxy_url="https://x"), errors.StoreUnavailable, "proxy"),
            (boto.ConnectionClosedError(endpoint_url="https://x"), errors.StoreUnavailable, "connection"),
            (boto.UnknownServiceError(service_name="x", known_service_names="y"), errors.StoreUnavailable, "failed"),
            (ResponseParserError(CANARY), errors.StoreUnavailable, "unreadable"),
            (ValueError("Invalid endpoint: x"), errors.InvalidRequest, "endpoint"),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
    )
    def test_what_botocore_raises_itself(self, error: Exception, kind: type[errors.StoreError], says: str) -> None:
        assert isinstance(error, FAILURES)
        translated = translate(error, NAME, "eu-moon-1")
        assert isinstance(translated, kind)
        assert says in str(translated)
        assert CANARY not in str(translated)

    def test_texts_of_aws_are_not_passed_on(self) -> None:
        response: Any = {"Error": {"Code": "ValidationException", "Message": f"Value '{CANARY}' at 'secretString'"}}
        assert CANARY not in str(translate(boto.ClientError(response, "PutSecretValue"), NAME, "eu-central-1"))


class TestStates:
    async def test_a_read_of_a_secret_that_is_being_deleted(self, store: SecretsManagerStore, stub: Stubber) -> None:
        stub.add_client_error("get_secret_value", "InvalidRequestException")
        stub.add_response("describe_secret", described({}, deleted=True))
        with pytest.raises(errors.SecretPendingDeletion):
            await store.get(NAME)

    async def test_a_conditional_read_that_fails(self, store: SecretsManagerStore, stub: Stubber) -> None:
        request = {"SecretId": NAME, "VersionId": ID, "VersionStage": "AWSCURRENT"}
        stub.add_client_error("get_secret_value", "InvalidRequestException", expected_params=request)
        stub.add_response("describe_secret", described({ID: ["AWSPREVIOUS"]}))
        with pytest.raises(errors.SecretNotFound, match="does not carry AWSCURRENT"):
            await store.get(NAME, version_id=ID)

    async def test_another_state_that_forbids_a_read(self, store: SecretsManagerStore, stub: Stubber) -> None:
        stub.add_client_error("get_secret_value", "InvalidRequestException")
        stub.add_response("describe_secret", described({}))
        with pytest.raises(errors.InvalidRequest):
            await store.get(NAME)

    async def test_when_describing_is_denied_the_first_error_stays(
        self, store: SecretsManagerStore, stub: Stubber
    ) -> None:
        stub.add_client_error("put_secret_value", "InvalidRequestException")
        stub.add_client_error("describe_secret", "AccessDeniedException")
        with pytest.raises(errors.InvalidRequest):
            await store.put(NAME, SecretValue(CANARY), version_id=ID)

    async def test_writes_to_a_secret_that_is_being_deleted(self, store: SecretsManagerStore, stub: Stubber) -> None:
        stub.add_client_error("put_secret_value", "InvalidRequestException")
        stub.add_response("describe_secret", described({}, deleted=True))
        with pytest.raises(errors.SecretPendingDeletion):
            await store.put(NAME, SecretValue(CANARY), version_id=ID)
        stub.add_client_error("create_secret", "InvalidRequestException")
        stub.add_response("describe_secret", described({}, deleted=True))
        with pytest.raises(errors.SecretPendingDeletion):
            await store.create(NAME, SecretValue(CANARY), version_id=ID)
        stub.add_client_error("update_secret_version_stage", "InvalidRequestException")
        stub.add_response("describe_secret", described({}, deleted=True))
        with pytest.raises(errors.SecretPendingDeletion):
            await store.move_label(NAME, "A", from_version=None, to_version=ID)

    @pytest.mark.parametrize("code", ["InvalidParameterException", "InvalidRequestException"])
    async def test_a_lost_swap_is_told_by_describing(
        self, store: SecretsManagerStore, stub: Stubber, code: str
    ) -> None:
        stub.add_client_error("update_secret_version_stage", code, "some other text")
        stub.add_response("describe_secret", described({OTHER: ["A"], ID: ["AWSCURRENT"]}))
        with pytest.raises(errors.LabelMoved, match=f"A is on {OTHER}"):
            await store.move_label(NAME, "A", from_version=None, to_version=ID)

    async def test_a_swap_whose_answer_was_lost_has_succeeded(self, store: SecretsManagerStore, stub: Stubber) -> None:
        stub.add_client_error("update_secret_version_stage", "InvalidParameterException")
        stub.add_response("describe_secret", described({ID: ["A"]}))
        await store.move_label(NAME, "A", from_version=OTHER, to_version=ID)

    async def test_a_swap_that_is_refused_for_another_reason(self, store: SecretsManagerStore, stub: Stubber) -> None:
        stub.add_client_error("update_secret_version_stage", "InvalidParameterException", "replica")
        stub.add_response("describe_secret", described({OTHER: ["A"]}))
        with pytest.raises(errors.InvalidRequest):
            await store.move_label(NAME, "A", from_version=OTHER, to_version=ID)


class TestTakingALabel:
    async def test_one_caller_takes_it_once_the_service_is_known_to_refuse_others(
        self, store: SecretsManagerStore, stub: Stubber
    ) -> None:
        absent = {"SecretId": NAME, "VersionStage": "TOLSTOY_ABSENT", "RemoveFromVersionId": ID}
        stub.add_client_error("update_secret_version_stage", "InvalidParameterException", expected_params=absent)
        stub.add_response("update_secret_version_stage", {}, {**absent, "VersionStage": "LEASE"})
        assert await store.take_label(NAME, "LEASE", from_version=ID) is True
        stub.add_client_error("update_secret_version_stage", "InvalidParameterException")
        assert await store.take_label(NAME, "LEASE", from_version=ID) is False

    async def test_a_service_that_refuses_nothing_lends_nothing(
        self, store: SecretsManagerStore, stub: Stubber
    ) -> None:
        stub.add_response("update_secret_version_stage", {})
        assert await store.take_label(NAME, "LEASE", from_version=ID) is None
        assert await store.take_label(NAME, "LEASE", from_version=ID) is None

    async def test_an_error_is_no_answer(self, store: SecretsManagerStore, stub: Stubber) -> None:
        stub.add_client_error("update_secret_version_stage", "AccessDeniedException")
        with pytest.raises(errors.AccessDenied):
            await store.take_label(NAME, "LEASE", from_version=ID)


class TestRequests:
    async def test_the_current_label_is_always_asked_for(self, store: SecretsManagerStore, stub: Stubber) -> None:
        """A policy can only check a label that is in the request."""
        stub.add_response("get_secret_value", value_row(), {"SecretId": NAME, "VersionStage": "AWSCURRENT"})
        await store.get(NAME)

    async def test_writes_carry_our_token(self, store: SecretsManagerStore, stub: Stubber) -> None:
        put = {"SecretId": NAME, "SecretString": CANARY, "ClientRequestToken": ID, "VersionStages": ["AWSCURRENT"]}
        stub.add_response("put_secret_value", {}, put)
        await store.put(NAME, SecretValue(CANARY), version_id=ID)
        create = {"Name": NAME, "SecretString": CANARY, "ClientRequestToken": ID}
        stub.add_response("create_secret", {"VersionId": ID}, create)
        assert await store.create(NAME, SecretValue(CANARY), version_id=ID) == ID

    async def test_a_listing_stops_at_the_watermark(self, store: SecretsManagerStore, stub: Stubber) -> None:
        request = {
            "MaxResults": 100,
            "IncludePlannedDeletion": True,
            "SortBy": "last-changed-date",
            "SortOrder": "desc",
            "Filters": [{"Key": "name", "Values": ["tolstoy/"]}],
        }
        rows = [
            {"ARN": ARN, "Name": f"tolstoy/{i}", "CreatedDate": 1.0, "LastChangedDate": 100.0 - i} for i in range(4)
        ]
        stub.add_response("list_secrets", {"SecretList": rows[:2], "NextToken": "next"}, request)
        stub.add_response(
            "list_secrets", {"SecretList": rows[2:], "NextToken": "more"}, {**request, "NextToken": "next"}
        )
        listed = [row.name async for row in store.list_changed(prefix="tolstoy/", since=98.0)]
        assert listed == ["tolstoy/0", "tolstoy/1", "tolstoy/2"]

    async def test_a_stale_page_token_is_worth_a_new_try(self, store: SecretsManagerStore, stub: Stubber) -> None:
        stub.add_client_error("list_secrets", "InvalidNextTokenException")
        with pytest.raises(errors.StoreUnavailable) as raised:
            _ = [row async for row in store.list_changed(prefix="", since=None)]
        assert raised.value.transient


class FakeBucket:
    """Remembers what was asked of it."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.seen: list[str] = []

    async def acquire(self) -> None:
        self.seen.append("acquire")

    def slow_down(self) -> None:
        self.seen.append("slow_down")

    def speed_up(self) -> None:
        self.seen.append("speed_up")


async def test_each_class_of_operations_has_its_own_rate(stub: Stubber, monkeypatch: pytest.MonkeyPatch) -> None:
    buckets: dict[float, FakeBucket] = {}

    def make(rate: float) -> FakeBucket:
        return buckets.setdefault(rate, FakeBucket(rate))

    monkeypatch.setattr(secretsmanager, "TokenBucket", make)
    limits = Limits(get=1, describe=2, batch=3, list=4, versions=5, write=6)
    store = SecretsManagerStore(region="eu-central-1", threads=1, limits=limits)
    stub.add_response("get_secret_value", value_row())
    stub.add_client_error("describe_secret", "ThrottlingException")
    stub.add_response("batch_get_secret_value", {"SecretValues": [], "Errors": []})
    stub.add_response("list_secrets", {"SecretList": []})
    stub.add_client_error("list_secret_version_ids", "AccessDeniedException")
    for write in ("create_secret", "put_secret_value", "update_secret_version_stage"):
        stub.add_response(write, {"VersionId": ID} if write == "create_secret" else {})

    await store.get(NAME)
    with pytest.raises(errors.Throttled):
        await store.describe(NAME)
    await store.get_many(["a", "b"])
    await store.validate_access()
    with pytest.raises(errors.AccessDenied):
        await store.list_versions(NAME)
    await store.create(NAME, SecretValue("x"), version_id=ID)
    await store.put(NAME, SecretValue("x"), version_id=ID)
    await store.move_label(NAME, "A", from_version=None, to_version=ID)
    await store.close()

    ok = ["acquire", "speed_up"]
    assert {rate: bucket.seen for rate, bucket in buckets.items()} == {
        1: ok,
        2: ["acquire", "slow_down"],
        3: ok,
        4: ok,
        5: ["acquire"],
        6: ok * 3,
    }


class TestAnswers:
    async def test_binary_has_no_value(self, store: SecretsManagerStore, stub: Stubber) -> None:
        row = {key: value for key, value in value_row().items() if key != "SecretString"}
        stub.add_response("get_secret_value", {**row, "SecretBinary": b"\x00"})
        assert (await store.get(NAME)).value is None

    async def test_a_listing_without_a_current_version(self, store: SecretsManagerStore, stub: Stubber) -> None:
        rows = [
            {"ARN": ARN, "Name": "a", "CreatedDate": 1.0, "SecretVersionsToStages": {ID: ["AWSPENDING"]}},
            {"ARN": ARN, "Name": "b", "CreatedDate": 1.0, "DeletedDate": 2.0},
        ]
        stub.add_response("list_secrets", {"SecretList": rows}, None)
        listed = [row async for row in store.list_changed(prefix="", since=None)]
        assert [(row.name, row.current_version_id, row.changed_at, row.pending_deletion) for row in listed] == [
            ("a", None, 1.0, False),
            ("b", None, 1.0, True),
        ]

    async def test_an_unreadable_answer(self, store: SecretsManagerStore, stub: Stubber) -> None:
        stub.add_response("get_secret_value", {})
        with pytest.raises(errors.StoreUnavailable, match="unreadable"):
            await store.get(NAME)

    async def test_errors_of_a_batch_name_the_secret_even_by_arn(
        self, store: SecretsManagerStore, stub: Stubber
    ) -> None:
        rows = [
            {"SecretId": ARN, "ErrorCode": "DecryptionFailure", "Message": "x"},
            {"SecretId": "b", "ErrorCode": "InvalidRequestException", "Message": "x"},
        ]
        stub.add_response("batch_get_secret_value", {"SecretValues": [], "Errors": rows})
        stub.add_response("describe_secret", described({}, deleted=True), {"SecretId": "b"})
        answers = await store.get_many([NAME, "b", "c"])
        assert {name: type(answer) for name, answer in answers.items()} == {
            NAME: errors.DecryptionFailed,
            "b": errors.SecretPendingDeletion,
            "c": errors.StoreUnavailable,
        }


class TestConduct:
    async def test_calls_are_reported(
        self, store: SecretsManagerStore, stub: Stubber, calls: list[tuple[str, str]]
    ) -> None:
        stub.add_response("describe_secret", described({}))
        stub.add_client_error("describe_secret", "ThrottlingException")
        await store.describe(NAME)
        with pytest.raises(errors.Throttled):
            await store.describe(NAME)
        assert calls == [("DescribeSecret", "ok"), ("DescribeSecret", "Throttled")]

    async def test_no_failure_holds_a_value(self, store: SecretsManagerStore, stub: Stubber) -> None:
        """Not in its text, and not in the frames and causes behind it, which some tools print with all variables."""
        stub.add_client_error("put_secret_value", "ValidationException", f"Value '{CANARY}' is bad")
        with pytest.raises(errors.InvalidRequest) as raised:
            await store.put(NAME, SecretValue(CANARY), version_id=ID)
        assert raised.value.__cause__ is None
        assert raised.value.__context__ is None
        assert CANARY not in "".join(traceback.format_exception(raised.value))

    async def test_too_large_a_value_is_not_sent(self, store: SecretsManagerStore) -> None:
        with pytest.raises(errors.InvalidRequest, match="65537 bytes"):
            await store.put(NAME, SecretValue("x" * 65_537), version_id=ID)

    async def test_what_is_missing_is_logged_for_whoever_grants_it(
        self, store: SecretsManagerStore, stub: Stubber, caplog: pytest.LogCaptureFixture
    ) -> None:
        stub.add_client_error("get_secret_value", "AccessDeniedException", "not authorized to perform: x on y")
        with caplog.at_level(logging.DEBUG, secretsmanager.__name__), pytest.raises(errors.AccessDenied):
            await store.get(NAME)
        assert "not authorized to perform: x on y" in caplog.text

    async def test_a_client_without_credentials_is_made_anew(
        self, monkeypatch: pytest.MonkeyPatch, stub: Stubber
    ) -> None:
        class FakeClientWithoutCredentials:
            def describe_secret(self, **_: Any) -> None:
                raise boto.NoCredentialsError

        clients: list[Any] = [FakeClientWithoutCredentials(), stub.client]
        monkeypatch.setattr(secretsmanager, "_make_client", lambda *_: clients.pop(0))
        store = SecretsManagerStore(region="eu-central-1")
        with pytest.raises(errors.IdentityRefused, match="no AWS credentials"):
            await store.describe(NAME)
        stub.add_response("describe_secret", described({}))
        assert (await store.describe(NAME)).name == NAME
        await store.close()

    async def test_a_client_that_cannot_be_made_fails_like_a_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "no scheme")
        store = SecretsManagerStore(region="eu-central-1")
        with pytest.raises(errors.InvalidRequest, match="endpoint"):
            await store.validate_access()
        await store.close()

    async def test_a_closed_store_says_so(self, store: SecretsManagerStore) -> None:
        await store.close()
        with pytest.raises(errors.StoreUnavailable, match="closed"):
            await store.get(NAME)
        await store.close()

    def test_its_region(self, store: SecretsManagerStore) -> None:
        assert store.region == "eu-central-1"


def test_how_the_client_is_set_up() -> None:
    client = secretsmanager._make_client("eu-central-1", 7, 5.0)
    config = client.meta.config
    assert config.retries == {"mode": "standard", "total_max_attempts": 3}
    assert (config.connect_timeout, config.read_timeout, config.max_pool_connections) == (2, 5.0, 7)
    assert "tolstoy-operator/" in config.user_agent_extra
    client.close()


def test_timestamps_are_epoch_seconds_and_those_of_sts_stay_dates() -> None:
    assert secretsmanager._timestamp(1.5) == 1.5
    assert secretsmanager._timestamp("1.5") == 1.5
    assert secretsmanager._timestamp("2026-01-02T03:04:05Z").year == 2026
