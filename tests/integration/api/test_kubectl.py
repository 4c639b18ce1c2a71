"""What people see with kubectl: explanations, columns, waiting, selecting."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from dev.controlplane import ControlPlane
from tests.integration.api.conftest import Credentials
from tests.support import crd, docs

pytestmark = pytest.mark.integration

STATUS = {
    "credentialType": "OAuth2",
    "grant": {"state": "Active", "expiresAt": "2124-05-06T07:08:09Z"},
    "upstream": {"name": "tolstoy/github/org-abc123", "versionId": "v-1"},
    "target": {"name": "github-token", "keys": ["accessToken"], "lastSyncTime": "2024-05-06T07:08:09Z"},
    "conditions": [
        {
            "type": kind,
            "status": "True",
            "reason": "Synced" if kind == "Ready" else "Other",
            "message": "fine",
            "lastTransitionTime": "2024-05-06T07:08:09Z",
            "observedGeneration": 1,
        }
        for kind in ("Synced", "Ready")
    ],
}


@pytest.fixture(scope="module")
def ready(credentials: Credentials) -> str:
    """A credential with a full status."""
    name = credentials.existing(tool="github", orgId="org-abc123")
    answer = credentials.api.patch(f"{credentials.path}/{name}/status", {"status": STATUS})
    assert answer.ok, answer.message
    return name


def table(served: ControlPlane, namespace: str, *args: str) -> list[list[str]]:
    """Header and rows of `kubectl get`, cut into cells at runs of two spaces or more."""
    lines = served.kubectl("get", f"--namespace={namespace}", *args).stdout.splitlines()
    starts = [match.start() for match in re.finditer(r"(?<!\S)\S+(?: \S+)*", lines[0])]
    cells = list(zip(starts, [*starts[1:], None], strict=True))
    return [[line[start:end].strip() for start, end in cells] for line in lines]


def test_the_columns_tell_the_story(served: ControlPlane, namespace: str, ready: str) -> None:
    header, row = table(served, namespace, "tc", ready)

    assert header == ["NAME", "TOOL", "ORG", "TYPE", "READY", "REASON", "EXPIRES", "AGE"]
    assert row[:-1] == [ready, "github", "org-abc123", "OAuth2", "True", "Synced", "2124-05-06T07:08:09Z"]
    assert re.fullmatch(r"\d+\w", row[-1])


def test_the_wide_columns_tell_the_rest(served: ControlPlane, namespace: str, ready: str) -> None:
    header, row = table(served, namespace, "tc", ready, "--output=wide")

    assert header[8:] == ["STATE", "SECRET", "UPSTREAM", "UPSTREAM VERSION", "NEXT REFRESH"]
    assert row[8:] == ["Active", "github-token", "tolstoy/github/org-abc123", "v-1", ""]


def test_a_new_credential_has_empty_columns(served: ControlPlane, namespace: str, credentials: Credentials) -> None:
    name = credentials.existing(secretName="conductor-db-secret")

    _, row = table(served, namespace, "toolcredential", name)

    assert row[:-1] == [name, "", "", "", "", "", ""]


def test_waiting_for_ready(served: ControlPlane, namespace: str, ready: str, credentials: Credentials) -> None:
    wait = ("wait", f"--namespace={namespace}", "--for=condition=Ready", "--timeout=1s")

    assert "condition met" in served.kubectl(*wait, f"tc/{ready}").stdout
    unready = credentials.existing(tool="slack", orgId="org-abc123")
    assert "timed out" in served.kubectl(*wait, f"tc/{unready}", check=False).stderr


@pytest.mark.parametrize(
    ("selector", "count"),
    [("spec.tool=select", 2), ("spec.tool=select,spec.orgId=org-1", 1), ("spec.secretName=select", 1)],
)
def test_selecting_by_what_a_credential_names(
    served: ControlPlane, namespace: str, credentials: Credentials, selector: str, count: int
) -> None:
    made = [
        credentials.existing(tool="select", orgId="org-1"),
        credentials.existing(tool="select", orgId="org-2"),
        credentials.existing(secretName="select"),
    ]

    found = served.kubectl("get", "tc", f"--namespace={namespace}", f"--field-selector={selector}", "--output=name")

    assert len(found.stdout.split()) == count
    for name in made:
        credentials.delete(name)


def test_the_target_is_explained(served: ControlPlane) -> None:
    text = served.kubectl("explain", "toolcredential.spec.target", "--recursive").stdout

    assert "The Secret to write, in the namespace of this object." in text
    for field in crd.schema("spec", "target")["properties"]:
        assert re.search(rf"^  {field}\t<", text, re.MULTILINE), field
    assert "enum: Owner, Merge" in text


@pytest.mark.parametrize("path", ["spec.orgId", "spec.target.template", "status.grant.state"])
def test_a_field_is_explained(served: ControlPlane, path: str) -> None:
    text = served.kubectl("explain", f"tc.{path}").stdout

    described = crd.schema(*path.split("."))["description"]
    assert " ".join(described.split()) in " ".join(text.split())


def test_a_person_is_told_in_sentences(served: ControlPlane, namespace: str) -> None:
    manifest = {
        "apiVersion": "tolstoy.dev/v1",
        "kind": "ToolCredential",
        "metadata": {"name": "wrong"},
        "spec": {"tool": "GitHub", "orgId": "org-abc123"},
    }

    done = served.kubectl("apply", f"--namespace={namespace}", "--filename=-", stdin=json.dumps(manifest), check=False)

    assert done.returncode == 1
    assert done.stderr.strip() == (
        'The ToolCredential "wrong" is invalid: spec.tool: Invalid value: "GitHub": '
        "tool is made of lower-case letters and digits, with hyphens inside, such as github or google-drive"
    )


@pytest.mark.parametrize("example", docs.credentials("tenants.md"), ids=lambda example: example["metadata"]["name"])
def test_examples_of_the_docs_are_accepted(credentials: Credentials, example: dict[str, Any]) -> None:
    answer = credentials.create(example["spec"], dry_run=True)

    assert answer.ok, answer.message
