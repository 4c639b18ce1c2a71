"""Options, exit codes and what goes where, with a cluster that is given."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

import pytest
from click.testing import CliRunner, Result

import tolstoy_operator.cli
from tests.support import docs
from tests.unit.cli.objects import credential
from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.cli import commands
from tolstoy_operator.cli.cluster import Surroundings
from tolstoy_operator.cli.errors import CliError

PAGE = "cli.md"
TOKENS = '{"accessToken": "cAnArY"}'
ENDED = {"state": "Expiring", "expiresAt": "2026-01-01T00:00:00Z"}


class FakeCluster:
    """Credentials that are given; it records the namespaces that were asked for."""

    namespace = "from-context"

    def __init__(self, *credentials: dict[str, Any]) -> None:
        self.items = credentials
        self.asked: list[str | None] = []
        self.deleted = False
        self.farewell = "Revoked"
        self.handed_over: dict[str, str] = {}

    async def credentials(self, namespace: str | None) -> list[dict[str, Any]]:
        self.asked.append(namespace)
        return list(self.items)

    async def credential(self, namespace: str, name: str) -> dict[str, Any]:
        self.asked.append(namespace)
        return self.items[0]

    async def ask_for_sync(self, namespace: str, name: str, mark: str) -> dict[str, Any]:
        handled = {**self.items[0]["status"], "lastHandledForceSync": mark}
        metadata = {**self.items[0]["metadata"], "annotations": {"tolstoy.dev/force-sync": mark}}
        self.items = ({**self.items[0], "metadata": metadata, "status": handled}, *self.items[1:])
        return self.items[0]

    async def change_spec(self, namespace: str, name: str, uid: str, spec: dict[str, Any]) -> dict[str, Any]:
        finalizers = {"finalizers": ["tolstoy.dev/revoke"]}  # the operator is quick
        self.items = ({**self.items[0], "metadata": {**self.items[0]["metadata"], **finalizers}},)
        return self.items[0]

    async def find_credential(self, namespace: str, name: str, uid: str) -> dict[str, Any] | None:
        return None if self.deleted else self.items[0]

    async def delete_credential(self, namespace: str, name: str, uid: str) -> None:
        self.deleted = True

    async def events(self, namespace: str, uid: str) -> list[dict[str, Any]]:
        return [{"type": "Normal", "reason": self.farewell, "message": "m", "metadata": {}}]

    async def create_secret(self, namespace: str, manifest: dict[str, Any]) -> bool:
        self.handed_over = manifest["stringData"]
        return True

    async def secret_metadata(self, namespace: str, name: str) -> dict[str, Any] | None:
        return None  # the operator is quick

    async def surroundings(self, namespace: str, uid: str, secret: str | None) -> Surroundings:
        event = {"type": "Normal", "reason": "Synced", "message": "m", "metadata": {}}
        spec = {"containers": [{"name": "web", "envFrom": [{"secretRef": {"name": secret}}]}]}
        return Surroundings(templates={("Deployment", "web"): spec}, events=[event])

    async def workloads(self, namespace: str, secrets: Collection[str]) -> Surroundings:
        specs = [{"containers": [{"name": "web", "envFrom": [{"secretRef": {"name": name}}]}]} for name in secrets]
        return Surroundings(templates={("Deployment", "web"): specs[0]}, unread=["you may not list pods"])


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    fake = FakeCluster(credential(grant=ENDED))

    @asynccontextmanager
    async def opened(kubeconfig: str | None, context: str | None) -> AsyncIterator[FakeCluster]:
        if context == "wrong":
            raise CliError("context 'wrong' is not there", "choose another")
        yield fake

    monkeypatch.setattr(commands, "open_cluster", opened)
    return fake


def run(*args: str, **options: Any) -> Result:
    return CliRunner().invoke(commands.tolstoy, args, prog_name="kubectl tolstoy", **options)


@pytest.mark.parametrize(
    ("args", "asked"),
    [
        ([], "from-context"),
        (["-n", "shop"], "shop"),
        (["--namespace=shop"], "shop"),
        (["-A"], None),
        (["-A", "-n", "shop"], None),
    ],
)
@pytest.mark.parametrize("command", ["status", "expiring"])
def test_the_namespace_is_chosen_as_with_kubectl(
    cluster: FakeCluster, command: str, args: list[str], asked: str | None
) -> None:
    assert run(command, *args).exit_code == 0
    assert cluster.asked == [asked]


@pytest.mark.parametrize("command", ["status", "why", "refresh", "import --from-file=-", "revoke --yes"])
def test_one_credential_is_in_one_namespace(cluster: FakeCluster, command: str) -> None:
    run(*command.split(), "github", "-n", "shop", input=TOKENS)
    assert cluster.asked[0] == "shop"


@pytest.mark.parametrize(
    "args",
    [
        ["status", "github", "-A"],
        ["status", "-o", "yaml"],
        ["expiring", "--within", "soon"],
        ["expiring", "--within", "0s"],
        ["expiring", "github"],
        ["why"],
        ["refresh"],
        ["refresh", "github", "--timeout", "-1s"],
        ["import", "github"],
        ["import", "github", "--from-file", "no/such/file"],
        ["revoke"],
        ["revoke", "github"],
    ],
)
def test_wrong_usage_ends_with_2(cluster: FakeCluster, args: list[str]) -> None:
    result = run(*args)
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert result.stdout == ""
    assert cluster.asked == []


def test_an_error_names_cause_and_next_step_and_ends_with_1(cluster: FakeCluster) -> None:
    result = run("status", "--context", "wrong")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: context 'wrong' is not there\nnext: choose another\n"


@pytest.mark.parametrize(("args", "code"), [([], 0), (["--exit-code"], 1)])
def test_expiring_ends_with_1_only_on_request(cluster: FakeCluster, args: list[str], code: int) -> None:
    assert run("expiring", *args).exit_code == code
    cluster.items = (credential(grant={**ENDED, "expiresAt": "9999-01-01T00:00:00Z"}),)
    assert run("expiring", *args).exit_code == 0


def test_nothing_found_is_said_beside_the_output(cluster: FakeCluster) -> None:
    cluster.items = ()
    for command in ("status", "expiring"):
        assert run(command).stderr == "No ToolCredentials found in from-context namespace.\n"
        assert run(command, "-A").stderr == "No ToolCredentials found.\n"
        assert run(command).stdout == ""
        assert json.loads(run(command, "-o", "json").stdout)["items"] == []
    assert run("status", "-o", "table").stdout == ""


@pytest.mark.parametrize(("reason", "code"), [(Reason.SYNCED, 0), (Reason.ACCESS_DENIED, 1)])
def test_refresh_ends_with_1_when_it_is_not_fine(cluster: FakeCluster, reason: Reason, code: int) -> None:
    cluster.items = (credential("github", reason),)
    assert run("refresh", "github").exit_code == code
    assert run("refresh", "github", "--no-wait").exit_code == 0


def test_import_reads_standard_input_and_shows_nothing_of_it(cluster: FakeCluster) -> None:
    result = run("import", "github", "--from-file", "-", input=TOKENS)
    assert cluster.handed_over == {"accessToken": "cAnArY"}
    assert result.exit_code == 1, "upstream is as it was"
    assert "nothing was stored" in result.stdout
    assert "cAnArY" not in result.output


def test_what_is_no_document_is_not_sent(cluster: FakeCluster) -> None:
    result = run("import", "github", "--from-file", "-", input='{"accessToken": ["cAnArY"]}')
    assert (result.exit_code, result.stdout, cluster.asked, cluster.handed_over) == (1, "", [], {})
    assert 'these are no first tokens: member "accessToken" is not text' in result.stderr
    assert "cAnArY" not in result.output


@pytest.mark.parametrize(
    ("answer", "code", "deleted"), [("y\n", 0, True), ("n\n", 1, False), ("\n", 1, False), ("", 1, False)]
)
def test_revoke_asks_who_is_there(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, deleted: bool
) -> None:
    monkeypatch.setattr(commands, "_somebody_is_there", lambda: True)
    result = run("revoke", "github", input=answer)
    assert (result.exit_code, cluster.deleted) == (code, deleted)
    assert "github will be deleted" in result.stderr
    assert ("is deleted; Revoked: m" in result.stdout) is deleted


@pytest.mark.parametrize(("farewell", "code"), [("Revoked", 0), ("GrantKept", 1), ("RevocationFailed", 1)])
def test_revoke_ends_with_1_when_the_grant_has_not_ended(cluster: FakeCluster, farewell: str, code: int) -> None:
    cluster.farewell = farewell
    assert run("revoke", "github", "--yes").exit_code == code


def test_a_grant_that_others_use_is_only_left_on_request(cluster: FakeCluster) -> None:
    cluster.items = (*cluster.items, credential("other", uid="another"))
    result = run("revoke", "github", "--yes")
    assert (result.exit_code, cluster.deleted) == (1, False)
    assert "shop/other use it too" in result.stderr
    assert "--delete-anyway" in result.stderr
    cluster.farewell = "GrantKept"
    assert run("revoke", "github", "--yes", "--delete-anyway").exit_code == 1
    assert cluster.deleted


def test_colours_are_for_terminals_that_want_them(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" not in run("status").stdout
    assert "\x1b[" in run("status", color=True).stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in run("status", color=True).stdout


def test_output_that_others_wrote_is_escaped_in_json(cluster: FakeCluster) -> None:
    cluster.items = (credential("github", Reason.SYNCED, cause="\x1b[2J\x9b"),)
    assert run("status", "-o", "json").stdout.replace("\n", "").isprintable()


def flat(prefix: str, value: Any) -> set[str]:
    """The paths of a JSON value, as the page writes them."""
    if isinstance(value, list):
        return {prefix} | flat(f"{prefix}[]", value[0]) if value and isinstance(value[0], dict) else {prefix}
    if isinstance(value, dict):
        inner = set().union(*(flat(f"{prefix}.{key}".lstrip("."), item) for key, item in value.items()))
        return inner | ({prefix} if prefix and not prefix.endswith("[]") else set())
    return {prefix}


@pytest.mark.parametrize(
    ("args", "column", "inside"),
    [
        (["status"], "member of `items[]`", "items"),
        (["why", "github"], "member of `Explanation`", ""),
        (["refresh", "github"], "member of `Refresh`", ""),
        (["import", "github", "--from-file", "-"], "member of `Import`", ""),
        (["revoke", "github", "--yes"], "member of `Revocation`", ""),
    ],
)
def test_the_json_is_as_the_page_says(cluster: FakeCluster, args: list[str], column: str, inside: str) -> None:
    error = {"code": "RefreshFailing", "message": "m", "time": "2026-01-01T00:00:00Z"}
    upstream = {"name": "n", "arn": "a", "versionId": "v", "region": "r"}
    cluster.items = (credential(grant={**ENDED, "lastError": error}, status={"upstream": upstream}),)
    answer = json.loads(run(*args, "-o", "json", input=TOKENS).stdout)
    assert answer["apiVersion"] == "cli.tolstoy.dev/v1"
    subject = answer[inside][0] if inside else {key: part for key, part in answer.items() if key != "credential"}
    listed = {row[0].strip("`") for row in docs.table(PAGE, column)}
    assert flat("", subject) == listed


def test_every_option_is_on_the_page() -> None:
    page = docs.text(PAGE)
    for name, command in commands.tolstoy.commands.items():
        assert f"kubectl tolstoy {name}" in page
        for option in command.params:
            for flag in option.opts if option.param_type_name == "option" else ():
                assert f"`{flag}" in page or f" {flag}" in page, flag


def test_an_unexpected_error_shows_no_traceback_and_no_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(**_: object) -> None:
        raise RuntimeError("a value that was read")

    monkeypatch.setattr(commands, "tolstoy", broken)
    with pytest.raises(SystemExit) as ended:
        tolstoy_operator.cli.main()
    assert ended.value.code == 1
    shown = capsys.readouterr().err
    assert "unexpected RuntimeError in broken" in shown
    assert "a value that was read" not in shown


@pytest.mark.usefixtures("cluster")
def test_who_reads_the_secrets_is_told_on_request() -> None:
    assert "read by" not in run("status").stdout
    result = run("status", "--readers")
    assert "read by Deployment web: env never sees a change" in result.stdout
    assert result.stderr == "not shown: you may not list pods\n"
    (item,) = json.loads(run("status", "--readers", "-o", "json").stdout)["items"]
    assert [(reader["kind"], reader["uses"][0]["mode"]) for reader in item["readers"]] == [("Deployment", "env")]
    assert run("status", "--readers", "-o", "table").exit_code == 2
