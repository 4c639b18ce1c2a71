"""Who reads a Secret and how."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.cli.objects import NOW, at, pod
from tolstoy_operator.domain.consumers import Mode, Owner, Reader, Use, readers, uses_of

SECRET = "github"


def container(name: str = "web", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "image", **fields}


def volume(**source: Any) -> dict[str, Any]:
    return {"name": "v", **(source or {"secret": {"secretName": SECRET}})}


def mounted(volume: dict[str, Any], **mount: Any) -> dict[str, Any]:
    mount = {"name": "v", "mountPath": "/etc/github", **mount}
    return {"containers": [container(volumeMounts=[mount])], "volumes": [volume]}


def variable(**reference: Any) -> dict[str, Any]:
    return {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": SECRET, "key": "accessToken", **reference}}}


def environment(**fields: Any) -> dict[str, Any]:
    return {"containers": [container(**fields)]}


PROJECTED = {"sources": [{"configMap": {"name": SECRET}}, {"secret": {"name": SECRET}}]}
ITEMS = [{"key": "accessToken", "path": "token"}]


@pytest.mark.parametrize(
    ("spec", "uses"),
    [
        (mounted(volume()), [Use(Mode.VOLUME, "web", "/etc/github")]),
        (mounted(volume(projected=PROJECTED)), [Use(Mode.VOLUME, "web", "/etc/github")]),
        (mounted(volume(), subPath="accessToken"), [Use(Mode.SUBPATH, "web", "/etc/github")]),
        (mounted(volume(), subPathExpr="$(NAME)"), [Use(Mode.SUBPATH, "web", "/etc/github")]),
        (
            mounted(volume(secret={"secretName": SECRET, "items": ITEMS})),
            [Use(Mode.VOLUME, "web", "/etc/github", ("accessToken",))],
        ),
        (
            mounted(volume(secret={"secretName": SECRET, "items": ITEMS, "optional": True})),
            [Use(Mode.VOLUME, "web", "/etc/github")],
        ),
        ({"containers": [container()], "volumes": [volume()]}, [Use(Mode.UNMOUNTED, None, "v")]),
        (environment(env=[variable()]), [Use(Mode.ENV, "web", "TOKEN", ("accessToken",))]),
        (environment(env=[variable(optional=True)]), [Use(Mode.ENV, "web", "TOKEN")]),
        (environment(envFrom=[{"secretRef": {"name": SECRET}}]), [Use(Mode.ENV, "web", "*")]),
        (environment(envFrom=[{"prefix": "GH_", "secretRef": {"name": SECRET}}]), [Use(Mode.ENV, "web", "GH_*")]),
        ({"imagePullSecrets": [{"name": SECRET}]}, [Use(Mode.IMAGE_PULL, None, "imagePullSecrets")]),
        ({"volumes": [volume(cephfs={"secretRef": {"name": SECRET}})]}, [Use(Mode.DRIVER, None, "v")]),
        ({"volumes": [volume(csi={"nodePublishSecretRef": {"name": SECRET}})]}, [Use(Mode.DRIVER, None, "v")]),
        ({"volumes": [volume(azureFile={"secretName": SECRET})]}, [Use(Mode.DRIVER, None, "v")]),
        (
            {"initContainers": [container("init", env=[variable()])]},
            [Use(Mode.ENV, "init", "TOKEN", ("accessToken",))],
        ),
        (
            {"ephemeralContainers": [container("debug", env=[variable()])]},
            [Use(Mode.ENV, "debug", "TOKEN", ("accessToken",))],
        ),
    ],
)
def test_every_way_to_read_a_secret(spec: dict[str, Any], uses: list[Use]) -> None:
    assert uses_of(spec, SECRET) == tuple(uses)
    assert uses_of(spec, "other") == ()


def test_what_reads_something_else_of_that_name() -> None:
    spec = {
        "containers": [
            container(envFrom=[{"configMapRef": {"name": SECRET}}], env=[{"name": SECRET, "value": SECRET}])
        ],
        "volumes": [volume(configMap={"name": SECRET}), {"name": SECRET, "emptyDir": {}}],
    }
    assert uses_of(spec, SECRET) == ()


def owned(kind: str, name: str) -> dict[str, Any]:
    return {"ownerReferences": [{"kind": "Other", "name": "x"}, {"kind": kind, "name": name, "controller": True}]}


def find(*pods: dict[str, Any], **given: Any) -> list[Reader]:
    templates: dict[Owner, Any] = given.pop("templates", {})
    return readers(SECRET, pods=pods, templates=templates, parents=given.pop("parents", {}), changed_at=NOW)


def test_pods_count_for_the_workload_that_made_them() -> None:
    made = owned("ReplicaSet", "web-1")
    parents = {("ReplicaSet", "web-1"): ("Deployment", "web")}
    pods = [pod(f"web-1-{n}", mounted(volume()), metadata=made) for n in "ab"]
    assert find(*pods, parents=parents) == [
        Reader("Deployment", "web", (Use(Mode.VOLUME, "web", "/etc/github"),), ["web-1-a", "web-1-b"])
    ]


def test_an_owner_whose_own_owner_is_not_known_is_named() -> None:
    [reader] = find(pod("web-1-a", mounted(volume()), metadata=owned("ReplicaSet", "web-1")))
    assert (reader.kind, reader.name) == ("ReplicaSet", "web-1")


def test_a_workload_without_pods_counts_and_a_finished_pod_does_not() -> None:
    templates = {("Deployment", "idle"): mounted(volume()), ("Deployment", "other"): mounted(volume(emptyDir={}))}
    finished = [pod(phase, mounted(volume()), status={"phase": phase}) for phase in ("Succeeded", "Failed")]
    assert [(item.name, item.pods) for item in find(*finished, templates=templates)] == [("idle", [])]


def test_pods_of_an_earlier_template_read_it_their_way() -> None:
    old = pod("web", environment(env=[variable()]), metadata=owned("StatefulSet", "web"))
    [reader] = find(old, templates={("StatefulSet", "web"): mounted(volume())})
    assert [use.mode for use in reader.uses] == [Mode.VOLUME, Mode.ENV]


def test_pods_without_a_workload_come_last() -> None:
    pods = [pod("a", mounted(volume())), pod("b", mounted(volume()), metadata=owned("StatefulSet", "z"))]
    assert [(item.kind, item.name) for item in find(*pods)] == [("StatefulSet", "z"), ("Pod", "a")]


def running(since: str, name: str = "web") -> dict[str, Any]:
    return {"containerStatuses": [{"name": name, "state": {"running": {"startedAt": since}}}]}


@pytest.mark.parametrize(
    ("spec", "status", "outdated"),
    [
        (environment(env=[variable()]), running(at(seconds=-1)), True),
        (mounted(volume(), subPath="x"), running(at(seconds=-1)), True),
        (environment(env=[variable()]), running(at(seconds=1)), False),
        (mounted(volume()), running(at(seconds=-1)), False),
        (environment(env=[variable()]), running(at(seconds=-1), "sidecar"), False),
        (environment(env=[variable()]), {"containerStatuses": [{"name": "web", "state": {"waiting": {}}}]}, False),
        (environment(env=[variable()]), {}, False),
    ],
)
def test_a_container_that_started_before_the_change_has_an_old_value(
    spec: dict[str, Any], status: dict[str, Any], outdated: bool
) -> None:
    [reader] = find(pod("web", spec, status=status))
    assert reader.outdated == (["web"] if outdated else [])
