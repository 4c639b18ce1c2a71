"""What others go by when they deal with the operator's pods: Prometheus, the kubelet, the network, AWS, a drain."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from dev.chart import CHART
from dev.helmcli import DEFAULT_VALUES, NAMESPACE, RELEASE, Helm
from tests.integration.helm.rendering import Manifest, load, one, operator_container, render
from tests.support.chartfiles import at, with_overrides

pytestmark = pytest.mark.integration

OURS = {"app.kubernetes.io/name": "tolstoy-operator", "app.kubernetes.io/instance": RELEASE}
POD = "spec.template.metadata.labels"
POD_IDENTITY = {
    "to": [{"ipBlock": {"cidr": "169.254.170.23/32"}}, {"ipBlock": {"cidr": "fd00:ec2::23/128"}}],
    "ports": [{"port": 80}],
}
DNS = {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}


def with_values(helm: Helm, **values: Any) -> list[Manifest]:
    return render(helm, with_overrides(dict(DEFAULT_VALUES), values))


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("Deployment", "spec.selector.matchLabels"),
        ("Service", "spec.selector"),
        ("NetworkPolicy", "spec.podSelector.matchLabels"),
        ("PodDisruptionBudget", "spec.selector.matchLabels"),
    ],
)
def test_it_is_about_the_operators_pods_and_not_the_hooks(helm: Helm, kind: str, path: str) -> None:
    manifests = render(helm)
    assert at(one(manifests, kind), path) == OURS
    assert at(one(manifests, "Deployment"), POD).items() >= OURS.items()
    assert not at(one(manifests, "Job", f"{RELEASE}-release-finalizers"), POD).items() >= OURS.items()


class TestPrometheus:
    def test_scrapes_the_service_by_its_labels_and_the_name_of_its_port(self, helm: Helm) -> None:
        manifests = render(helm, load(CHART / "examples" / "ha.yaml"))
        monitor, service = one(manifests, "ServiceMonitor"), one(manifests, "Service")
        assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
        assert monitor["spec"] == {
            "selector": {"matchLabels": OURS},
            "endpoints": [{"port": "http", "path": "/metrics", "interval": "30s"}],
        }
        assert monitor["metadata"]["namespace"] == service["metadata"]["namespace"] == NAMESPACE
        assert service["metadata"]["labels"].items() >= OURS.items()
        assert service["spec"]["ports"] == [{"name": "http", "port": 8080, "targetPort": "http"}]
        assert monitor["metadata"]["labels"] == {**service["metadata"]["labels"], "release": "prometheus"}

    def test_scrapes_as_often_as_it_is_told(self, helm: Helm) -> None:
        manifests = with_values(helm, metrics={"serviceMonitor": {"enabled": True, "interval": "2m"}})
        (endpoint,) = one(manifests, "ServiceMonitor")["spec"]["endpoints"]
        assert endpoint["interval"] == "2m"

    def test_has_the_alerts_as_they_are_written(self, helm: Helm) -> None:
        rule = one(render(helm, load(CHART / "examples" / "ha.yaml")), "PrometheusRule")
        assert rule["spec"] == yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
        assert rule["metadata"]["labels"]["release"] == "prometheus"


class TestKubelet:
    def test_asks_whether_it_has_started_lives_and_is_ready(self, helm: Helm) -> None:
        container = operator_container(render(helm))
        healthz, readyz = ({"path": path, "port": "http"} for path in ("/healthz", "/readyz"))
        assert {name: probe for name, probe in container.items() if name.endswith("Probe")} == {
            "startupProbe": {"httpGet": healthz, "periodSeconds": 2, "failureThreshold": 60},
            "livenessProbe": {"httpGet": healthz, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3},
            "readinessProbe": {"httpGet": readyz, "periodSeconds": 5, "timeoutSeconds": 5},
        }

    def test_asks_at_the_port_where_the_operator_listens(self, helm: Helm) -> None:
        manifests = with_values(helm, http={"port": 9443})
        container = operator_container(manifests)
        assert container["ports"] == [{"name": "http", "containerPort": 9443}]
        assert {"name": "HTTP_PORT", "value": "9443"} in container["env"]
        assert one(manifests, "Service")["spec"]["ports"] == [{"name": "http", "port": 9443, "targetPort": "http"}]


class TestNetwork:
    def test_nobody_gets_in_until_somebody_is_named(self, helm: Helm) -> None:
        policy = one(render(helm), "NetworkPolicy")["spec"]
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        assert policy["ingress"] == []
        values = load(CHART / "examples" / "ha.yaml")
        (rule,) = one(render(helm, values), "NetworkPolicy")["spec"]["ingress"]
        assert rule == {"from": values["networkPolicy"]["metricsFrom"], "ports": [{"port": "http"}]}

    def test_it_reaches_names_what_speaks_tls_and_the_pod_identity_agent(self, helm: Helm) -> None:
        tls = {"ports": [{"port": 443}, {"port": 6443}]}
        assert one(render(helm), "NetworkPolicy")["spec"]["egress"] == [DNS, tls, POD_IDENTITY]

    def test_it_reaches_what_is_asked_for(self, helm: Helm) -> None:
        proxy = {"to": [{"ipBlock": {"cidr": "10.0.0.7/32"}}], "ports": [{"port": 3128}]}
        manifests = with_values(helm, networkPolicy={"egressPorts": [8443], "extraEgress": [proxy]})
        egress = one(manifests, "NetworkPolicy")["spec"]["egress"]
        assert egress == [DNS, {"ports": [{"port": 8443}]}, POD_IDENTITY, proxy]


class TestServiceAccount:
    def test_the_iam_role_stands_on_it_beside_what_else_is_asked_for(self, helm: Helm) -> None:
        values = load(CHART / "examples" / "irsa.yaml")
        role = {"eks.amazonaws.com/role-arn": values["serviceAccount"]["awsRoleArn"]}
        assert one(render(helm, values), "ServiceAccount")["metadata"]["annotations"] == role
        theirs = {"example.com/owner": "platform"}
        both = with_overrides(dict(values), {"serviceAccount": {"annotations": theirs}})
        assert one(render(helm, both), "ServiceAccount")["metadata"]["annotations"] == role | theirs
        alone = one(with_values(helm, serviceAccount={"annotations": theirs}), "ServiceAccount")
        assert alone["metadata"]["annotations"] == theirs
        assert "annotations" not in one(render(helm), "ServiceAccount")["metadata"]

    def test_its_token_is_for_the_operators_pods_alone(self, helm: Helm) -> None:
        manifests = with_values(helm, serviceAccount={"name": "ours"})
        assert one(manifests, "ServiceAccount", "ours")["automountServiceAccountToken"] is False
        pod = one(manifests, "Deployment")["spec"]["template"]["spec"]
        assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("ours", True)
        for kind in ("ClusterRoleBinding", "RoleBinding"):
            subject = {"kind": "ServiceAccount", "name": "ours", "namespace": NAMESPACE}
            assert one(manifests, kind)["subjects"] == [subject]

    def test_one_of_somebody_else_gets_the_rights(self, helm: Helm) -> None:
        manifests = with_values(helm, serviceAccount={"create": False, "name": "theirs"})
        assert one(manifests, "ClusterRoleBinding")["subjects"][0]["name"] == "theirs"
        assert one(manifests, "RoleBinding")["subjects"][0]["name"] == "theirs"
        accounts = [m["metadata"]["name"] for m in manifests if m["kind"] == "ServiceAccount"]
        assert accounts == [f"{RELEASE}-release-finalizers"]
