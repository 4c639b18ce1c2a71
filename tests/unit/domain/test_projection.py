"""From documents to the data of a Secret."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.documents import documents, member_names
from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.api.v1 import CredentialType, Target
from tolstoy_operator.domain.documents import Document
from tolstoy_operator.domain.projection import MAX_DATA_BYTES, Projection, ProjectionProblem, project
from tolstoy_operator.domain.sensitivity import is_sensitive, is_sensitive_name

OAUTH = {
    "accessToken": "at",
    "refreshToken": "rt",
    "expiresAt": 1_790_000_000_000,
    "tokenType": "bearer",
    "clientId": "id",
    "clientSecret": "cs",
    "custom": {"a": 1},
}


def run(
    members: dict[str, Any],
    target: dict[str, Any] | None = None,
    *,
    kind: CredentialType = CredentialType.AUTO,
    granted: bool = False,
) -> Projection:
    return project(Document(members), kind, Target.model_validate(target or {}), sensitive_granted=granted)


def problem(members: dict[str, Any], target: dict[str, Any] | None = None, **options: Any) -> ProjectionProblem:
    with pytest.raises(ProjectionProblem) as caught:
        run(members, target, **options)
    assert caught.value.cause == str(caught.value)
    assert caught.value.cause.isprintable()
    return caught.value


def test_the_safe_members_go_unasked() -> None:
    projection = run(OAUTH)
    assert projection.data == {"accessToken": b"at", "expiresAt": b"1790000000000", "tokenType": b"bearer"}
    assert not projection.sensitive
    assert "at" not in repr(projection).replace("data", "").replace("Projection", "")


def test_a_grant_changes_no_default() -> None:
    assert run(OAUTH, granted=True) == run(OAUTH)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"apiKey": "k", "createdAt": "x"}, {"apiKey": b"k"}),
        ({"webhookSecret": "k", "x": 1}, {"webhookSecret": b"k"}),
        ({"clientId": "i", "clientSecret": "s"}, {"clientId": b"i"}),
        ({"DATABASE_URL": "a://b", "x": "y"}, {"DATABASE_URL": b"a://b"}),
        ({"DATABASE_URL": "a://b", "DIRECT_URL": "c://d"}, {"DATABASE_URL": b"a://b", "DIRECT_URL": b"c://d"}),
        ({"user": "ü", "n": 5, "e": "", "private_key": "p"}, {"user": "ü".encode(), "n": b"5", "e": b""}),
    ],
)
def test_defaults_of_each_type(members: dict[str, Any], expected: dict[str, bytes]) -> None:
    assert run(members).data == expected


def test_asked_keys_and_templates_together() -> None:
    target = {"keys": ["custom", "accessToken", "accessToken"], "template": {"H": "Bearer ${accessToken}"}}
    assert run(OAUTH, target).data == {"custom": b'{"a":1}', "accessToken": b"at", "H": b"Bearer at"}


def test_a_template_alone_brings_only_itself_and_an_empty_one_counts_as_none() -> None:
    assert run(OAUTH, {"template": {"H": "${accessToken|base64}"}}).data == {"H": b"YXQ="}
    assert run(OAUTH, {"template": {}}) == run(OAUTH)
    assert run(OAUTH, {"keys": [], "template": {"H": "x"}}).data == {"H": b"x"}


@pytest.mark.parametrize(
    "target",
    [
        {"keys": ["refreshToken"]},
        {"keys": ["clientSecret"]},
        {"keys": ["nested"]},
        {"template": {"x": "${refreshToken}"}},
        {"template": {"x": "${nested|base64}"}},
        {"keys": ["accessToken"], "template": {"a": "ok", "x": "$${a}${clientSecret|json}"}},
        {"keys": ["absent_refresh_token"]},
    ],
)
def test_sensitive_members_need_the_grant(target: dict[str, Any]) -> None:
    members = {**OAUTH, "nested": {"deep": [{"private_key": "pk"}]}, "absent_refresh_token": "x"}
    told = problem(members, target)
    assert told.reason is Reason.SENSITIVE_KEY_NOT_GRANTED
    assert run(members, target, granted=True).sensitive


def test_a_missing_grant_is_told_whether_or_not_the_member_exists() -> None:
    assert problem({"apiKey": "x"}, {"keys": ["refreshToken"]}).reason is Reason.SENSITIVE_KEY_NOT_GRANTED


@pytest.mark.parametrize(
    ("members", "target", "reason", "cause"),
    [
        (OAUTH, {"keys": []}, Reason.INVALID_SPEC, "empty"),
        (OAUTH, {"keys": ["a"], "template": {"a": "x"}}, Reason.INVALID_SPEC, 'key "a" is in both'),
        (OAUTH, {"type": "kubernetes.io/service-account-token"}, Reason.INVALID_SPEC, "right in the cluster"),
        (OAUTH, {"type": "helm.sh/release.v1"}, Reason.INVALID_SPEC, "right in the cluster"),
        (OAUTH, {"type": "bootstrap.kubernetes.io/token"}, Reason.INVALID_SPEC, "right in the cluster"),
        (OAUTH, {"keys": ["absent"]}, Reason.SECRET_MALFORMED, 'no member "absent"'),
        (OAUTH, {"template": {"k": "ab${absent}"}}, Reason.TEMPLATE_ERROR, 'template of key "k": the secret has no'),
        (OAUTH, {"template": {"k": "ab${"}}, Reason.TEMPLATE_ERROR, 'template of key "k": a reference'),
        (OAUTH, {"template": {"a b": "x"}}, Reason.INVALID_TARGET_KEY, "cannot be shown"),
        (OAUTH, {"template": {".": "x"}}, Reason.INVALID_TARGET_KEY, '"."'),
        (OAUTH, {"template": {"..data": "x"}}, Reason.INVALID_TARGET_KEY, '"..data"'),
        (OAUTH, {"template": {"": "x"}}, Reason.INVALID_TARGET_KEY, "cannot be shown"),
        (OAUTH, {"template": {"k" * 254: "x"}}, Reason.INVALID_TARGET_KEY, "cannot be shown"),
        (OAUTH, {"template": {"k\n": "x"}}, Reason.INVALID_TARGET_KEY, "cannot be shown"),
        ({"a b": "x"}, {"keys": ["a b"]}, Reason.INVALID_TARGET_KEY, "cannot be shown"),
        ({"a/b": "x", "c": "y"}, {}, Reason.INVALID_TARGET_KEY, '"a/b"'),
        ({"refreshToken": "x"}, {}, Reason.SECRET_MALFORMED, '"accessToken" is missing or empty'),
        ({"refreshToken": "x", "tokenType": "b"}, {}, Reason.SECRET_MALFORMED, '"accessToken" is missing or empty'),
        ({"accessToken": "", "a": 1}, {"keys": ["accessToken"]}, Reason.SECRET_MALFORMED, '"accessToken" is empty'),
        ({"private_key": "x"}, {}, Reason.INVALID_SPEC, "every member of the secret is sensitive"),
    ],
)
def test_problems_have_a_reason_and_a_cause(
    members: dict[str, Any], target: dict[str, Any], reason: Reason, cause: str
) -> None:
    told = problem(members, target)
    assert told.reason is reason
    assert cause in told.cause


def test_the_size_limit_is_that_of_the_api_server() -> None:
    filled = {"accessToken": "x" * 65_536}
    sixteen = {f"k{i}": "${accessToken}" for i in range(16)}
    assert sum(map(len, run(filled, {"template": sixteen}).data.values())) == MAX_DATA_BYTES
    assert problem(filled, {"template": {**sixteen, "k": "x"}}).reason is Reason.TARGET_TOO_LARGE
    assert problem(filled, {"keys": ["accessToken"], "template": sixteen}).reason is Reason.TARGET_TOO_LARGE
    assert problem({"accessToken": "é" * 30_000}, {"template": {"k": "${accessToken}" * 20}}).reason is (
        Reason.TARGET_TOO_LARGE
    )


def test_a_template_that_would_grow_without_end_takes_little_memory() -> None:
    hungry = {"template": {"k": "${accessToken|json}" * 1000}}
    tracemalloc.start()
    try:
        assert problem({"accessToken": "x" * 65_000}, hungry).reason is Reason.TARGET_TOO_LARGE
        assert tracemalloc.get_traced_memory()[1] < 10 * MAX_DATA_BYTES
    finally:
        tracemalloc.stop()


def test_an_empty_value_fits_when_the_room_is_used_up() -> None:
    sixteen = {f"k{i}": "${accessToken}" for i in range(16)}
    assert run({"accessToken": "x" * 65_536}, {"template": {**sixteen, "z": ""}}).data["z"] == b""


@pytest.mark.parametrize(
    ("secret_type", "template", "reason"),
    [
        ("kubernetes.io/tls", {"tls.crt": "c"}, Reason.INVALID_TARGET_KEY),
        ("kubernetes.io/tls", {"tls.crt": "c", "tls.key": ""}, Reason.INVALID_TARGET_KEY),
        ("kubernetes.io/tls", {"tls.crt": "c", "tls.key": "k"}, None),
        ("kubernetes.io/ssh-auth", {"x": "y"}, Reason.INVALID_TARGET_KEY),
        ("kubernetes.io/ssh-auth", {"ssh-privatekey": "y"}, None),
        ("kubernetes.io/basic-auth", {"x": "y"}, Reason.INVALID_TARGET_KEY),
        ("kubernetes.io/basic-auth", {"password": "y"}, None),
        ("kubernetes.io/dockerconfigjson", {"x": "{}"}, Reason.INVALID_TARGET_KEY),
        ("kubernetes.io/dockerconfigjson", {".dockerconfigjson": "nonsense"}, Reason.TEMPLATE_ERROR),
        ("kubernetes.io/dockerconfigjson", {".dockerconfigjson": '{"auths":{}}'}, None),
        ("kubernetes.io/dockercfg", {".dockercfg": "[]"}, Reason.TEMPLATE_ERROR),
        ("example.com/anything", {"x": "y"}, None),
    ],
)
def test_secret_types_get_the_keys_that_the_api_server_demands(
    secret_type: str, template: dict[str, str], reason: Reason | None
) -> None:
    target = {"type": secret_type, "template": template}
    if reason is None:
        assert set(run(OAUTH, target).data) == set(template)
    else:
        told = problem(OAUTH, target)
        assert told.reason is reason
        assert secret_type in told.cause


def test_a_mirrored_docker_config_must_be_json_too() -> None:
    target = {"type": "kubernetes.io/dockerconfigjson", "keys": [".dockerconfigjson"]}
    assert run({".dockerconfigjson": {"auths": {}}, "x": 1}, target).data == {".dockerconfigjson": b'{"auths":{}}'}
    assert problem({".dockerconfigjson": "[]"}, target).reason is Reason.SECRET_MALFORMED


def attempt(
    members: dict[str, Any], kind: CredentialType, target: Target, *, granted: bool
) -> Projection | ProjectionProblem:
    try:
        return project(Document(members), kind, target, sensitive_granted=granted)
    except ProjectionProblem as told:
        return told


def targets() -> st.SearchStrategy[Target]:
    templates = st.lists(
        st.one_of(
            st.text(max_size=6),
            st.builds("${{{}}}".format, member_names()),
            st.builds("${{{}|{}}}".format, member_names(), st.sampled_from(["base64", "json", "urlencode", "x"])),
        ),
        max_size=4,
    ).map("".join)
    return st.builds(
        Target,
        type=st.sampled_from(
            ["Opaque", "kubernetes.io/tls", "kubernetes.io/dockerconfigjson", "kubernetes.io/basic-auth"]
        ),
        keys=st.none() | st.lists(member_names(), max_size=4),
        template=st.none()
        | st.dictionaries(st.sampled_from(["a", "b", ".dockerconfigjson", "..", "accessToken"]), templates, max_size=3),
    )


@given(documents(), st.sampled_from(CredentialType), targets(), st.booleans())
def test_anything_becomes_data_that_kubernetes_takes_or_a_problem(
    members: dict[str, Any], kind: CredentialType, target: Target, granted: bool
) -> None:
    projection = attempt(members, kind, target, granted=granted)
    if isinstance(projection, ProjectionProblem):
        assert projection.cause.isprintable()
        return
    assert projection.data
    assert sum(map(len, projection.data.values())) <= MAX_DATA_BYTES
    assert granted or not projection.sensitive


def _marked(value: Any, *, sensitive: bool) -> Any:
    """The value with every text in it replaced by one that tells where it came from."""
    if isinstance(value, dict):
        return {name: _marked(inner, sensitive=sensitive or is_sensitive_name(name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [_marked(inner, sensitive=sensitive) for inner in value]
    return "S3NSITIVE" if sensitive else "plain"


@given(documents(), st.sampled_from(CredentialType), targets())
def test_no_sensitive_value_leaves_without_the_grant(
    members: dict[str, Any], kind: CredentialType, target: Target
) -> None:
    marked = _marked(members, sensitive=False)
    projection = attempt(marked, kind, target, granted=False)
    if isinstance(projection, ProjectionProblem):
        assert "S3NSITIVE" not in projection.cause
        return
    assert not [key for key in target.keys or () if is_sensitive(Document(marked), key)]
    for value in projection.data.values():
        assert b"S3NSITIVE" not in value
        assert b"UzNTRU5TSVRJVk" not in value, "nor in base64"


@given(documents(), st.sampled_from(CredentialType))
def test_a_grant_never_changes_the_defaults(members: dict[str, Any], kind: CredentialType) -> None:
    with_grant = attempt(members, kind, Target(), granted=True)
    if isinstance(with_grant, Projection):
        assert not with_grant.sensitive
        assert with_grant == attempt(members, kind, Target(), granted=False)
