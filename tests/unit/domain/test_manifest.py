"""The smallest write from any Secret to the wanted one; applying it leaves nothing to do."""

from __future__ import annotations

import base64
import copy
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.objects import secret_object
from tolstoy_operator.api import names
from tolstoy_operator.api.v1 import ToolCredentialSpec
from tolstoy_operator.domain.existing import existing_secret, fingerprint_with
from tolstoy_operator.domain.manifest import (
    DesiredSecret,
    Identity,
    desired_secret,
    is_merged,
    manifest,
    merge_manager,
    merged,
    rewrite,
)

FINGERPRINT = fingerprint_with(b"key")
OWNER = Identity("shop", "github", "uid-1")


def wanted(data: dict[str, bytes] | None = None, **target: Any) -> DesiredSecret:
    spec = ToolCredentialSpec.model_validate({"tool": "github", "orgId": "o", "target": target})
    return desired_secret(OWNER, spec, "github", data if data is not None else {"accessToken": b"t"}, "v1")


def stored(desired: DesiredSecret, version: int = 1) -> dict[str, Any]:
    """The created object as the API server would send it, with the fields that we own."""
    body = manifest(desired)
    body["metadata"] |= {"uid": "secret-uid-1", "resourceVersion": str(version)}
    fields: dict[str, Any] = {
        f"f:{part}": {f"f:{key}": {} for key in body["metadata"][part]} for part in ("labels", "annotations")
    }
    body["metadata"]["managedFields"] = [{"manager": names.FIELD_MANAGER, "fieldsV1": {"f:metadata": fields}}]
    return body


def patched(body: dict[str, Any], desired: DesiredSecret) -> dict[str, Any]:
    operations = rewrite(existing_secret(body, FINGERPRINT), desired, FINGERPRINT)
    result: dict[str, Any] = jsonpatch.JsonPatch(operations).apply(copy.deepcopy(body))
    return result


def test_what_was_created_needs_no_rewrite() -> None:
    desired = wanted()
    assert rewrite(existing_secret(stored(desired), FINGERPRINT), desired, FINGERPRINT) == []


def test_every_patch_tests_first_that_nothing_has_changed() -> None:
    operations = rewrite(existing_secret(stored(wanted(), version=7), FINGERPRINT), wanted({"x": b"y"}), FINGERPRINT)
    assert operations[0] == {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}


def test_keys_of_others_go() -> None:
    body = stored(wanted())
    body["data"]["extra"] = base64.b64encode(b"x").decode()
    assert patched(body, wanted())["data"] == manifest(wanted())["data"]


def test_labels_of_others_stay_and_ours_go_when_no_longer_wanted() -> None:
    body = stored(wanted(labels={"team": "a", "old": "x"}, annotations={"note": "n"}))
    body["metadata"]["labels"]["theirs"] = "y"
    labels = patched(body, wanted(labels={"team": "b"}))["metadata"]["labels"]
    assert labels == {"team": "b", "theirs": "y", names.MANAGED_LABEL: "true"}


def test_names_with_slashes_and_tildes_are_escaped() -> None:
    body = stored(wanted())
    result = patched(body, wanted(annotations={"example.com/a": "1"}))
    assert result["metadata"]["annotations"]["example.com/a"] == "1"


def test_a_secret_without_labels_and_annotations_gets_them() -> None:
    body = secret_object(data={"accessToken": "t"}, labels={})
    del body["metadata"]["labels"]
    result = patched(body, wanted())
    assert result["metadata"]["labels"] == dict(wanted().labels)
    assert result["metadata"]["annotations"] == dict(wanted().annotations)


@pytest.mark.parametrize("others", [[], [{"uid": "other", "kind": "X"}]])
def test_retain_takes_our_owner_reference_off_and_delete_puts_it_back(others: list[dict[str, str]]) -> None:
    body = stored(wanted())
    body["metadata"]["ownerReferences"] = [*others, *body["metadata"]["ownerReferences"]]
    retained = patched(body, wanted(deletionPolicy="Retain"))
    assert retained["metadata"]["ownerReferences"] == others
    if not others:
        del retained["metadata"]["ownerReferences"]
    again = patched(retained, wanted())
    assert [item["uid"] for item in again["metadata"]["ownerReferences"]] == [*(o["uid"] for o in others), "uid-1"]


def test_ownership_blocks_no_deletion() -> None:
    reference = manifest(wanted())["metadata"]["ownerReferences"][0]
    assert reference["controller"] is True
    assert "blockOwnerDeletion" not in reference


names_ = st.text("abc./-~", min_size=1, max_size=6)
maps = st.dictionaries(names_, st.text("xy", max_size=2), max_size=4)


@given(before=maps, after=maps, theirs=maps, old=st.dictionaries(names_, st.binary(max_size=3), max_size=3))
def test_after_any_patch_there_is_nothing_left_to_do(
    before: dict[str, str], after: dict[str, str], theirs: dict[str, str], old: dict[str, bytes]
) -> None:
    body = stored(wanted(old, labels=before, annotations=before))
    body["metadata"]["labels"] |= theirs
    desired = wanted(labels=after, annotations=after)
    result = patched(body, desired)
    assert rewrite(existing_secret(result, FINGERPRINT), desired, FINGERPRINT) == []


def test_merging_names_the_uid_so_that_it_never_creates() -> None:
    existing = existing_secret(secret_object(owner=None, labels={}), FINGERPRINT)
    body = merged(existing, {"k": b"v"})
    assert (body["metadata"]["uid"], body["metadata"]["resourceVersion"]) == (existing.uid, str(existing.version))
    assert "ownerReferences" not in body["metadata"]
    assert merged(existing, {})["metadata"].get("labels") is None


def test_what_is_merged_is_known_by_its_field_manager() -> None:
    body = secret_object(data={"k": "v", "theirs": "x"}, owner=None, labels={names.MANAGED_LABEL: "merged"})
    body["metadata"]["managedFields"] = [
        {"manager": merge_manager("uid-1"), "operation": "Apply", "fieldsV1": {"f:data": {".": {}, "f:k": {}}}},
        {"manager": merge_manager("uid-2"), "operation": "Update", "fieldsV1": {"f:data": {"f:theirs": {}}}},
    ]
    existing = existing_secret(body, FINGERPRINT)
    assert existing.merged_keys == {"uid-1": {"k"}}, "only what was applied can be released"
    assert is_merged(existing, "uid-1", {"k": b"v"}, FINGERPRINT)
    assert not is_merged(existing, "uid-1", {"k": b"other"}, FINGERPRINT)
    assert not is_merged(existing, "uid-1", {"k": b"v", "more": b""}, FINGERPRINT)
    assert not is_merged(existing, "uid-2", {"k": b"v"}, FINGERPRINT)


def test_data_that_is_no_base64_is_still_a_difference() -> None:
    body = stored(wanted())
    body["data"]["accessToken"] = "***"
    assert rewrite(existing_secret(body, FINGERPRINT), wanted(), FINGERPRINT)


def test_a_wanted_secret_does_not_print_its_values() -> None:
    assert "canary" not in repr(wanted({"accessToken": b"canary"}))
