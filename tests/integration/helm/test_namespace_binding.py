"""A credential of an organisation that the namespace isn't bound to is refused when it is applied."""

from __future__ import annotations

from typing import Any

import pytest

from dev.testbed import eventually
from tests.integration.helm.conftest import Installed, Team
from tests.support.kubeapi import APPLY_PATCH, JSON_PATCH, Answer, credential
from tolstoy_operator.api import names
from tolstoy_operator.domain.tenancy import binding_of

pytestmark = pytest.mark.integration

ORG = "org-abc123"
GITHUB = credential("github", tool="github", orgId=ORG)
DATABASE = credential("database", secretName="conductor-db-secret")


def refused(answer: Answer) -> str:
    assert answer.status == 403, answer
    return answer.message


def created(answer: Answer) -> dict[str, Any]:
    assert answer.status == 201, answer
    return answer.body


def test_unbound_is_refused_and_the_message_says_who_does_what(team: Team) -> None:
    message = refused(team.developer.post(team.credentials, GITHUB))
    assert message.endswith(
        f"denied request: namespace {team.namespace} is not bound to organisation org-abc123; someone who may bind "
        "organisations adds it to the Namespace's annotation tolstoy.dev/allowed-orgs, then apply again"
    )


def test_a_platform_secret_that_is_not_granted_is_refused_likewise(team: Team) -> None:
    message = refused(team.developer.post(team.credentials, DATABASE))
    assert f"namespace {team.namespace} is not granted the secret conductor-db-secret" in message
    assert "tolstoy.dev/allowed-secrets" in message


def test_server_side_apply_is_no_way_round(team: Team) -> None:
    path = f"{team.credentials}/github?fieldManager=kubectl"
    refused(team.developer.patch(path, GITHUB, APPLY_PATCH))
    team.annotate(allowed_orgs=ORG)
    created(team.developer.patch(path, GITHUB, APPLY_PATCH))


def test_the_administrator_is_no_exception(team: Team) -> None:
    refused(team.admin.post(team.credentials, GITHUB))


@pytest.mark.parametrize("allowed", [ORG, f"org-x,{ORG}", f" {ORG} ,org-x", f"org-x,\n\t{ORG}\n", f",,{ORG},"])
def test_bound_is_accepted(team: Team, allowed: str) -> None:
    team.annotate(allowed_orgs=allowed)
    created(team.developer.post(team.credentials, GITHUB))


@pytest.mark.parametrize(
    "allowed",
    ["", ",", "*", "org-*", "org-abc", "org-abc1234", "ORG-ABC123", f"org-x;{ORG}", f"org-x {ORG}", f'"{ORG}"', "/.*/"],
)
def test_only_the_whole_name_counts(team: Team, allowed: str) -> None:
    team.annotate(allowed_orgs=allowed)
    refused(team.developer.post(team.credentials, GITHUB))


def test_a_granted_secret_is_accepted_and_only_that_one(team: Team) -> None:
    team.annotate(allowed_secrets="conductor-db-secret, other")
    created(team.developer.post(team.credentials, DATABASE))
    refused(team.developer.post(team.credentials, credential("more", secretName="conductor-db-secret2")))


def test_a_binding_to_an_organisation_grants_no_secret_by_name(team: Team) -> None:
    team.annotate(allowed_orgs=f"{ORG},tolstoy/github/{ORG}")
    refused(team.developer.post(team.credentials, credential("x", secretName=f"tolstoy/github/{ORG}")))


def test_a_granted_secret_binds_to_no_organisation(team: Team) -> None:
    team.annotate(allowed_secrets=f"{ORG},tolstoy/github/{ORG}")
    refused(team.developer.post(team.credentials, GITHUB))


def test_the_binding_of_another_namespace_does_not_count(team: Team, installed: Installed) -> None:
    other = f"{team.namespace}-other"
    installed.plane.kubectl("create", "namespace", other)
    installed.plane.kubectl("annotate", "namespace", other, f"tolstoy.dev/allowed-orgs={ORG}")
    refused(team.developer.post(team.credentials, GITHUB))


class TestAfterTheBindingIsTakenAway:
    """What exists can be looked after and removed; it can't be asked for anew."""

    @pytest.fixture(autouse=True)
    def unbound(self, team: Team) -> None:
        team.annotate(allowed_orgs=ORG)
        created(team.developer.post(team.credentials, GITHUB))
        team.annotate(allowed_orgs=None)

    @pytest.mark.parametrize(
        "metadata",
        [
            {"labels": {"app": "web"}},
            {"annotations": {"tolstoy.dev/force-sync": "now"}},
            {"finalizers": ["example.com/keep"]},
        ],
        ids=str,
    )
    def test_metadata_can_be_changed(self, team: Team, metadata: dict[str, Any]) -> None:
        answer = team.developer.patch(f"{team.credentials}/github", {"metadata": metadata})
        assert answer.ok, answer
        team.developer.patch(f"{team.credentials}/github", {"metadata": {"finalizers": None}})

    def test_the_spec_cannot(self, team: Team) -> None:
        message = refused(team.developer.patch(f"{team.credentials}/github", {"spec": {"target": {"name": "mine"}}}))
        assert "is not bound to organisation org-abc123" in message

    def test_until_it_is_bound_again(self, team: Team) -> None:
        team.annotate(allowed_orgs=ORG)
        answer = team.developer.patch(f"{team.credentials}/github", {"spec": {"suspend": True}})
        assert answer.ok, answer

    def test_the_operator_can_write_its_status(self, team: Team, installed: Installed) -> None:
        status = {"status": {"observedGeneration": 1}}
        answer = installed.operator.patch(f"{team.credentials}/github/status", status)
        assert answer.ok, answer

    def test_it_can_be_deleted(self, team: Team) -> None:
        assert team.developer.delete(f"{team.credentials}/github").ok
        assert team.developer.get(f"{team.credentials}/github").status == 404

    def test_it_cannot_come_back(self, team: Team) -> None:
        team.developer.delete(f"{team.credentials}/github")
        refused(team.developer.post(team.credentials, GITHUB))

    def test_while_it_is_being_deleted_its_finalizers_go(self, team: Team) -> None:
        path = f"{team.credentials}/github"
        assert team.developer.patch(path, {"metadata": {"finalizers": ["tolstoy.dev/revoke"]}}).ok
        assert team.developer.delete(path).ok
        gone = team.developer.patch(path, [{"op": "remove", "path": "/metadata/finalizers"}], JSON_PATCH)
        assert gone.ok, gone
        assert team.developer.get(path).status == 404


def test_a_namespace_bound_to_as_many_organisations_as_an_annotation_holds(team: Team) -> None:
    """The policy stays within what the API server lets an expression cost."""
    many = ",".join(f"o{number:05d}" for number in range(37_000))
    team.annotate(allowed_orgs=many)
    created(team.developer.post(team.credentials, credential("last", tool="github", orgId="o36999")))
    message = refused(team.developer.post(team.credentials, credential("no", tool="github", orgId="p00000")))
    assert "is not bound to organisation p00000" in message
    assert "o36999" in binding_of({names.ALLOWED_ORGS: many}).orgs, (
        "the operator reads as much of it as the policy does"
    )


def test_the_policies_fit_the_types_they_look_at(installed: Installed) -> None:
    path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"

    def checked() -> bool:
        return all("typeChecking" in item.get("status", {}) for item in installed.admin.get(path).body["items"])

    eventually(checked, what="every policy's types are checked")
    policies = installed.admin.get(path).body["items"]
    assert len(policies) == 6
    assert all(policy["status"]["typeChecking"] == {} for policy in policies), policies
