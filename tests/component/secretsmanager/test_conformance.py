"""What Secrets Manager documents (or was seen to do), and the stand-ins therefore do."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dev.secretsmanager import SecretsManagerServer

Labels = dict[str, list[str]]


def new_id() -> str:
    return str(uuid.uuid4())


def create(client: Any, name: str, value: str = "one") -> str:
    version_id: str = client.create_secret(Name=name, SecretString=value, ClientRequestToken=new_id())["VersionId"]
    return version_id


def put(client: Any, name: str, value: str, labels: Sequence[str] | None = None) -> str:
    stages = {} if labels is None else {"VersionStages": labels}
    answer = client.put_secret_value(SecretId=name, SecretString=value, ClientRequestToken=new_id(), **stages)
    version_id: str = answer["VersionId"]
    return version_id


def stages(client: Any, name: str) -> Labels:
    described: Labels = client.describe_secret(SecretId=name)["VersionIdsToStages"]
    return described


def current(client: Any, name: str) -> str:
    value: str = client.get_secret_value(SecretId=name)["SecretString"]
    return value


class Refused:
    """The call inside is answered with this code, and with HTTP status 400 as every client error."""

    def __init__(self, code: str, match: str | None = None) -> None:
        self._raises = pytest.raises(ClientError, match=match)
        self._code = code

    def __enter__(self) -> None:
        self._error = self._raises.__enter__()

    def __exit__(self, *exc_info: Any) -> bool:
        if not self._raises.__exit__(*exc_info):
            return False
        response = self._error.value.response
        assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (self._code, 400)
        return True


class TestLabels:
    def test_a_put_moves_current_and_previous(self, client: Any, name: str) -> None:
        first = create(client, name)
        second = put(client, name, "two")
        assert stages(client, name) == {second: ["AWSCURRENT"], first: ["AWSPREVIOUS"]}
        third = put(client, name, "three")
        assert stages(client, name) == {third: ["AWSCURRENT"], second: ["AWSPREVIOUS"]}

    def test_after_a_swap_every_read_shows_the_new_version(self, client: Any, name: str) -> None:
        first = create(client, name)
        second = put(client, name, "two", ["STAGED"])
        assert current(client, name) == "one"

        client.update_secret_version_stage(
            SecretId=name, VersionStage="AWSCURRENT", RemoveFromVersionId=first, MoveToVersionId=second
        )

        assert current(client, name) == "two"
        (row,) = client.batch_get_secret_value(SecretIdList=[name])["SecretValues"]
        assert (row["SecretString"], row["VersionStages"]) == ("two", ["AWSCURRENT", "STAGED"])
        assert stages(client, name) == {second: ["AWSCURRENT", "STAGED"], first: ["AWSPREVIOUS"]}

    def test_a_swap_from_the_wrong_version_changes_nothing(self, client: Any, name: str) -> None:
        first = create(client, name)
        second = put(client, name, "two")
        third = put(client, name, "three", ["STAGED"])
        before = stages(client, name)
        for wrong in (first, third, new_id()):
            with Refused("InvalidParameterException"):
                client.update_secret_version_stage(
                    SecretId=name, VersionStage="AWSCURRENT", RemoveFromVersionId=wrong, MoveToVersionId=third
                )
        assert stages(client, name) == before
        assert second in before

    def test_a_swap_to_an_unknown_version_changes_nothing(self, client: Any, name: str) -> None:
        first = create(client, name)
        with Refused("ResourceNotFoundException"):
            client.update_secret_version_stage(
                SecretId=name, VersionStage="AWSCURRENT", RemoveFromVersionId=first, MoveToVersionId=new_id()
            )
        assert stages(client, name) == {first: ["AWSCURRENT"]}
        assert current(client, name) == "one"

    @pytest.mark.parametrize("label", ["AWSCURRENT", "CUSTOM"])
    def test_a_label_that_is_attached_is_not_moved_blindly(self, client: Any, name: str, label: str) -> None:
        first = create(client, name)
        put(client, name, "two", [label])
        before = stages(client, name)
        with Refused("InvalidParameterException", match="RemoveFromVersionId can't be empty"):
            client.update_secret_version_stage(SecretId=name, VersionStage=label, MoveToVersionId=first)
        assert stages(client, name) == before

    def test_a_label_from_where_it_is_not(self, client: Any, name: str) -> None:
        first = create(client, name)
        second = put(client, name, "two", ["OTHER"])
        with Refused("InvalidParameterException"):
            client.update_secret_version_stage(
                SecretId=name, VersionStage="CUSTOM", RemoveFromVersionId=first, MoveToVersionId=second
            )
        assert stages(client, name) == {first: ["AWSCURRENT"], second: ["OTHER"]}

    def test_current_cannot_be_removed(self, client: Any, name: str) -> None:
        first = create(client, name)
        with Refused("InvalidParameterException"):
            client.update_secret_version_stage(SecretId=name, VersionStage="AWSCURRENT", RemoveFromVersionId=first)
        assert stages(client, name) == {first: ["AWSCURRENT"]}

    def test_a_custom_label_stays_while_current_moves_on(self, client: Any, name: str) -> None:
        first = create(client, name)
        client.update_secret_version_stage(SecretId=name, VersionStage="CUSTOM", MoveToVersionId=first)
        second = put(client, name, "two")
        assert stages(client, name) == {second: ["AWSCURRENT"], first: ["AWSPREVIOUS", "CUSTOM"]}
        third = put(client, name, "three")
        assert stages(client, name) == {third: ["AWSCURRENT"], second: ["AWSPREVIOUS"], first: ["CUSTOM"]}

    def test_a_put_takes_custom_labels_from_wherever_they_are(self, client: Any, name: str) -> None:
        first = create(client, name)
        put(client, name, "two", ["A", "B"])
        third = put(client, name, "three", ["B", "A"])
        assert stages(client, name) == {first: ["AWSCURRENT"], third: ["A", "B"]}

    def test_versions_without_labels_are_hidden_but_readable(self, client: Any, name: str) -> None:
        first = create(client, name)
        second = put(client, name, "two", ["A"])
        client.update_secret_version_stage(SecretId=name, VersionStage="A", RemoveFromVersionId=second)

        assert set(stages(client, name)) == {first}
        assert [row["VersionId"] for row in client.list_secret_version_ids(SecretId=name)["Versions"]] == [first]
        every = client.list_secret_version_ids(SecretId=name, IncludeDeprecated=True)["Versions"]
        assert {row["VersionId"]: row["VersionStages"] for row in every} == {first: ["AWSCURRENT"], second: []}
        assert client.get_secret_value(SecretId=name, VersionId=second)["SecretString"] == "two"

    def test_twenty_labels_and_no_more(self, client: Any, name: str) -> None:
        create(client, name)
        put(client, name, "two", [f"L{i}" for i in range(19)])
        with Refused("LimitExceededException"):
            put(client, name, "three", ["ONE-TOO-MANY"])


class TestReading:
    def test_by_version_and_label(self, client: Any, name: str) -> None:
        first = create(client, name)
        second = put(client, name, "two")
        read = client.get_secret_value
        assert read(SecretId=name, VersionStage="AWSPREVIOUS")["SecretString"] == "one"
        assert read(SecretId=name, VersionId=first)["SecretString"] == "one"
        assert read(SecretId=name, VersionId=second, VersionStage="AWSCURRENT")["SecretString"] == "two"
        with Refused("InvalidRequestException", match="not associated"):
            read(SecretId=name, VersionId=first, VersionStage="AWSCURRENT")
        with Refused("ResourceNotFoundException", match="staging label: NONE"):
            read(SecretId=name, VersionStage="NONE")
        with Refused("ResourceNotFoundException", match="VersionId"):
            read(SecretId=name, VersionId=new_id())

    def test_by_full_arn(self, client: Any, name: str) -> None:
        create(client, name)
        arn = client.describe_secret(SecretId=name)["ARN"]
        assert arn.rpartition("-")[0].endswith(f":secret:{name}")
        assert current(client, arn) == "one"

    def test_absent(self, client: Any, name: str) -> None:
        for call in (client.get_secret_value, client.describe_secret, client.list_secret_version_ids):
            with Refused("ResourceNotFoundException", match="can't find the specified secret"):
                call(SecretId=name)
        with Refused("ResourceNotFoundException"):
            put(client, name, "one")

    def test_without_a_value(self, client: Any, name: str) -> None:
        client.create_secret(Name=name)
        with Refused("ResourceNotFoundException", match="AWSCURRENT"):
            client.get_secret_value(SecretId=name)
        answer = client.batch_get_secret_value(SecretIdList=[name])
        assert [row["ErrorCode"] for row in answer["Errors"]] == ["ResourceNotFoundException"]
        first = put(client, name, "one", ["CUSTOM"])
        assert stages(client, name) == {first: ["AWSCURRENT", "CUSTOM"]}

    def test_binary(self, client: Any, name: str) -> None:
        client.create_secret(Name=name, SecretBinary=b"\x00\xff")
        answer = client.get_secret_value(SecretId=name)
        assert answer["SecretBinary"] == b"\x00\xff"
        assert "SecretString" not in answer

    def test_a_batch_answers_each_secret(self, client: Any, name: str) -> None:
        create(client, f"{name}/a")
        create(client, f"{name}/gone")
        client.delete_secret(SecretId=f"{name}/gone")
        answer = client.batch_get_secret_value(SecretIdList=[f"{name}/a", f"{name}/gone", f"{name}/none"])
        assert [row["Name"] for row in answer["SecretValues"]] == [f"{name}/a"]
        assert {row["SecretId"]: row["ErrorCode"] for row in answer["Errors"]} == {
            f"{name}/gone": "InvalidRequestException",
            f"{name}/none": "ResourceNotFoundException",
        }

    def test_limits_of_a_batch(self, client: Any, name: str) -> None:
        create(client, name)
        assert len(client.batch_get_secret_value(SecretIdList=[name] * 20)["SecretValues"]) == 20
        with Refused("ValidationException"):
            client.batch_get_secret_value(SecretIdList=[name] * 21)
        with Refused("InvalidParameterException"):
            client.batch_get_secret_value()
        with Refused("InvalidParameterException"):
            client.batch_get_secret_value(SecretIdList=[name], MaxResults=5)


class TestWriting:
    def test_a_token_becomes_the_version_id(self, client: Any, name: str) -> None:
        token = "tolstoy-" + "x" * 24
        assert client.create_secret(Name=name, SecretString="one", ClientRequestToken=token)["VersionId"] == token

    def test_a_token_again_with_the_same_value_is_ignored(self, client: Any, name: str) -> None:
        first, token = create(client, name), new_id()
        for _ in range(2):
            client.put_secret_value(SecretId=name, SecretString="two", ClientRequestToken=token)
        third = put(client, name, "three")
        client.put_secret_value(SecretId=name, SecretString="two", ClientRequestToken=token)
        assert stages(client, name) == {third: ["AWSCURRENT"], token: ["AWSPREVIOUS"]}
        assert first not in stages(client, name)

    def test_a_token_again_with_another_value_is_refused(self, client: Any, name: str) -> None:
        token = create(client, name)
        with Refused("ResourceExistsException"):
            client.put_secret_value(SecretId=name, SecretString="two", ClientRequestToken=token)
        with Refused("ResourceExistsException"):
            client.create_secret(Name=name, SecretString="two", ClientRequestToken=token)
        with Refused("ResourceExistsException"):
            create(client, name)
        assert current(client, name) == "one"

    def test_creating_again_with_the_same_token_and_value(self, client: Any, name: str) -> None:
        token = create(client, name)
        again = client.create_secret(Name=name, SecretString="one", ClientRequestToken=token)
        assert again["VersionId"] == token

    @pytest.mark.parametrize("length", [31, 65])
    def test_the_length_of_a_token(self, server: SecretsManagerServer, client: Any, name: str, length: int) -> None:
        create(client, name)
        unchecked = server.client(parameter_validation=False)  # the client knows the lower limit itself
        with Refused("InvalidParameterException"):
            unchecked.put_secret_value(SecretId=name, SecretString="two", ClientRequestToken="x" * length)

    def test_the_size_of_a_value(self, client: Any, name: str) -> None:
        create(client, name, "x" * 65_536)
        put(client, name, "é" * 32_768)
        for value in ("x" * 65_537, "é" * 32_769):
            with Refused("ValidationException"):
                put(client, name, value)
            with Refused("ValidationException"):
                create(client, f"{name}/b", value)

    @pytest.mark.parametrize("bad", ["with space", "ümlaut", "a:b", "x" * 513])
    def test_names(self, client: Any, bad: str) -> None:
        with Refused("ValidationException"):
            create(client, bad)

    def test_a_hundred_versions_a_day(self, client: Any, name: str) -> None:
        create(client, name)
        for i in range(99):
            put(client, name, str(i))
        with Refused("LimitExceededException"):
            put(client, name, "one too many")

    def test_updating_never_takes_a_token_twice(self, strict_client: Any, name: str) -> None:
        token = create(strict_client, name)
        with Refused("ResourceExistsException"):
            strict_client.update_secret(SecretId=name, SecretString="one", ClientRequestToken=token)
        strict_client.update_secret(SecretId=name, SecretString="two", ClientRequestToken=new_id())
        assert current(strict_client, name) == "two"


class TestDeletion:
    def test_a_marked_secret_is_locked(self, client: Any, name: str) -> None:
        first = create(client, name)
        client.delete_secret(SecretId=name)
        marked = "marked for deletion"
        with Refused("InvalidRequestException", match=marked):
            client.get_secret_value(SecretId=name)
        with Refused("InvalidRequestException", match=marked):
            put(client, name, "two")
        with Refused("InvalidRequestException", match=marked):
            client.update_secret_version_stage(SecretId=name, VersionStage="A", MoveToVersionId=first)
        with Refused("InvalidRequestException", match="scheduled for deletion"):
            create(client, name)
        assert client.describe_secret(SecretId=name)["DeletedDate"] is not None

    def test_restoring_brings_the_versions_back(self, client: Any, name: str) -> None:
        first = create(client, name)
        second = put(client, name, "two")
        client.delete_secret(SecretId=name)
        client.restore_secret(SecretId=name)
        assert current(client, name) == "two"
        assert stages(client, name) == {second: ["AWSCURRENT"], first: ["AWSPREVIOUS"]}

    def test_deleted_at_once_and_created_anew_has_another_arn(self, client: Any, name: str) -> None:
        create(client, name)
        before = client.describe_secret(SecretId=name)["ARN"]
        client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
        with Refused("ResourceNotFoundException"):
            client.describe_secret(SecretId=name)
        create(client, name)
        assert client.describe_secret(SecretId=name)["ARN"] != before


class TestListing:
    def listed(self, client: Any, name: str, **arguments: Any) -> list[str]:
        answer = client.list_secrets(Filters=[{"Key": "name", "Values": [name]}], **arguments)
        return [row["Name"].removeprefix(f"{name}/") for row in answer["SecretList"]]

    def make(self, client: Any, name: str, *ends: str) -> None:
        for end in ends:
            create(client, f"{name}/{end}")
            time.sleep(0.002)  # dates have milliseconds

    def test_orders(self, client: Any, name: str) -> None:
        self.make(client, name, "b", "c", "a")
        put(client, f"{name}/b", "two")
        assert self.listed(client, name) == ["a", "c", "b"]
        assert self.listed(client, name, SortOrder="asc") == ["b", "c", "a"]
        assert self.listed(client, name, SortBy="name", SortOrder="asc") == ["a", "b", "c"]
        assert self.listed(client, name, SortBy="last-changed-date") == ["b", "a", "c"]
        assert self.listed(client, name, SortBy="last-changed-date", SortOrder="asc") == ["c", "a", "b"]

    def test_a_moved_label_and_a_deletion_are_changes(self, client: Any, name: str) -> None:
        self.make(client, name, "a", "b", "c")
        version = client.describe_secret(SecretId=f"{name}/a")["VersionIdsToStages"]
        client.update_secret_version_stage(
            SecretId=f"{name}/a", VersionStage="CUSTOM", MoveToVersionId=next(iter(version))
        )
        assert self.listed(client, name, SortBy="last-changed-date") == ["a", "c", "b"]
        time.sleep(0.002)
        client.delete_secret(SecretId=f"{name}/b")
        every = {"SortBy": "last-changed-date", "IncludePlannedDeletion": True}
        assert self.listed(client, name, **every) == ["b", "a", "c"]
        assert self.listed(client, name, SortBy="last-changed-date") == ["a", "c"]

    def test_a_tag_is_a_change(self, strict_client: Any, name: str) -> None:
        self.make(strict_client, name, "a", "b")
        strict_client.tag_resource(SecretId=f"{name}/a", Tags=[{"Key": "k", "Value": "v"}])
        assert self.listed(strict_client, name, SortBy="last-changed-date") == ["a", "b"]

    def test_rows_show_labelled_versions(self, client: Any, name: str) -> None:
        first = create(client, name)
        second = put(client, name, "two", ["A"])
        put(client, name, "three", ["A"])
        (row,) = client.list_secrets(Filters=[{"Key": "name", "Values": [name]}])["SecretList"]
        assert row["SecretVersionsToStages"][first] == ["AWSCURRENT"]
        assert second not in row["SecretVersionsToStages"]

    def test_pages(self, client: Any, name: str) -> None:
        self.make(client, name, *(f"{i:02}" for i in range(12)))
        seen: list[str] = []
        page: dict[str, Any] = {"MaxResults": 5}
        while True:
            answer = client.list_secrets(Filters=[{"Key": "name", "Values": [name]}], SortBy="name", **page)
            seen += [row["Name"].removeprefix(f"{name}/") for row in answer["SecretList"]]
            if "NextToken" not in answer:
                break
            page["NextToken"] = answer["NextToken"]
        assert seen == sorted((f"{i:02}" for i in range(12)), reverse=True)

    def test_limits(self, client: Any) -> None:
        client.list_secrets(MaxResults=100)
        with Refused("ValidationException"):
            client.list_secrets(MaxResults=101)
        with Refused("InvalidNextTokenException"):
            client.list_secrets(NextToken="stale")

    def test_the_name_filter_is_a_prefix_and_case_counts(self, client: Any, name: str) -> None:
        create(client, f"{name}/Abc")
        assert self.listed(client, f"{name}/A") != []
        assert self.listed(client, f"{name}/a") == []
        assert self.listed(client, f"{name}/bc") == []
