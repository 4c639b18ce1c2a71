"""The report of `why`."""

from __future__ import annotations

from typing import Any

import click
import pytest

from tests.unit.cli.objects import NOW, active, at, condition, pod, seen
from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.cli.cluster import Surroundings
from tolstoy_operator.cli.view import CredentialView
from tolstoy_operator.cli.why import Report


def env_pod(key: str = "accessToken", **body: Any) -> dict[str, Any]:
    reference = {"secretKeyRef": {"name": "github", "key": key}}
    container = {"name": "web", "env": [{"name": "TOKEN", "valueFrom": reference}]}
    return pod("web-a", {"containers": [container]}, **body)


def report(credential: CredentialView, **around: Any) -> list[str]:
    lines = Report(credential, Surroundings(**around), NOW).lines()
    return [click.unstyle(line) for line in lines]


def section(lines: list[str], title: str) -> list[str]:
    """The lines of one section, without their indent."""
    if title not in lines:
        return []
    rest = lines[lines.index(title) + 1 :]
    end = rest.index("") if "" in rest else len(rest)
    return [line.removeprefix("  ") for line in rest[:end]]


def test_the_head_says_cause_actor_and_next_try() -> None:
    assert report(seen("github", Reason.ACCESS_DENIED, cause="refused"))[:5] == [
        "shop/github: github for org-abc123",
        "  ready      False (AccessDenied)",
        "  cause      refused",
        "  who acts   the platform team must let the operator read it",
        "  next try   it is tried again with growing pauses, every 5 minutes at most",
    ]


def test_what_the_status_does_not_know_yet_is_said() -> None:
    lines = report(seen(generation=2, deletionTimestamp=at(), spec={"secretName": "db"}))
    assert lines[0] == "shop/github: secret db"
    assert [line.split(maxsplit=1)[1] for line in lines if line.startswith("  note")] == [
        "the spec has changed since; the operator has not looked at it yet",
        "it is being deleted",
    ]


def test_conditions_are_told_by_their_cause() -> None:
    assert section(report(seen("github", Reason.REVOKED, cause="it was revoked")), "Conditions") == [
        "TYPE    STATUS   REASON    SINCE    CAUSE",
        "Ready   False    Revoked   5m ago   it was revoked",
    ]


def test_the_token_with_everything_that_is_known() -> None:
    error = {"code": "RefreshFailing", "message": "no answer", "time": at(minutes=-3)}
    grant = active(
        lastRefreshTime=at(hours=-1),
        refreshTokenExpiresAt=at(days=3),
        rotation="Rotating",
        scopes="repo",
        lastError=error,
    )
    assert section(report(seen(grant=grant)), "Token") == [
        "state                Active",
        "ends                 in 1h (2026-06-01T13:00:00Z)",
        "issued               1h ago (2026-06-01T11:00:00Z)",
        "next refresh         in 50m (2026-06-01T12:50:00Z)",
        "refresh token ends   in 3d (2026-06-04T12:00:00Z)",
        "refresh token        rotating",
        "scopes               repo",
        "last error           RefreshFailing, 3m ago: no answer",
    ]


def test_a_credential_without_a_grant_has_no_token() -> None:
    assert section(report(seen(grant={"state": "NotApplicable"})), "Token") == []


def test_the_secret_and_where_it_comes_from() -> None:
    upstream = {"name": "tolstoy/github/org", "versionId": "v1", "region": "eu-west-1"}
    assert section(report(seen(keys=("a", "b"), status={"upstream": upstream})), "Secret") == [
        "name               github",
        "keys               a, b",
        "last change        5m ago (2026-06-01T11:55:00Z)",
        "upstream           tolstoy/github/org in eu-west-1",
        "upstream version   v1",
    ]


def test_without_a_secret_nobody_reads_it() -> None:
    lines = report(seen(status={"target": None}), pods=[env_pod()])
    assert section(lines, "Secret") == ["name   there is none that the operator has written"]
    assert section(lines, "Read by") == []


def test_an_unused_secret() -> None:
    assert section(report(seen()), "Read by") == [
        "nobody: no pod, Deployment, StatefulSet, DaemonSet or CronJob names this Secret"
    ]


def test_what_could_not_be_read_is_said_and_not_taken_for_unused() -> None:
    lines = report(seen(), unread=["you may not list pods in namespace shop"])
    assert "CronJob that you may read names this Secret" in section(lines, "Read by")[0]
    assert section(lines, "Not shown") == ["you may not list pods in namespace shop"]


def test_a_variable_is_named_with_what_to_do() -> None:
    status = {"containerStatuses": [{"name": "web", "state": {"running": {"startedAt": at(hours=-1)}}}]}
    made = {"ownerReferences": [{"kind": "ReplicaSet", "name": "web-1", "controller": True}]}
    parents = {("ReplicaSet", "web-1"): ("Deployment", "web")}
    lines = report(seen(), pods=[env_pod(status=status, metadata=made)], parents=parents)
    assert section(lines, "Read by") == [
        "Deployment web (1 pod)",
        "  env TOKEN in container web: never changes while the container runs",
        "  started before the last change, so with an old value: web-a",
        "  to do: mount the Secret as a whole volume, without subPath, and read the file; or "
        "kubectl rollout restart deployment/web -n shop after each change",
    ]


def test_a_volume_needs_nothing() -> None:
    container = {"name": "web", "volumeMounts": [{"name": "v", "mountPath": "/etc/github"}]}
    spec = {"containers": [container], "volumes": [{"name": "v", "secret": {"secretName": "github"}}]}
    assert section(report(seen(), templates={("DaemonSet", "web"): spec}), "Read by") == [
        "DaemonSet web (no pods at present)",
        "  volume /etc/github in container web: follows the Secret, at once or within about a minute",
    ]


@pytest.mark.parametrize(("merges", "told"), [(False, True), (True, False)])
def test_a_key_that_is_not_there(merges: bool, told: bool) -> None:
    policy = {"target": {"creationPolicy": "Merge"}} if merges else {}
    credential = seen(spec={"tool": "github", "orgId": "org", **policy})
    lines = section(report(credential, pods=[env_pod("missing")]), "Read by")
    assert any("does not hold missing" in line for line in lines) is told


def event(name: str, **fields: Any) -> dict[str, Any]:
    body = {"type": "Warning", "reason": name, "message": "m", "metadata": {"creationTimestamp": at(hours=-9)}}
    return {**body, **fields}


def test_events_by_time_whichever_way_they_tell_it() -> None:
    events = [
        event("Third", eventTime=at(minutes=-2)),
        event("First"),
        event("Last", eventTime=at(hours=-8), series={"lastObservedTime": at(minutes=-1)}),
        event("Second", lastTimestamp=at(minutes=-3), eventTime=None),
    ]
    lines = section(report(seen(), events=events), "Events")
    assert [line.split()[0] + line.split()[3] for line in lines[1:]] == ["9hFirst", "3mSecond", "2mThird", "1mLast"]


def test_only_the_latest_events() -> None:
    events = [event(f"E{number}", eventTime=at(minutes=-number)) for number in range(30)]
    lines = section(report(seen(), events=events), "Events")
    assert [line.split()[3] for line in lines[1:]] == [f"E{number}" for number in range(9, -1, -1)]


def test_what_others_wrote_cannot_steer_the_terminal() -> None:
    hostile = "x\x1b]0;title\x07\ny"
    credential = seen(
        "github",
        Reason.SYNCED,
        cause=hostile,
        grant=active(scopes=hostile),
        status={"conditions": [condition("Ready", "True", "Synced", hostile)]},
    )
    for line in report(credential, events=[event(hostile, message=hostile)], unread=[hostile]):
        assert line.isprintable() or line == ""
