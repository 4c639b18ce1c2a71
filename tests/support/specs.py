"""What a legal `spec` is, said a second time in Python, and random specs around the border.

The restatement shares nothing with the CRD, so where the two and the API server agree on random specs, each is right
about the others. `problems` looks at a spec of the right types; types are the API server's everyday work.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hypothesis import strategies as st

Spec = dict[str, Any]

SECRETS_MANAGER = r"[A-Za-z0-9_+=.@-]"
LABEL_NAME = r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"
DNS_LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
DNS_NAME = rf"{DNS_LABEL}(\.{DNS_LABEL})*"
RESERVED_DOMAINS = ("tolstoy.dev", "kubernetes.io", "k8s.io")
TYPES = ["Auto", "OAuth2", "ApiKey", "Webhook", "ClientCredentials", "Database", "Opaque"]


def problems(spec: Spec) -> set[str]:
    """The paths of the fields that break a rule; empty for a legal spec."""
    return set(_spec_problems(spec))


def _spec_problems(spec: Spec) -> Iterator[str]:
    if not ({"tool", "orgId"} <= spec.keys()) ^ ("secretName" in spec):
        yield "spec"
    if "secretName" in spec and ("tool" in spec or "orgId" in spec):
        yield "spec"
    if "oauth" in spec and "tool" not in spec:
        yield "spec"
    yield from _checked(spec, "spec", _SPEC_FIELDS)
    yield from _checked(spec.get("oauth", {}), "spec.oauth", _OAUTH_FIELDS)
    target = spec.get("target", {})
    yield from _checked(target, "spec.target", _TARGET_FIELDS)
    if _cross_problem(target):
        yield "spec.target"


def _checked(values: Mapping[str, Any], path: str, checks: Mapping[str, Callable[[Any], bool]]) -> Iterator[str]:
    for name, legal in checks.items():
        if name in values and not legal(values[name]):
            yield f"{path}.{name}"


def _cross_problem(target: Mapping[str, Any]) -> bool:
    kind, keys, template = target.get("type", "Opaque"), set(target.get("keys", [])), set(target.get("template", {}))
    if keys & template:
        return True
    chosen = target.keys() & {"keys", "template"}
    if chosen and not any(needed <= keys | template for needed in _NEEDED_KEYS.get(kind, [set()])):
        return True
    foreign = bool(target.get("labels") or target.get("annotations") or kind != "Opaque")
    return target.get("creationPolicy") == "Merge" and (foreign or target.get("deletionPolicy") == "Retain")


_NEEDED_KEYS: Mapping[str, list[set[str]]] = {
    "kubernetes.io/tls": [{"tls.crt", "tls.key"}],
    "kubernetes.io/ssh-auth": [{"ssh-privatekey"}],
    "kubernetes.io/dockerconfigjson": [{".dockerconfigjson"}],
    "kubernetes.io/dockercfg": [{".dockercfg"}],
    "kubernetes.io/basic-auth": [{"username"}, {"password"}],
}
"""What a Secret of that type holds: one of these sets at least."""


def _full(expression: str, text: str, most: int) -> bool:
    return len(text) <= most and re.fullmatch(expression, text, re.ASCII) is not None


def _secret_type(text: str) -> bool:
    refused = {"kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"}
    shape = r"[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?"
    return _full(shape, text, 253) and text not in refused and not text.startswith("helm.sh/")


def _secret_key(text: str) -> bool:
    return _full(r"[A-Za-z0-9._-]+", text, 253) and text != "." and not text.startswith("..")


def _metadata_key(text: str) -> bool:
    domain, slash, name = text.rpartition("/")
    if slash and not _full(DNS_NAME, domain, 253):
        return False
    reserved = any(domain == owner or domain.endswith(f".{owner}") for owner in RESERVED_DOMAINS)
    opened = domain == "app.kubernetes.io" and name != "managed-by"
    return _full(LABEL_NAME, name, 63) and (opened or not reserved)


def _labels(labels: dict[str, str]) -> bool:
    fine = all(_metadata_key(key) and _full(rf"({LABEL_NAME})?", value, 63) for key, value in labels.items())
    return len(labels) <= 32 and fine


def _annotations(annotations: dict[str, str]) -> bool:
    return len(annotations) <= 32 and all(
        _metadata_key(key) and len(value) <= 1024 for key, value in annotations.items()
    )


def _keys(keys: list[str]) -> bool:
    return 1 <= len(keys) <= 200 and len(set(keys)) == len(keys) and all(map(_secret_key, keys))


def _template(template: dict[str, str]) -> bool:
    texts = [len(text) for text in template.values()]
    return 1 <= len(texts) <= 64 and max(texts) <= 16_384 and sum(texts) <= 131_072 and all(map(_secret_key, template))


_WORKLOAD_KINDS = ["Deployment", "StatefulSet", "DaemonSet"]


def _restart_targets(targets: list[dict[str, str]]) -> bool:
    places = [(target["kind"], target["name"]) for target in targets]
    legal = all(kind in _WORKLOAD_KINDS and _full(DNS_NAME, name, 253) for kind, name in places)
    return legal and len(places) <= 16 and len(set(places)) == len(places)


_SPEC_FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "tool": lambda text: _full(DNS_LABEL, text, 63),
    "orgId": lambda text: _full(rf"{SECRETS_MANAGER}+", text, 128),
    "secretName": lambda text: _full(rf"{SECRETS_MANAGER}+(/{SECRETS_MANAGER}+)*", text, 512),
    "type": TYPES.__contains__,
    "restartTargets": _restart_targets,
}
_OAUTH_FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "revocationPolicy": ["Orphan", "Revoke"].__contains__,
    "leadTime": lambda text: _full(r"[1-9][0-9]{0,3}[smh]", text, 5),
}
_TARGET_FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "name": lambda text: _full(DNS_NAME, text, 253),
    "type": _secret_type,
    "labels": _labels,
    "annotations": _annotations,
    "keys": _keys,
    "template": _template,
    "creationPolicy": ["Owner", "Merge"].__contains__,
    "deletionPolicy": ["Delete", "Retain"].__contains__,
    "propagation": ["Kubelet", "Immediate"].__contains__,
}

# --- random specs

_ODD = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_NEARLY = st.text("aZ0._-/=+@:, \n$äé\U0001f511", max_size=70)
_DOMAINS = st.sampled_from(
    ["", "", "", "example.com/", "app.kubernetes.io/", "app.kubernetes.io/", "x.tolstoy.dev/", "kubernetes.io/", "a//"]
)


def _mostly(usual: st.SearchStrategy[Any], rare: st.SearchStrategy[Any], times: int) -> st.SearchStrategy[Any]:
    """`times` out of `times` + 1 from `usual`."""
    return st.integers(0, times).flatmap(lambda number: usual if number else rare)


def _text(legal: str, *odd: str, times: int = 12) -> st.SearchStrategy[str]:
    """Mostly matches of `legal`; now and then one of `odd` or anything."""
    good = st.from_regex(re.compile(rf"\A(?:{legal})\Z", re.ASCII))
    return _mostly(good, st.one_of(st.sampled_from(odd), _NEARLY, _ODD), times)


_SECRET_KEYS = _text(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,8}", "..", ".", "..a", "a/b", "x" * 253, "x" * 254, times=24)
_NAMES_OF_LABELS = _text(LABEL_NAME, "managed-by", "a" * 63, "a" * 64, times=24)
_METADATA_KEYS = st.builds(
    str.__add__,
    _mostly(
        st.sampled_from(["", "example.com/", "app.kubernetes.io/"]),
        st.sampled_from(["x.tolstoy.dev/", "kubernetes.io/", "a//", "Ex.com/", "notk8s.io/"]),
        12,
    ),
    _NAMES_OF_LABELS,
)
_LABEL_VALUES = _text(LABEL_NAME, "", "-", "a" * 63, "a" * 64, times=24)
_SECRET_TYPES = _mostly(
    st.sampled_from(["Opaque", "Opaque", "kubernetes.io/tls", "kubernetes.io/basic-auth", "example.com/of-ours"]),
    st.one_of(st.sampled_from(["kubernetes.io/service-account-token", "helm.sh/release.v1", "a b"]), _ODD),
    12,
)
_TARGET: dict[str, st.SearchStrategy[Any]] = {
    "name": _text(DNS_NAME, "a" * 253, "a" * 254, "A", "a_b"),
    "type": _SECRET_TYPES,
    "labels": st.dictionaries(_METADATA_KEYS, _LABEL_VALUES, max_size=2),
    "annotations": st.dictionaries(_METADATA_KEYS, _ODD, max_size=2),
    "keys": _mostly(
        st.lists(
            _mostly(_SECRET_KEYS, st.sampled_from(["tls.crt", "tls.key", "password"]), 2),
            min_size=1,
            max_size=3,
            unique=True,
        ),
        st.lists(_SECRET_KEYS, max_size=2),
        12,
    ),
    "template": st.dictionaries(_mostly(_SECRET_KEYS, st.just("username"), 2), _ODD, min_size=1, max_size=2),
    "creationPolicy": _mostly(st.just("Owner"), st.just("Merge"), 4),
    "deletionPolicy": st.sampled_from(["Delete", "Retain"]),
    "propagation": _mostly(st.sampled_from(["Kubelet", "Immediate"]), st.just("Never"), 12),
}

NAMES: Mapping[str, st.SearchStrategy[str]] = {
    "tool": _text(DNS_LABEL, "a" * 63, "a" * 64, "GitHub", "-a", "a-"),
    "orgId": _text(rf"{SECRETS_MANAGER}{{1,20}}", "org-abc123", "a" * 128, "a" * 129, "a/b"),
    "secretName": _text(
        rf"{SECRETS_MANAGER}{{1,9}}(/{SECRETS_MANAGER}{{1,9}}){{0,2}}",
        *("a" * 512, "a" * 513, "a//b", "/a", "a/", "arn:aws:secretsmanager"),
    ),
}
"""The fields that name an upstream secret."""

_NAMED = st.fixed_dictionaries({"tool": NAMES["tool"], "orgId": NAMES["orgId"]})
_GIVEN = st.fixed_dictionaries({"secretName": NAMES["secretName"]})


def specs() -> st.SearchStrategy[Spec]:
    """Specs of the right types, legal and illegal in similar shares."""
    rest = st.fixed_dictionaries(
        {},
        optional={
            "type": _mostly(st.sampled_from(TYPES), st.just("auto"), 12),
            "suspend": st.booleans(),
            "restartTargets": st.lists(
                st.fixed_dictionaries(
                    {
                        "kind": _mostly(st.sampled_from(_WORKLOAD_KINDS), st.just("Pod"), 24),
                        "name": _text(DNS_NAME, "a" * 253, "a" * 254, "A", "a_b", times=24),
                    }
                ),
                max_size=3,
            ),
            "oauth": st.fixed_dictionaries(
                {},
                optional={
                    "revocationPolicy": st.sampled_from(["Orphan", "Revoke", "No"]),
                    "leadTime": st.sampled_from(["5m", "90s", "9999h", "0s", "5", "5m0s", "10000s"]),
                },
            ),
            "target": st.fixed_dictionaries({}, optional=_TARGET),
        },
    )
    incomplete: st.SearchStrategy[Spec] = st.one_of(
        _NAMED.map(lambda named: {"tool": named["tool"]}), st.just({}), _merged(_NAMED, _GIVEN)
    )
    return _merged(_mostly(st.one_of(_NAMED, _GIVEN), incomplete, 12), rest)


def _merged(first: st.SearchStrategy[Spec], second: st.SearchStrategy[Spec]) -> st.SearchStrategy[Spec]:
    return st.builds(lambda a, b: {**a, **b}, first, second)
