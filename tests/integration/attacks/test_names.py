"""Another organisation's secret, asked for by every name that might be taken for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dev.testbed import eventually
from tests.integration.attacks.conftest import PREY, Scene
from tests.integration.operator.conftest import NewTenant
from tests.integration.operator.tenant import api_key, value
from tests.support.kubeapi import APPLY_PATCH, JSON_PATCH, credential

pytestmark = pytest.mark.integration

Spelling = Callable[[str], dict[str, Any]]
"""From the victim's organisation to a spec."""

ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:tolstoy/github/"
ELSEWHERE = ARN.replace("us-east-1", "eu-west-1")


def org(write: Callable[[str], str], tool: str = "github") -> Spelling:
    return lambda victim: {"tool": tool, "orgId": write(victim)}


def name(write: Callable[[str], str]) -> Spelling:
    return lambda victim: {"secretName": write(victim)}


SPELLINGS: dict[str, Spelling] = {
    "as it is": org(lambda victim: victim),
    "upper case": org(str.upper),
    "title case": org(str.title),
    "a space behind": org(lambda victim: f"{victim} "),
    "a newline behind": org(lambda victim: f"{victim}\n"),
    "a null byte": org(lambda victim: f"{victim}\0"),
    "a zero-width joiner": org(lambda victim: f"{victim}\u200d"),
    "a byte order mark": org(lambda victim: f"\ufeff{victim}"),
    "a Cyrillic o": org(lambda victim: victim.replace("o", "\u043e", 1)),
    "full-width letters": org(lambda victim: "".join(chr(ord(char) + 0xFEE0) for char in victim)),
    "a combining accent": org(lambda victim: f"{victim}\u0301"),
    "a hyphen that is none": org(lambda victim: victim.replace("-", "\u2010")),
    "a suffix as in an ARN": org(lambda victim: f"{victim}-a1B2c3"),
    "a wildcard": org(lambda victim: f"{victim[:-1]}*"),
    "a question mark": org(lambda victim: f"{victim[:-1]}?"),
    "two organisations": org(lambda victim: f"org-own,{victim}"),
    "a dot before": org(lambda victim: f".{victim}"),
    "a path": org(lambda victim: f"../github/{victim}"),
    "a path behind": org(lambda victim: f"x/../{victim}"),
    "an encoded slash": org(lambda victim: f"..%2Fgithub%2F{victim}"),
    "a doubly encoded slash": org(lambda victim: f"..%252F{victim}"),
    "a backslash": org(lambda victim: f"..\\{victim}"),
    "a whole name as organisation": org(lambda victim: f"tolstoy/github/{victim}"),
    "an ARN as organisation": org(lambda victim: f"{ARN}{victim}"),
    "a path as tool": org(lambda victim: victim, tool="../tolstoy/github"),
    "the tool in upper case": org(lambda victim: victim, tool="GITHUB"),
    "an empty tool": org(lambda victim: victim, tool=""),
    "its secret by name": name(lambda victim: f"tolstoy/github/{victim}"),
    "its secret by name in upper case": name(lambda victim: f"TOLSTOY/GITHUB/{victim}"),
    "its secret by name with two slashes": name(lambda victim: f"tolstoy//github/{victim}"),
    "its secret by name with a slash before": name(lambda victim: f"/tolstoy/github/{victim}"),
    "its secret by name with a slash behind": name(lambda victim: f"tolstoy/github/{victim}/"),
    "its secret by a path": name(lambda victim: f"tolstoy/github/own/../{victim}"),
    "its secret by an encoded path": name(lambda victim: f"tolstoy%2Fgithub%2F{victim}"),
    "its secret by name and suffix": name(lambda victim: f"tolstoy/github/{victim}-a1B2c3"),
    "its secret by ARN": name(lambda victim: f"{ARN}{victim}-a1B2c3"),
    "its secret by partial ARN": name(lambda victim: f"{ARN}{victim}"),
    "its secret by ARN of another region": name(lambda victim: f"{ELSEWHERE}{victim}-a1B2c3"),
    "its secret by ARN in upper case": name(lambda victim: f"{ARN}{victim}".replace("arn", "ARN")),
    "an own organisation and its secret by name": lambda victim: {
        "tool": "github",
        "orgId": "own",
        "secretName": f"tolstoy/github/{victim}",
    },
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_victims_secret_by(scene: Scene, spelling: str) -> None:
    answer = scene.apply(**SPELLINGS[spelling](scene.victim.org))
    assert answer.status in (403, 422), answer
    scene.nothing_was_taken()


@pytest.mark.usefixtures("no_policy")
class TestWithoutAdmission:
    """The same, where only the operator stands in the way; what the CRD refuses is refused all the same."""

    @pytest.mark.parametrize("spelling", SPELLINGS)
    def test_the_victims_secret_by(self, scene: Scene, spelling: str) -> None:
        answer = scene.apply("loot", **SPELLINGS[spelling](scene.victim.org))
        if answer.ok:
            scene.attacker.await_reason("NamespaceNotBound", "loot")
            scene.attacker.delete("loot")
        else:
            assert answer.status == 422, answer
        scene.nothing_was_taken()


def test_a_secret_whose_name_goes_on_where_ours_ends(new_tenant: NewTenant) -> None:
    """AWS finds `x-a1B2c3` when it is asked for the partial ARN of `x`: names are asked for, never ARNs."""
    tenant = new_tenant()
    other = f"tolstoy/github/{tenant.org}-a1B2c3"
    tenant.testbed.aws.seed({other: f'{{"apiKey":"{PREY}"}}'})
    tenant.create()
    tenant.await_reason("SecretNotFound")
    assert tenant.secret() is None


class TestChangingAnAcceptedCredential:
    """What was checked when it was created stays what it was."""

    @pytest.fixture(params=["tool and orgId", "secretName"])
    def change(self, request: pytest.FixtureRequest, scene: Scene) -> dict[str, Any]:
        if request.param == "secretName":
            return {"tool": None, "orgId": None, "secretName": scene.victim.upstream()}
        return {"orgId": scene.victim.org}

    def test_by_merge_patch(self, scene: Scene, change: dict[str, Any]) -> None:
        answer = scene.developer.patch(f"{scene.credentials}/own", {"spec": change})
        assert answer.status in (403, 422), answer
        scene.nothing_was_taken()

    def test_by_json_patch_in_one_step(self, scene: Scene, change: dict[str, Any]) -> None:
        spec = {key: text for key, text in {"tool": "github", **change}.items() if text}
        operations = [{"op": "replace", "path": "/spec", "value": spec}]
        answer = scene.developer.patch(f"{scene.credentials}/own", operations, JSON_PATCH)
        assert answer.status in (403, 422), answer
        scene.nothing_was_taken()

    def test_by_forced_server_side_apply(self, scene: Scene, change: dict[str, Any]) -> None:
        body = credential("own", **{key: text for key, text in {"tool": "github", **change}.items() if text})
        path = f"{scene.credentials}/own?fieldManager=attacker&force=true"
        answer = scene.developer.patch(path, body, APPLY_PATCH)
        assert answer.status in (403, 422), answer
        scene.nothing_was_taken()

    def test_through_the_status_by_somebody_who_may_write_it(self, scene: Scene, change: dict[str, Any]) -> None:
        path = f"{scene.credentials}/own"
        body = scene.attacker.admin.get(path).body
        body["spec"] = {key: text for key, text in {**body["spec"], **change}.items() if text is not None}
        assert scene.attacker.admin.request("PUT", f"{path}/status", body).ok
        assert scene.attacker.admin.get(path).body["spec"]["orgId"] == scene.attacker.org
        scene.attacker.force_sync("own")
        scene.nothing_was_taken()

    def test_by_deleting_and_recreating_it(self, scene: Scene) -> None:
        assert scene.apply("again", tool="github", orgId=scene.attacker.org).ok
        scene.attacker.await_reason("Synced", "again")
        assert scene.developer.delete(f"{scene.credentials}/again").ok
        assert scene.apply("again", tool="github", orgId=scene.victim.org).status == 403
        scene.nothing_was_taken()


def test_binding_the_own_namespace_to_the_victim(scene: Scene) -> None:
    path = f"/api/v1/namespaces/{scene.attacker.namespace}"
    body = {"metadata": {"annotations": {"tolstoy.dev/allowed-orgs": scene.victim.org}}}
    for part in ("", "/status", "/finalize"):
        assert scene.developer.patch(path + part, body).status in (403, 404, 405)
    assert scene.apply(tool="github", orgId=scene.victim.org).status == 403


def test_a_namespace_made_anew_inherits_no_binding(new_tenant: NewTenant, scene: Scene) -> None:
    """The binding is the Namespace's own, and goes with it; a stranger who takes the name gets nothing."""
    tenant = new_tenant()
    tenant.store({"apiKey": value("before")})
    tenant.synced()
    path = f"/api/v1/namespaces/{tenant.namespace}"
    tenant.close()
    eventually(lambda: tenant.admin.get(path).status == 404, what="the namespace is gone")
    assert tenant.admin.post("/api/v1/namespaces", {"metadata": {"name": tenant.namespace}}).ok
    with_policy = tenant.admin.post(
        scene.credentials.replace(scene.attacker.namespace, tenant.namespace), _github(tenant.org)
    )
    assert with_policy.status == 403
    assert tenant.secret() is None


def _github(organisation: str) -> dict[str, Any]:
    return credential("github", tool="github", orgId=organisation)


def test_an_upstream_name_of_the_victims_in_a_tool_that_is_not_granted(scene: Scene) -> None:
    """Being bound to an organisation is for its tools; another organisation's is not reached by another tool."""
    scene.victim.store(api_key("slack"), "slack")
    assert scene.apply(tool="slack", orgId=scene.victim.org).status == 403
    assert value("slack") not in scene.loot()
