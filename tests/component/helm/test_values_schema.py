"""values.schema.json accepts what the chart ships, knows every value, and refuses nonsense."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.support.chartfiles import EXAMPLES, default_values, nested, values_schema, with_overrides
from tolstoy_operator.domain.endpointpolicy import EndpointPolicy

BASE = with_overrides(default_values(), {"store": {"region": "eu-west-1"}})
VALIDATOR = jsonschema.Draft7Validator(values_schema())

NONSENSE: list[tuple[str, object]] = [
    ("replicas", 0),
    ("replicas", "two"),
    ("replicsa", 2),
    ("image.digest", "sha256:abc"),
    ("image.pullPolicy", "Sometimes"),
    ("imagePullSecrets", ["registry"]),
    ("fullnameOverride", "Has Spaces"),
    ("store.kind", "Vault"),
    ("store.region", ""),
    ("store.region", "Ireland"),
    ("store.sqlite.path", "secrets.db"),
    ("store.sqlite.path", "/secrets.db"),
    ("store.sqlite.persistence.size", "0"),
    ("store.sqlite.persistence.accessMode", "ReadWriteMany"),
    ("cache.durationMs", -1),
    ("cache.durationMs", 0.5),
    ("sync.workers", 0),
    ("sync.sweepIntervalSeconds", 0),
    ("sync.resyncIntervalSeconds", "10m"),
    ("refresh.clusterId", "a b"),
    ("refresh.tokenEndpointHosts", ["https://example.com/token"]),
    ("refresh.tokenEndpointHosts", ["a.example.com,b.example.com"]),
    ("refresh.tokenEndpointHosts", ["a.*.example.com"]),
    ("refresh.tokenEndpointOrigins", ["http://127.0.0.1:9000/token"]),
    ("tenancy.unbindGraceSeconds", 9_999_999),
    ("propagation.immediate", "always"),
    ("restarts.enabled", "always"),
    ("store.writesPerSecond", 51),
    ("propagation.podsPerSecond", 0),
    ("leaderElection", "yes"),
    ("logLevel", "TRACE"),
    ("http.port", 80),
    ("http.port", 70_000),
    ("metrics.serviceMonitor.interval", "often"),
    ("serviceAccount.awsRoleArn", "arn:aws:iam::12:role/x"),
    ("serviceAccount.annotations", {"a": 1}),
    ("crds.install", "true"),
    ("crds.keep", False),
    ("networkPolicy.egressPorts", []),
    ("podDisruptionBudget.maxUnavailable", 0),
    ("resources.limits", {"memory": "much"}),
    ("resources.requests", {"cpu": None}),
    ("extraEnv", {"A": "b"}),
    ("extraEnv", [{"value": "b"}]),
    ("nodeSelector", {"a": True}),
]


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(values_schema())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_accepted(example: Path) -> None:
    VALIDATOR.validate(with_overrides(default_values(), yaml.safe_load(example.read_text())))


@pytest.mark.parametrize(("path", "value"), NONSENSE, ids=str)
def test_nonsense_is_refused_at_its_place(path: str, value: object) -> None:
    errors = list(VALIDATOR.iter_errors(with_overrides(BASE, nested(path, value))))
    assert errors
    for error in errors:
        where = ".".join(map(str, error.absolute_path))
        assert where.startswith(path) or where == path.rpartition(".")[0], f"the message is about {where}"


def test_hosts_of_token_endpoints_are_what_the_setting_takes() -> None:
    hosts = ["login.example.com", "*.example.com", "idp.example.com:8443"]
    EndpointPolicy(hosts=tuple(hosts))
    VALIDATOR.validate(with_overrides(BASE, nested("refresh.tokenEndpointHosts", hosts)))


@pytest.mark.parametrize("only_one", [{"store": {"kind": "SQLite"}}, {"leaderElection": False}], ids=str)
def test_one_replica_where_two_would_do_harm(only_one: Mapping[str, Any]) -> None:
    assert not VALIDATOR.is_valid(with_overrides(BASE, {**only_one, "replicas": 2}))
    assert VALIDATOR.is_valid(with_overrides(BASE, {**only_one, "replicas": 1}))


def test_pods_are_patched_only_under_a_policy() -> None:
    without = {"admissionPolicies": {"enabled": False}}
    assert not VALIDATOR.is_valid(with_overrides(BASE, without))
    pods, workloads = {"propagation": {"immediate": False}}, {"restarts": {"enabled": False}}
    assert not VALIDATOR.is_valid(with_overrides(BASE, {**without, **pods}))
    assert not VALIDATOR.is_valid(with_overrides(BASE, {**without, **workloads}))
    assert VALIDATOR.is_valid(with_overrides(BASE, {**without, **pods, **workloads}))


@pytest.mark.parametrize("alone", [{"exclusive": True}, {"soleWriter": True, "clusterId": "a"}], ids=str)
def test_a_mode_of_refresh_that_lacks_what_it_stands_on(alone: Mapping[str, Any]) -> None:
    assert not VALIDATOR.is_valid(with_overrides(BASE, {"refresh": alone}))
    whole = {"exclusive": True, "soleWriter": True, "clusterId": "a"}
    assert VALIDATOR.is_valid(with_overrides(BASE, {"refresh": whole}))


def test_some_namespaces_need_a_name_of_their_own_for_the_installation() -> None:
    assert not VALIDATOR.is_valid(with_overrides(BASE, {"watchNamespaces": ["shop"]}))
    assert VALIDATOR.is_valid(with_overrides(BASE, {"watchNamespaces": ["shop"], "refresh": {"clusterId": "shops"}}))


@pytest.mark.parametrize("names", [["Shop"], ["shop", "shop"], ["a,b"], "shop"], ids=str)
def test_namespaces_are_names(names: object) -> None:
    assert not VALIDATOR.is_valid(with_overrides(BASE, {"watchNamespaces": names, "refresh": {"clusterId": "shops"}}))


def test_sqlite_needs_no_region() -> None:
    assert VALIDATOR.is_valid(with_overrides(default_values(), {"store": {"kind": "SQLite"}, "replicas": 1}))


def test_values_and_schema_name_the_same_things() -> None:
    assert set(_value_paths(default_values(), values_schema())) == set(_schema_paths(values_schema())) - {"global"}


def test_every_object_of_ours_refuses_unknown_names() -> None:
    open_ones = [path for path, node in _schema_objects(values_schema()) if "additionalProperties" not in node]
    assert open_ones == ["affinity", "global"]


def _value_paths(values: Mapping[str, Any], schema: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        below = schema["properties"].get(name, {})
        yield prefix + name
        if isinstance(value, dict) and "properties" in below:
            yield from _value_paths(value, below, f"{prefix}{name}.")


def _schema_paths(schema: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, below in schema.get("properties", {}).items():
        yield prefix + name
        yield from _schema_paths(below, f"{prefix}{name}.")


def _schema_objects(schema: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    found: list[tuple[str, Mapping[str, Any]]] = []

    def walk(node: Mapping[str, Any], path: str) -> None:
        if node.get("type") == "object":
            found.append((path, node))
        for name, below in node.get("properties", {}).items():
            walk(below, f"{path}.{name}".removeprefix("."))

    walk(schema, "")
    return sorted(found, key=lambda item: item[0])
