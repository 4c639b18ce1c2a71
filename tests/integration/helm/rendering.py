"""The chart's manifests as data, as Helm renders them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from dev.chart import CHART
from dev.helmcli import DEFAULT_VALUES, NAMESPACE, RELEASE, Helm, Values

Manifest = dict[str, Any]


def template(helm: Helm, values: Values) -> str:
    return helm.run("template", RELEASE, str(CHART), "--namespace", NAMESPACE, values=values).stdout


def render(helm: Helm, values: Values = DEFAULT_VALUES) -> list[Manifest]:
    return [manifest for manifest in yaml.load_all(template(helm, values), yaml.CSafeLoader) if manifest]


def one(manifests: list[Manifest], kind: str, name: str = RELEASE) -> Manifest:
    (found,) = (m for m in manifests if m["kind"] == kind and m["metadata"]["name"] == name)
    return found


def operator_container(manifests: list[Manifest]) -> Manifest:
    (container,) = one(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


def load(example: Path) -> Values:
    values: Values = yaml.safe_load(example.read_text())
    return values
