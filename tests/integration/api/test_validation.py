"""Specs that the API server accepts and refuses, and what it tells the person about them.

Each refusal names the field and carries a sentence; the table holds a part of the sentence.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.api.conftest import Credentials, causes

pytestmark = pytest.mark.integration

Spec = dict[str, Any]
NAMED: Spec = {"tool": "github", "orgId": "org-abc123"}


def tool(name: object) -> Spec:
    return {**NAMED, "tool": name}


def org(name: object) -> Spec:
    return {**NAMED, "orgId": name}


def given(name: object) -> Spec:
    return {"secretName": name}


def target(**fields: object) -> Spec:
    return {**NAMED, "target": fields}


def label(key: str, value: str = "x") -> Spec:
    return target(labels={key: value})


def merge(**fields: object) -> Spec:
    return target(creationPolicy="Merge", **fields)


def restarts(*targets: tuple[str, str]) -> Spec:
    return {**NAMED, "restartTargets": [{"kind": kind, "name": name} for kind, name in targets]}


NUMBERED = [str(number) for number in range(500)]

ACCEPTED: dict[str, Spec] = {
    "tool and orgId": NAMED,
    "secretName": given("conductor-db-secret"),
    "a tool of one letter": tool("x"),
    "a tool of digits": tool("1password"),
    "a tool with hyphens": tool("google--drive"),
    "a tool of 63": tool("a" * 63),
    "an orgId that ends like an ARN": org("acme-a1B2c3"),
    "an orgId of every allowed character": org("aZ09_+=.@-"),
    "an orgId of dots": org(".."),
    "an orgId of 128": org("o" * 128),
    "a secretName with slashes": given("team/app/db"),
    "a secretName of every allowed character": given("aZ09_+=.@-/x"),
    "a secretName of 512": given("s" * 512),
    "every type": {**NAMED, "type": "ClientCredentials"},
    "suspended": {**NAMED, "suspend": True},
    "an empty target": target(),
    "a target with dots in its name": target(name="web.github.1"),
    "a target name of 253": target(name="n" * 253),
    "a registry login": target(type="kubernetes.io/dockerconfigjson", template={".dockerconfigjson": "{}"}),
    "a certificate, half mirrored and half made": target(
        type="kubernetes.io/tls", keys=["tls.crt"], template={"tls.key": "${key}"}
    ),
    "a login by password": target(type="kubernetes.io/basic-auth", keys=["password"]),
    "a built-in type that goes by the upstream members": target(type="kubernetes.io/ssh-auth"),
    "a type of somebody's own": target(type="example.com/thing"),
    "a label with a domain": label("team.example.com/part-of", "web"),
    "a recommended label": label("app.kubernetes.io/part-of"),
    "an empty label value": label("team", ""),
    "a label at its limits": label(f"{'d' * 253}/{'n' * 63}", "v" * 63),
    "a domain that only looks reserved": label("notk8s.io/x"),
    "a name that only looks reserved": label("tolstoy.dev"),
    "32 labels": target(labels={f"l{n}": "" for n in NUMBERED[:32]}),
    "an annotation of anything": target(annotations={"note": "any text: ä\n{}"}),
    "an annotation of 1024": target(annotations={"note": "ä" * 1024}),
    "keys": target(keys=["accessToken", "expires_at", ".dotted", "a.b-c_d"]),
    "200 keys": target(keys=NUMBERED[:200]),
    "a key of 253": target(keys=["k" * 253]),
    "a template": target(template={"GH_TOKEN": "${accessToken}", "config.json": '{"a":"${accessToken|base64}"}'}),
    "an empty text": target(template={"empty": ""}),
    "a text of 16384": target(template={"t": "t" * 16384}),
    "64 texts": target(template=dict.fromkeys(NUMBERED[:64], "x")),
    "keys beside a template": target(keys=["a"], template={"b": "${a}"}),
    "a Secret that stays": target(deletionPolicy="Retain"),
    "merging": merge(name="shared", keys=["accessToken"]),
    "a grant that ends": {**NAMED, "oauth": {"revocationPolicy": "Revoke"}},
    "propagation at once": target(propagation="Immediate"),
    "restart targets": restarts(("Deployment", "web"), ("StatefulSet", "web"), ("DaemonSet", "a.b-c")),
    "16 restart targets": restarts(*(("Deployment", f"web-{number}") for number in range(16))),
    "a lead": {**NAMED, "oauth": {"leadTime": "90s"}},
    "nothing about the grant": {**NAMED, "oauth": {}},
    "merging with empty labels": merge(labels={}, annotations={}),
}

SURE = "give tool together with orgId, or give secretName"
TOOL = "tool is made of lower-case letters"
ORG = "orgId is made of letters"
SECRET = "secretName is made of letters"
KEY = "a key of a Secret is made of letters"
META = "a key is a name of 63 letters"
RESERVED = "are reserved"
VALUE = "a label's value is made of letters"
NEEDED = "a Secret of this type needs its own keys"

REFUSED: dict[str, tuple[Spec, str, str]] = {
    "nothing": ({}, "spec", SURE),
    "a tool alone": ({"tool": "github"}, "spec", SURE),
    "an orgId alone": ({"orgId": "org-abc123"}, "spec", SURE),
    "all three": ({**NAMED, "secretName": "x"}, "spec", "give either tool and orgId, or secretName, not both"),
    "secretName and a tool": ({"tool": "x", "secretName": "x"}, "spec", "not both"),
    "secretName and an orgId": ({"orgId": "x", "secretName": "x"}, "spec", "not both"),
    "nulls": ({"tool": None, "orgId": None}, "spec", SURE),
    "an empty tool": (tool(""), "spec.tool", TOOL),
    "a tool in capitals": (tool("GitHub"), "spec.tool", TOOL),
    "a tool that begins with a hyphen": (tool("-github"), "spec.tool", TOOL),
    "a tool that ends with a hyphen": (tool("github-"), "spec.tool", TOOL),
    "a tool with a slash": (tool("a/b"), "spec.tool", TOOL),
    "a tool with a dot": (tool("a.b"), "spec.tool", TOOL),
    "a tool and a line break": (tool("github\n"), "spec.tool", TOOL),
    "a tool of 64": (tool("a" * 64), "spec.tool", "may not be more than 63"),
    "a tool that is a number": (tool(1), "spec.tool", "must be of type string"),
    "an empty orgId": (org(""), "spec.orgId", ORG),
    "an orgId with a slash": (org("a/b"), "spec.orgId", ORG),
    "an orgId with a colon": (org("a:b"), "spec.orgId", ORG),
    "an orgId with a comma": (org("org-a,org-b"), "spec.orgId", ORG),
    "an orgId with a space": (org("org abc"), "spec.orgId", ORG),
    "an orgId with an umlaut": (org("örg"), "spec.orgId", ORG),
    "an orgId with a wildcard": (org("*"), "spec.orgId", ORG),
    "an orgId of 129": (org("o" * 129), "spec.orgId", "may not be more than 128"),
    "an ARN": (
        given("arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-a1b2c3"),
        "spec.secretName",
        "secretName is the secret's name, not its ARN",
    ),
    "an empty secretName": (given(""), "spec.secretName", SECRET),
    "a secretName that begins with a slash": (given("/db"), "spec.secretName", SECRET),
    "a secretName that ends with a slash": (given("db/"), "spec.secretName", SECRET),
    "a secretName with an empty part": (given("a//b"), "spec.secretName", SECRET),
    "a secretName with a star": (given("db-*"), "spec.secretName", SECRET),
    "a secretName of 513": (given("s" * 513), "spec.secretName", "may not be more than 512"),
    "an unknown type": ({**NAMED, "type": "oauth2"}, "spec.type", 'supported values: "Auto", "OAuth2"'),
    "a revocation of what is no grant": ({"secretName": "db", "oauth": {}}, "spec", "does not go with secretName"),
    "an unknown revocation policy": (
        {**NAMED, "oauth": {"revocationPolicy": "Delete"}},
        "spec.oauth.revocationPolicy",
        'supported values: "Orphan", "Revoke"',
    ),
    "another propagation": (target(propagation="Never"), "spec.target.propagation", "Unsupported value"),
    "a restart of something else": (restarts(("Pod", "web")), "spec.restartTargets[0].kind", "Unsupported value"),
    "a restart of a name with a slash": (restarts(("Deployment", "../x")), "spec.restartTargets[0].name", "lower-case"),
    "a restart of an empty name": (restarts(("Deployment", "")), "spec.restartTargets[0].name", "lower-case"),
    "one restart twice": (restarts(*[("Deployment", "web")] * 2), "spec.restartTargets[1]", "Duplicate value"),
    "17 restart targets": (
        restarts(*(("Deployment", f"web-{number}") for number in range(17))),
        "spec.restartTargets",
        "Too many",
    ),
    "a lead without a unit": ({**NAMED, "oauth": {"leadTime": "300"}}, "spec.oauth.leadTime", "s, m or h"),
    "a lead of nothing": ({**NAMED, "oauth": {"leadTime": "0m"}}, "spec.oauth.leadTime", "s, m or h"),
    "a suspend that is text": ({**NAMED, "suspend": "yes"}, "spec.suspend", "must be of type boolean"),
    "an empty target name": (target(name=""), "spec.target.name", "name is a Secret's name"),
    "a target name in capitals": (target(name="Web"), "spec.target.name", "name is a Secret's name"),
    "a target name with an underscore": (target(name="a_b"), "spec.target.name", "name is a Secret's name"),
    "a target name with an empty part": (target(name="a..b"), "spec.target.name", "name is a Secret's name"),
    "a target name in another namespace": (target(name="ns/web"), "spec.target.name", "name is a Secret's name"),
    "a target name of 254": (target(name="n" * 254), "spec.target.name", "may not be more than 253"),
    "a service-account token": (
        target(type="kubernetes.io/service-account-token"),
        "spec.target.type",
        "give access to the cluster",
    ),
    "a bootstrap token": (target(type="bootstrap.kubernetes.io/token"), "spec.target.type", "give access to the clus"),
    "a Helm release": (target(type="helm.sh/release.v1"), "spec.target.type", "Helm's own records"),
    "an empty Secret type": (target(type=""), "spec.target.type", "type is a Secret type"),
    "a Secret type with a space": (target(type="a b"), "spec.target.type", "type is a Secret type"),
    "a Secret type of 254": (target(type="t" * 254), "spec.target.type", "may not be more than 253"),
    "a registry login without its key": (
        target(type="kubernetes.io/dockerconfigjson", keys=["config.json"]),
        "spec.target",
        NEEDED,
    ),
    "half a certificate": (target(type="kubernetes.io/tls", template={"tls.crt": "x"}), "spec.target", NEEDED),
    "an SSH key without its key": (target(type="kubernetes.io/ssh-auth", keys=["key"]), "spec.target", NEEDED),
    "an old registry login": (target(type="kubernetes.io/dockercfg", keys=["a"]), "spec.target", NEEDED),
    "a login without a user": (
        target(type="kubernetes.io/basic-auth", keys=["token"]),
        "spec.target",
        "needs the key username or password",
    ),
    "a label of ours": (label("tolstoy.dev/managed", "true"), "spec.target.labels", RESERVED),
    "a label below our domain": (label("x.tolstoy.dev/y"), "spec.target.labels", RESERVED),
    "a label of Kubernetes": (label("kubernetes.io/x"), "spec.target.labels", RESERVED),
    "a label below k8s.io": (label("applyset.k8s.io/part-of"), "spec.target.labels", RESERVED),
    "Helm's claim": (label("app.kubernetes.io/managed-by", "Helm"), "spec.target.labels", RESERVED),
    "an empty label key": (label(""), "spec.target.labels", META),
    "a label key with two slashes": (label("a/b/c"), "spec.target.labels", META),
    "a label key with an empty domain": (label("/a"), "spec.target.labels", META),
    "a label key with an empty name": (label("a/"), "spec.target.labels", META),
    "a label key in odd letters": (label("täg"), "spec.target.labels", META),
    "a label name of 64": (label("n" * 64), "spec.target.labels", META),
    "a label domain of 254": (label(f"{'d' * 254}/n"), "spec.target.labels", META),
    "a label domain in capitals": (label("Example.com/n"), "spec.target.labels", META),
    "a label value with a space": (label("a", "b c"), "spec.target.labels", VALUE),
    "a label value that ends with a dot": (label("a", "b."), "spec.target.labels", VALUE),
    "a label value of 64": (label("a", "v" * 64), "spec.target.labels.a", "may not be more than 63"),
    "33 labels": (target(labels={f"l{n}": "" for n in NUMBERED[:33]}), "spec.target.labels", "at most 32"),
    "an annotation of ours": (
        target(annotations={"tolstoy.dev/allow-merge": "x"}),
        "spec.target.annotations",
        RESERVED,
    ),
    "an annotation of kubectl": (
        target(annotations={"kubectl.kubernetes.io/last-applied-configuration": "{}"}),
        "spec.target.annotations",
        RESERVED,
    ),
    "an annotation with a bad key": (target(annotations={"a b": "x"}), "spec.target.annotations", META),
    "an annotation of 1025": (target(annotations={"a": "x" * 1025}), "spec.target.annotations.a", "more than 1024"),
    "33 annotations": (
        target(annotations={f"l{n}": "" for n in NUMBERED[:33]}),
        "spec.target.annotations",
        "at most 32",
    ),
    "no keys at all": (target(keys=[]), "spec.target.keys", "at least 1 items"),
    "a key twice": (target(keys=["a", "b", "a"]), "spec.target.keys[2]", "Duplicate value"),
    "201 keys": (target(keys=NUMBERED[:201]), "spec.target.keys", "must have at most 200 items"),
    "a key with a slash": (target(keys=["ok", "a/b"]), "spec.target.keys[1]", KEY),
    "a key that climbs": (target(keys=["..", "a"]), "spec.target.keys[0]", KEY),
    "a key that begins with two dots": (target(keys=["..data"]), "spec.target.keys[0]", KEY),
    "a key that is a dot": (target(keys=["."]), "spec.target.keys[0]", KEY),
    "an empty key": (target(keys=[""]), "spec.target.keys[0]", KEY),
    "a key of 254": (target(keys=["k" * 254]), "spec.target.keys[0]", "may not be more than 253"),
    "a key that is a number": (target(keys=[1]), "spec.target.keys[0]", "must be of type string"),
    "an empty template": (target(template={}), "spec.target.template", "at least 1 properties"),
    "a template key with a slash": (target(template={"a/b": "x"}), "spec.target.template", KEY),
    "a template key that climbs": (target(template={"..": "x"}), "spec.target.template", KEY),
    "a template key of 254": (target(template={"k" * 254: "x"}), "spec.target.template", KEY),
    "a text of 16385": (target(template={"t": "t" * 16385}), "spec.target.template.t", "more than 16384"),
    "65 texts": (target(template=dict.fromkeys(NUMBERED[:65], "x")), "spec.target.template", "at most 64"),
    "texts of 131073 together": (
        target(template={**dict.fromkeys(NUMBERED[:8], "t" * 16384), "one": "more"}),
        "spec.target.template",
        "longer than 131072 characters together",
    ),
    "a text that is a number": (target(template={"port": 5432}), "spec.target.template.port", "must be of type string"),
    "a key mirrored and made": (target(keys=["a"], template={"a": "x"}), "spec.target", "name it in one of them"),
    "an unknown creationPolicy": (target(creationPolicy="Orphan"), "spec.target.creationPolicy", "Unsupported value"),
    "an unknown deletionPolicy": (target(deletionPolicy="Keep"), "spec.target.deletionPolicy", "Unsupported value"),
    "merging and staying": (merge(deletionPolicy="Retain"), "spec.target", "leave out deletionPolicy Retain"),
    "merging labels": (merge(labels={"a": "b"}), "spec.target", "belong to the Secret's owner"),
    "merging annotations": (merge(annotations={"a": "b"}), "spec.target", "belong to the Secret's owner"),
    "merging a type": (merge(type="kubernetes.io/tls"), "spec.target", "the Secret keeps the type that it has"),
}


@pytest.mark.parametrize("what", ACCEPTED)
def test_accepted(credentials: Credentials, what: str) -> None:
    answer = credentials.create(ACCEPTED[what], dry_run=True)

    assert answer.ok, answer.message


@pytest.mark.parametrize("what", REFUSED)
def test_refused(credentials: Credentials, what: str) -> None:
    spec, field, sentence = REFUSED[what]

    answer = credentials.create(spec, dry_run=True)

    assert answer.status == 422, answer
    said = causes(answer)
    assert list(said) == [field], "this problem and no other"
    assert sentence in said[field]


@pytest.mark.parametrize("spec", [None, "text", []])
def test_a_spec_is_an_object(credentials: Credentials, spec: object) -> None:
    answer = credentials.create(spec, dry_run=True)

    assert answer.status == 422
    assert list(causes(answer)) == ["spec"]


def test_every_problem_is_told_at_once(credentials: Credentials) -> None:
    answer = credentials.create(
        {"tool": "GitHub", "orgId": "a/b", "target": {"name": "A", "keys": ["a b"]}}, dry_run=True
    )

    assert set(causes(answer)) == {"spec.tool", "spec.orgId", "spec.target.name", "spec.target.keys[0]"}


@pytest.mark.parametrize(
    "spec",
    [
        {**NAMED, "toolName": "x"},
        target(kys=["a"]),
        {**NAMED, "oauth": {"lead": "5m"}},
        {**NAMED, "restarts": []},
    ],
)
def test_unknown_fields_are_refused_to_those_who_ask_for_it(credentials: Credentials, spec: Spec) -> None:
    answer = credentials.create(spec, dry_run=True)

    assert answer.status == 400
    assert "unknown field" in answer.message


def test_unknown_fields_are_pruned_otherwise(credentials: Credentials) -> None:
    body = {
        "apiVersion": "tolstoy.dev/v1",
        "kind": "ToolCredential",
        "metadata": {"name": "pruned"},
        "spec": {**target(name="t", kys=["a"]), "extra": {"deep": 1}},
    }

    answer = credentials.api.post(f"{credentials.path}?fieldValidation=Ignore", body)

    assert answer.ok, answer.message
    assert answer.body["spec"].keys() == {"tool", "orgId", "type", "suspend", "target"}
    assert answer.body["spec"]["target"].keys() == {"name", "type", "creationPolicy", "deletionPolicy"}


@pytest.mark.parametrize("spec", [NAMED, target(), {**NAMED, "target": None}])
def test_defaults_are_written_out(credentials: Credentials, spec: Spec) -> None:
    answer = credentials.create(spec, dry_run=True)

    assert answer.body["spec"] == {
        **NAMED,
        "type": "Auto",
        "suspend": False,
        "target": {"type": "Opaque", "creationPolicy": "Owner", "deletionPolicy": "Delete"},
    }
