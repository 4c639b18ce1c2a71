"""What the chart's roles for people give, through the roles that every cluster has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.helm.conftest import Team, new_user
from tests.support.kubeapi import CREDENTIALS, KubeApi, credential

pytestmark = pytest.mark.integration

GITHUB = credential("github", tool="github", orgId="org-abc123")


@pytest.fixture
def onlooker(team: Team) -> Iterator[KubeApi]:
    """Somebody with the built-in role `view` in the team's namespace."""
    with new_user(team.admin, "onlooker", "view", team.namespace) as onlooker:
        yield onlooker


def test_edit_writes_credentials_but_never_their_status(team: Team) -> None:
    team.annotate(allowed_orgs="org-abc123")
    path = f"{team.credentials}/github"
    assert team.developer.post(team.credentials, GITHUB).status == 201
    assert team.developer.patch(path, {"spec": {"suspend": True}}).ok
    assert team.developer.get(f"{path}/status").ok
    assert team.developer.patch(f"{path}/status", {"status": {"observedGeneration": 9}}).status == 403
    lied = team.developer.patch(path, {"status": {"observedGeneration": 9}})
    assert "status" not in lied.body
    assert team.developer.delete(path).ok


def test_edit_ends_at_the_namespace(team: Team) -> None:
    assert team.developer.get(CREDENTIALS.format("default")).status == 403
    assert team.developer.post(CREDENTIALS.format("default"), GITHUB).status == 403
    assert team.developer.get("/apis/tolstoy.dev/v1/toolcredentials").status == 403


def test_view_reads_and_no_more(team: Team, onlooker: KubeApi) -> None:
    team.annotate(allowed_orgs="org-abc123")
    assert team.developer.post(team.credentials, GITHUB).status == 201
    path = f"{team.credentials}/github"
    assert onlooker.get(path).ok
    assert onlooker.get(f"{path}/status").ok
    assert onlooker.post(team.credentials, GITHUB).status == 403
    assert onlooker.patch(path, {"spec": {"suspend": True}}).status == 403
    assert onlooker.delete(path).status == 403
