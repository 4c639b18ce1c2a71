"""What the chart renders, for every example, is what the API server, kubeconform and Pod security accept."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from dev.chart import CHART, SOURCES
from dev.controlplane import ControlPlane, kubeconform
from dev.helmcli import DEFAULT_VALUES, NAMESPACE, RELEASE, Helm, Values
from tests.integration.helm.rendering import Manifest, load, one, operator_container, render, template
from tests.support import docs, rights
from tests.support.chartfiles import EXAMPLES, at, default_values, nested, schema_at, settings_table, with_overrides
from tests.support.kubeapi import KubeApi
from tests.support.openapi import write_schemas
from tolstoy_operator.settings import Settings

pytestmark = pytest.mark.integration

each_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)


def pod_templates(manifests: list[Manifest]) -> list[Manifest]:
    return [m["spec"]["template"] for m in manifests if m["kind"] in {"Deployment", "Job"}]


def environment(manifests: list[Manifest]) -> dict[str, str]:
    """The plain variables of the operator's container; those from the downward API are set to their field's path."""
    return {
        item["name"]: item["value"] if "value" in item else item["valueFrom"]["fieldRef"]["fieldPath"]
        for item in operator_container(manifests)["env"]
    }


@each_example
def test_lint_finds_nothing(helm: Helm, example: Path) -> None:
    helm.run("lint", "--strict", str(CHART), values=load(example))


@each_example
def test_the_api_server_accepts_it(helm: Helm, control_plane: ControlPlane, example: Path) -> None:
    manifests = [m for m in render(helm, load(example)) if m["apiVersion"] != "monitoring.coreos.com/v1"]
    control_plane.kubectl("create", "namespace", NAMESPACE, check=False)
    done = control_plane.kubectl(
        *("apply", "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts", "-f", "-"),
        stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}),
    )
    assert len(done.stdout.splitlines()) == len(manifests)
    assert done.stderr == ""


@pytest.fixture(scope="module")
def schemas(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("schemas")
    write_schemas(json.loads(control_plane.kubectl("get", "--raw", "/openapi/v2").stdout), directory)
    return directory


@each_example
def test_kubeconform_accepts_it(helm: Helm, schemas: Path, example: Path) -> None:
    where = f"{schemas}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    done = subprocess.run(
        [kubeconform(), "-strict", "-summary", "-skip=ServiceMonitor,PrometheusRule", f"-schema-location={where}"],
        input=template(helm, load(example)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "Invalid: 0, Errors: 0" in done.stdout


@pytest.fixture(scope="module")
def restricted(control_plane: ControlPlane) -> Iterator[str]:
    """Path of the pods of a namespace that enforces the restricted Pod Security Standard."""
    namespace = {"metadata": {"name": "restricted", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    with KubeApi(control_plane, control_plane.token) as admin:
        assert admin.post("/api/v1/namespaces", namespace).ok
        yield "/api/v1/namespaces/restricted/pods?dryRun=All"


@each_example
def test_its_pods_are_admitted_where_security_is_restricted(
    helm: Helm, control_plane: ControlPlane, restricted: str, example: Path
) -> None:
    templates = pod_templates(render(helm, load(example)))
    assert len(templates) == 2
    for pod in templates:
        spec = {k: v for k, v in pod["spec"].items() if k not in {"serviceAccountName", "priorityClassName"}}
        with KubeApi(control_plane, control_plane.token) as admin:
            answer = admin.post(restricted, {"metadata": {"name": "pod"}, "spec": spec})
        assert answer.status == 201, answer.message


@each_example
def test_nothing_in_its_pods_can_be_written_but_volumes(helm: Helm, example: Path) -> None:
    for pod in pod_templates(render(helm, load(example))):
        assert pod["spec"]["securityContext"]["runAsUser"] == 65532
        assert all(c["securityContext"]["readOnlyRootFilesystem"] for c in pod["spec"]["containers"])
        assert pod["spec"]["enableServiceLinks"] is False


@each_example
def test_the_operator_starts_with_the_environment_that_it_gets(
    helm: Helm, example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = load(example)
    variables = environment(render(helm, values))
    added = {item["name"] for item in values.get("extraEnv", [])}
    known = {name.upper() for name in Settings.model_fields} | {"USER"}
    assert set(variables) - added <= known
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    Settings()


def test_every_value_reaches_its_setting(helm: Helm) -> None:
    """Change all settings at once, and find each changed value in the environment."""
    wanted = {variable: _another(variable, path) for variable, path in settings_table().items()}
    values: Values = {"replicas": 1}
    for variable, path in settings_table().items():
        values = with_overrides(dict(values), nested(path, wanted[variable]))
    got = environment(render(helm, values))
    expected = {variable: _spelled(value) for variable, value in wanted.items()}
    expected |= {"USE_AWS_SECRETS": "false", "PROVIDERS_DIR": "/etc/tolstoy/providers"}
    assert {variable: got[variable] for variable in expected} == expected


def _spelled(value: object) -> str:
    if isinstance(value, list):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _another(variable: str, path: str) -> object:
    """A value that is allowed and is not the default."""
    given = {"USE_AWS_SECRETS": "SQLite", "AWS_REGION": "ap-southeast-2", "LOG_LEVEL": "ERROR", "HTTP_HOST": "::"}
    given |= {"SQLITE_PATH": "/data/x.db", "AWS_SECRET_NAME": "other", "CLUSTER_ID": "b", "PROVIDERS_DIR": "own"}
    if variable in given:
        return given[variable]
    schema = schema_at(path)
    if schema["type"] == "boolean":
        return not at(default_values(), path)
    if schema["type"] == "array":
        samples = {"ORIGINS": ["http://a.example.com", "http://b.example.com"], "NETWORKS": ["10.1.0.0/16", "fd00::/8"]}
        samples["NAMESPACES"] = ["shop", "team-a"]
        samples["REGIONS"] = ["ap-southeast-2", "eu-west-1"]
        return samples.get(variable.rpartition("_")[2], ["a.example.com", "b"])
    return schema["maximum"]


def test_the_store_in_a_file_is_never_opened_twice(helm: Helm) -> None:
    manifests = render(helm, load(CHART / "examples" / "sqlite.yaml"))
    deployment = one(manifests, "Deployment")["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    claim = one(manifests, "PersistentVolumeClaim")["metadata"]
    assert claim["annotations"] == {"helm.sh/resource-policy": "keep"}
    mounts = {mount["name"]: mount["mountPath"] for mount in operator_container(manifests)["volumeMounts"]}
    assert mounts["store"] == str(Path(environment(manifests)["SQLITE_PATH"]).parent)
    assert not [m for m in manifests if m["kind"] == "PodDisruptionBudget"]


def test_a_claim_of_somebody_else_is_used_as_it_is(helm: Helm) -> None:
    values = {"replicas": 1, "store": {"kind": "SQLite", "sqlite": {"persistence": {"existingClaim": "theirs"}}}}
    manifests = render(helm, values)
    assert not [m for m in manifests if m["kind"] == "PersistentVolumeClaim"]
    volumes = one(manifests, "Deployment")["spec"]["template"]["spec"]["volumes"]
    assert {"name": "store", "persistentVolumeClaim": {"claimName": "theirs"}} in volumes


def test_replicas_are_replaced_without_a_gap(helm: Helm) -> None:
    manifests = render(helm)
    deployment = one(manifests, "Deployment")["spec"]
    assert deployment["replicas"] == 2
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert one(manifests, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_without_leader_election_no_two_pods_overlap(helm: Helm) -> None:
    manifests = render(helm, with_overrides(dict(DEFAULT_VALUES), {"replicas": 1, "leaderElection": False}))
    assert one(manifests, "Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    assert not [m for m in manifests if m["kind"] == "Role"]


def test_a_digest_wins_over_a_tag(helm: Helm) -> None:
    digest = "sha256:" + "0" * 64
    image = {"image": {"repository": "r.example.com/op", "tag": "1.2.3", "digest": digest}}
    for pod in pod_templates(render(helm, with_overrides(dict(DEFAULT_VALUES), image))):
        assert pod["spec"]["containers"][0]["image"] == f"r.example.com/op@{digest}"


def test_catalogue_entries_of_ones_own_are_where_the_operator_looks(helm: Helm) -> None:
    manifests = render(helm, with_overrides(dict(DEFAULT_VALUES), {"refresh": {"providersConfigMap": "own"}}))
    mounts = {mount["name"]: mount["mountPath"] for mount in operator_container(manifests)["volumeMounts"]}
    assert mounts["providers"] == environment(manifests)["PROVIDERS_DIR"]
    volumes = one(manifests, "Deployment")["spec"]["template"]["spec"]["volumes"]
    assert {"name": "providers", "configMap": {"name": "own"}} in volumes


def test_what_is_optional_can_be_left_out(helm: Helm) -> None:
    off = {
        "crds": {"install": False},
        "admissionPolicies": {"enabled": False},
        "propagation": {"immediate": False},
        "restarts": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "hooks": {"releaseFinalizers": {"enabled": False}},
        "rbac": {"aggregateToDefaultRoles": False},
    }
    manifests = render(helm, with_overrides(dict(DEFAULT_VALUES), off))
    kinds = {m["kind"] for m in manifests}
    absent = {"CustomResourceDefinition", "ValidatingAdmissionPolicy", "NetworkPolicy", "Job"}
    absent |= {"ServiceMonitor", "PrometheusRule"}
    assert not kinds & absent
    assert "aggregate-to" not in json.dumps(manifests)


def test_the_crd_is_kept_and_otherwise_as_written(helm: Helm) -> None:
    (written,) = (yaml.safe_load(path.read_text()) for path in SOURCES.glob("*.yaml"))
    rendered = one(render(helm), "CustomResourceDefinition", written["metadata"]["name"])
    assert rendered["metadata"].pop("annotations") == {
        **written["metadata"].get("annotations", {}),
        "helm.sh/resource-policy": "keep",
    }
    written["metadata"].pop("annotations", None)
    assert rendered["metadata"].pop("labels")["app.kubernetes.io/managed-by"] == "Helm"
    assert rendered == written


def test_the_package_is_complete_in_itself(helm: Helm, tmp_path: Path) -> None:
    helm.run("package", str(CHART), "--destination", str(tmp_path))
    (package,) = tmp_path.glob("*.tgz")
    out_of_package = helm.run("template", RELEASE, str(package), "--namespace", NAMESPACE, values=DEFAULT_VALUES)
    assert out_of_package.stdout == template(helm, DEFAULT_VALUES)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "at '/store/region': minLength: got 0, want 1"),
        ({"store": {"kind": "SQLite"}}, "at '/replicas': value must be 1"),
        ({"store": {"region": "eu-west-1"}, "replica": 3}, "additional properties 'replica' not allowed"),
        ({"store": {"region": "eu-west-1"}, "logLevel": "loud"}, "at '/logLevel': value must be one of 'DEBUG'"),
    ],
    ids=str,
)
def test_helm_says_what_is_wrong_with_the_values(helm: Helm, values: Values, message: str) -> None:
    done = helm.run("template", RELEASE, str(CHART), values=values, check=False)
    assert done.returncode != 0
    assert message in done.stderr


@pytest.mark.parametrize("on", [True, False])
def test_the_installation_page_tells_every_right_and_no_other(helm: Helm, on: bool) -> None:
    values: Values = DEFAULT_VALUES
    for path in rights.switches():
        values = with_overrides(dict(values), nested(path, on))
    manifests = render(helm, values)
    always, on_demand = rights.told()
    given = rights.granted(rule for kind in ("ClusterRole", "Role") for rule in one(manifests, kind)["rules"])
    assert given == (always | on_demand if on else always)


def test_the_installation_page_tells_every_policy(helm: Helm) -> None:
    policies = [m["metadata"]["name"] for m in render(helm) if m["kind"] == "ValidatingAdmissionPolicy"]
    page = docs.text("install.md")
    assert re.findall(r"^- `([a-z.-]+)` ", page, flags=re.MULTILINE) == policies


def test_some_namespaces_get_roles_and_the_cluster_none_for_secrets(helm: Helm) -> None:
    values = with_overrides(
        dict(DEFAULT_VALUES), {"watchNamespaces": ["shop", "team-a"], "refresh": {"clusterId": "shops"}}
    )
    manifests = render(helm, values)
    cluster = one(manifests, "ClusterRole")["rules"]
    assert {resource for rule in cluster for resource in rule["resources"]} == {"tokenreviews", "subjectaccessreviews"}
    tenants = [m for m in manifests if m["metadata"]["name"] == f"{RELEASE}-tenant"]
    roles = {m["metadata"]["namespace"]: m for m in tenants if m["kind"] == "Role"}
    assert roles.keys() == {m["metadata"]["namespace"] for m in tenants if m["kind"] == "RoleBinding"}
    assert roles.keys() == {"shop", "team-a"}
    everywhere = one(render(helm), "ClusterRole")["rules"]
    for namespace, role in roles.items():
        (reading,) = (rule for rule in role["rules"] if rule["resources"] == ["namespaces"])
        assert (reading["resourceNames"], reading["verbs"]) == ([namespace], ["get"])
        rest = [rule for rule in role["rules"] if rule is not reading]
        assert rest == [rule for rule in everywhere if rule in rest]
        assert {"secrets", "toolcredentials", "events", "pods"} <= {
            resource for rule in rest for resource in rule["resources"]
        }
    hooks = [m for m in manifests if m["metadata"]["name"] == f"{RELEASE}-release-finalizers"]
    assert not [m for m in hooks if m["kind"].startswith("Cluster")]
    assert {m["metadata"]["namespace"] for m in hooks if m["kind"] == "Role"} == {"shop", "team-a"}
