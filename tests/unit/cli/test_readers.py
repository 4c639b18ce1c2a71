"""Who reads a Secret, in a line each."""

from __future__ import annotations

from typing import Any

import click

from tests.unit.cli.objects import NOW, pod, seen
from tolstoy_operator.cli.cluster import Surroundings
from tolstoy_operator.cli.readers import brief_lines
from tolstoy_operator.cli.status import as_tree

FILES: dict[str, Any] = {
    "containers": [{"name": "web", "volumeMounts": [{"name": "v", "mountPath": "/x"}]}],
    "volumes": [{"name": "v", "secret": {"secretName": "github"}}],
}
VARIABLES = {"containers": [{"name": "web", "envFrom": [{"secretRef": {"name": "github"}}]}]}


def lines(**around: Any) -> list[str]:
    return [click.unstyle(line) for line in brief_lines(seen(), Surroundings(**around))]


def test_files_follow() -> None:
    assert lines(pods=[pod("web-1", FILES)]) == ["read by Pod web-1: volume"]


def test_variables_never_do() -> None:
    first, second = lines(templates={("Deployment", "web"): VARIABLES})
    assert first == "read by Deployment web: env never sees a change"
    assert second.startswith("  to do: mount the Secret as a whole volume")


def test_a_credential_without_a_use() -> None:
    assert lines() == ["unused: nobody reads the Secret"]
    assert lines(unread=["pods"]) == ["unused: nobody that you may see reads the Secret"]


def test_no_secret_has_no_readers() -> None:
    assert list(brief_lines(seen(status={"target": None}), Surroundings(pods=[pod("web-1", FILES)]))) == []


def test_they_stand_under_their_credential() -> None:
    items = [seen("github"), seen("other")]
    around = {items[0].namespace: Surroundings(pods=[pod("web-1", FILES)])}
    tree = [click.unstyle(line) for line in as_tree(items, NOW, all_namespaces=False, around=around)]
    assert [line.strip("│ ") for line in tree[3:4] + tree[-1:]] == [
        "read by Pod web-1: volume",
        "unused: nobody reads the Secret",
    ]
