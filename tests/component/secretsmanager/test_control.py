"""What tests can do to the stand-ins: count, break, delay, stop and start."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any, Literal

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from dev.secretsmanager import SecretsManagerServer


def code_of(call: Callable[[], Any]) -> str:
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "ok"


def test_calls_are_counted(server: SecretsManagerServer, client: Any, name: str) -> None:
    server.seed({name: "one"})
    server.reset_calls()
    client.get_secret_value(SecretId=name)
    client.get_secret_value(SecretId=name)
    client.list_secrets()
    assert server.calls() == {"GetSecretValue": 2, "ListSecrets": 1}


def test_seeding_creates_and_overwrites(server: SecretsManagerServer, client: Any, name: str) -> None:
    server.seed({name: "one", f"{name}/b": "b"})
    server.seed([(name, "two")])
    assert client.get_secret_value(SecretId=name)["SecretString"] == "two"
    assert client.get_secret_value(SecretId=name, VersionStage="AWSPREVIOUS")["SecretString"] == "one"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("throttle", "ThrottlingException"),
        ("500", "InternalServiceError"),
        ("access_denied", "AccessDeniedException"),
        ("expired_token", "ExpiredTokenException"),
        ("kms", "DecryptionFailure"),
        ("limit", "LimitExceededException"),
    ],
)
def test_a_fault_is_an_answer_of_the_service(
    server: SecretsManagerServer, client: Any, name: str, kind: str, code: str
) -> None:
    server.seed({name: "one"})
    server.fault(kind, secret=name)
    with pytest.raises(ClientError) as raised:
        client.get_secret_value(SecretId=name)
    response = raised.value.response
    assert response["Error"]["Code"] == code
    assert response["ResponseMetadata"]["HTTPStatusCode"] == (500 if kind == "500" else 400)


def test_a_fault_hits_what_it_names(server: SecretsManagerServer, client: Any, name: str) -> None:
    server.seed({f"{name}/a": "a", f"{name}/b": "b"})
    server.fault("throttle", operation="Get*", secret=f"{name}/a", count=1)
    assert code_of(lambda: client.describe_secret(SecretId=f"{name}/a")) == "ok"
    assert code_of(lambda: client.get_secret_value(SecretId=f"{name}/b")) == "ok"
    assert code_of(lambda: client.get_secret_value(SecretId=f"{name}/a")) == "ThrottlingException"
    assert code_of(lambda: client.get_secret_value(SecretId=f"{name}/a")) == "ok"


def test_a_fault_hits_secrets_addressed_by_arn(server: SecretsManagerServer, client: Any, name: str) -> None:
    server.seed({name: "one"})
    arn = client.describe_secret(SecretId=name)["ARN"]
    server.fault("access_denied", secret=name)
    assert code_of(lambda: client.get_secret_value(SecretId=arn)) == "AccessDeniedException"


def test_faults_in_a_batch(server: SecretsManagerServer, client: Any, name: str) -> None:
    names = [f"{name}/a", f"{name}/b"]
    server.seed(dict.fromkeys(names, "x"))
    server.fault("kms", operation="GetSecretValue", secret=names[0])
    answer = client.batch_get_secret_value(SecretIdList=names)
    assert [row["Name"] for row in answer["SecretValues"]] == names[1:]
    assert [(row["SecretId"], row["ErrorCode"]) for row in answer["Errors"]] == [(names[0], "DecryptionFailure")]

    server.fault("access_denied", operation="BatchGetSecretValue", secret=names[1])
    assert code_of(lambda: client.batch_get_secret_value(SecretIdList=names)) == "AccessDeniedException"
    assert code_of(lambda: client.batch_get_secret_value(SecretIdList=names[:1])) == "ok"


def test_cleared_faults_are_gone(server: SecretsManagerServer, client: Any, name: str) -> None:
    server.seed({name: "one"})
    server.fault("500")
    assert code_of(client.list_secrets) == "InternalServiceError"
    server.clear_faults()
    assert code_of(client.list_secrets) == "ok"


def test_a_delay(server: SecretsManagerServer, client: Any, name: str) -> None:
    server.seed({name: "one"})
    server.fault("delay", seconds=0.2, count=1)
    began = time.monotonic()
    assert client.get_secret_value(SecretId=name)["SecretString"] == "one"
    assert time.monotonic() - began >= 0.2


def test_a_black_hole_does_not_answer(server: SecretsManagerServer, client: Any, name: str) -> None:
    server.seed({name: "one"})
    server.fault("blackhole", secret=name)
    impatient = server.client(read_timeout=0.2)
    with pytest.raises(ReadTimeoutError):
        impatient.get_secret_value(SecretId=name)
    server.clear_faults()
    assert client.get_secret_value(SecretId=name)["SecretString"] == "one"


def test_a_lost_answer_is_of_an_operation_that_took_place(server: SecretsManagerServer, client: Any, name: str) -> None:
    server.seed({name: "one"})
    server.fault("lost", operation="PutSecretValue", count=1)
    token = str(uuid.uuid4())
    put = {"SecretId": name, "SecretString": "two", "ClientRequestToken": token}
    assert code_of(lambda: client.put_secret_value(**put)) == "InternalServiceError"
    assert client.get_secret_value(SecretId=name)["SecretString"] == "two"
    assert code_of(lambda: client.put_secret_value(**put)) == "ok"


def test_listings_lag(server: SecretsManagerServer, client: Any, name: str) -> None:
    def rows() -> dict[str, Any]:
        answer = client.list_secrets(Filters=[{"Key": "name", "Values": [name]}])
        return {row["Name"]: row["SecretVersionsToStages"] for row in answer["SecretList"]}

    server.seed({f"{name}/a": "one"})
    created = time.time()
    before = rows()
    while time.time() < created + 0.3:
        time.sleep(0.01)
    server.seed({f"{name}/a": "two", f"{name}/b": "b"})
    changed = time.time()
    server.set_list_lag(changed - created - 0.01)
    while time.time() < changed + 0.02:
        time.sleep(0.01)
    assert rows() == before
    server.set_list_lag(0)
    assert set(rows()) == {f"{name}/a", f"{name}/b"}


def test_a_bad_request_to_the_control_api_says_why(server: SecretsManagerServer) -> None:
    with pytest.raises(RuntimeError, match="kind must be one of"):
        server.fault("meteor")


def test_stopped_and_back(mode: Literal["strict", "fast"], name: str) -> None:
    with SecretsManagerServer(mode) as server:
        client, endpoint = server.client(), server.endpoint
        server.seed({name: "one", f"{name}/deleted": "x"})
        server.seed({name: "two"})
        client.delete_secret(SecretId=f"{name}/deleted")
        before = client.describe_secret(SecretId=name)

        server.stop()
        with pytest.raises(EndpointConnectionError):
            client.get_secret_value(SecretId=name)
        server.start()

        assert server.endpoint == endpoint
        after = client.describe_secret(SecretId=name)
        for key in ("ARN", "VersionIdsToStages", "LastChangedDate", "CreatedDate"):
            assert after[key] == before[key]
        assert client.get_secret_value(SecretId=name, VersionStage="AWSPREVIOUS")["SecretString"] == "one"
        assert "DeletedDate" in client.describe_secret(SecretId=f"{name}/deleted")


def test_a_moved_label_is_announced(strict_server: SecretsManagerServer, strict_client: Any, name: str) -> None:
    """The native event goes to the default bus; a rule sends it to a queue."""
    events, sqs = strict_server.client("events"), strict_server.client("sqs")
    queue = sqs.create_queue(QueueName=uuid.uuid4().hex)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {
        "source": ["aws.secretsmanager"],
        "detail-type": ["Secret Label Updated"],
        "detail": {"labelUpdated": ["AWSCURRENT"], "name": [{"prefix": name}]},
    }
    events.put_rule(Name="labels", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="labels", Targets=[{"Id": "queue", "Arn": arn}])

    strict_client.create_secret(Name=name, SecretString="one")
    staged = strict_client.put_secret_value(SecretId=name, SecretString="two", VersionStages=["AWSPENDING"])
    version = strict_client.put_secret_value(SecretId=name, SecretString="three")

    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    details = [json.loads(message["Body"])["detail"] for message in messages]
    assert {"name": name, "labelUpdated": "AWSCURRENT", "versionId": version["VersionId"]} in details
    assert len(details) == 2
    assert staged["VersionId"] not in [detail["versionId"] for detail in details]


def test_another_region_has_other_secrets(strict_server: SecretsManagerServer, name: str) -> None:
    strict_server.seed({name: "one"})
    elsewhere = strict_server.client(region_name="eu-central-1")
    assert code_of(lambda: elsewhere.get_secret_value(SecretId=name)) == "ResourceNotFoundException"


def test_changes_can_be_spread_over_the_past(name: str) -> None:
    names = [f"{name}/{number}" for number in range(4)]
    with SecretsManagerServer(mode="fast") as server:
        server.seed(dict.fromkeys(names, "one"))
        client = server.client()
        before = [client.describe_secret(SecretId=each) for each in names]
        server.spread(3600)
        after = [client.describe_secret(SecretId=each) for each in names]
    for date in ("CreatedDate", "LastChangedDate"):
        earlier = [(old[date] - new[date]).total_seconds() for old, new in zip(before, after, strict=True)]
        assert sorted(earlier) == pytest.approx([900, 1800, 2700, 3600], abs=1)
