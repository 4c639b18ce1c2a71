"""Settings out of range: the process says which, in one line each, and ends with 2 before anything has started."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tolstoy_operator.__main__ import main
from tolstoy_operator.settings import Settings, SettingsError, load_settings

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[3]

RunHere = Callable[..., subprocess.CompletedProcess[str]]

WRONG = {
    "USE_AWS_SECRETS": "perhaps",
    "AWS_REGION": "the-moon",
    "ALLOWED_REGIONS": "eu-west-1,the-moon",
    "AWS_SECRET_NAME": "",
    "SQLITE_PATH": "",
    "SECRETS_CACHE_DURATION_MS": "-1",
    "SECRETS_STALE_MAX_AGE_S": "0",
    "SECRETS_SWEEP_INTERVAL_S": "-0.5",
    "SECRETS_FULL_SWEEP_INTERVAL_S": "1e9",
    "RESYNC_INTERVAL_S": "nan",
    "UNBIND_GRACE_S": "inf",
    "STALL_AFTER_S": "ten minutes",
    "WATCH_NAMESPACES": "shop,No",
    "WORKERS": "0",
    "IMMEDIATE_PROPAGATION": "sometimes",
    "SECRETS_WRITES_PER_SECOND": "51",
    "POD_TOUCHES_PER_SECOND": "0",
    "RESTART_WORKLOADS": "sometimes",
    "LEADER_ELECTION": "sometimes",
    "POD_NAME": "",
    "POD_NAMESPACE": "x" * 64,
    "HTTP_HOST": "",
    "HTTP_PORT": "65536",
    "METRICS_PER_CREDENTIAL": "2",
    "LOG_LEVEL": "chatty",
    "CLUSTER_ID": "no spaces",
    "EXCLUSIVE_REFRESH": "sometimes",
    "SOLE_WRITER": "sometimes",
    "REFRESH_TIME_SCALE": "2",
    "ALLOW_SHARED_REVOCATION": "sometimes",
    "REVOCATION_TIMEOUT_S": "0",
    "VALIDATE_TOKENS": "sometimes",
    "REFRESH_WORKERS": "257",
}
FREE_TEXT = {"TOKEN_ENDPOINT_HOSTS", "TOKEN_ENDPOINT_NETWORKS", "TOKEN_ENDPOINT_ORIGINS", "PROVIDERS_DIR"}
"""Judged where they are used, see `test_what_only_its_user_can_judge_ends_the_start_as_well`."""


def surround(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> None:
    """Let these be the only settings of this process."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, text in environment.items():
        monkeypatch.setenv(name, text)


def run(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    base = {key: text for key, text in os.environ.items() if key in {"PATH", "HOME", "TMPDIR", "LANG"}}
    return subprocess.run(
        [sys.executable, "-m", "tolstoy_operator", *args],
        env={**base, "PYTHONPATH": str(ROOT / "operator"), **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunHere:
    """Like `run`, for what ends before anything starts: within this process, where it takes no half second."""

    def call(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        surround(monkeypatch, environment)
        monkeypatch.setattr(sys, "argv", ["tolstoy_operator", *args])
        code = main()
        said = capsys.readouterr()
        return subprocess.CompletedProcess(args, code, said.out, said.err)

    return call


def test_each_wrong_setting_gets_one_line_and_the_process_ends_with_2() -> None:
    done = run(**WRONG)
    title, *lines = done.stderr.splitlines()
    assert done.returncode == 2
    assert title == "settings:"
    assert sorted(line.partition(":")[0] for line in lines) == sorted(WRONG)
    assert not re.search(r"pattern|[\[^$]", done.stderr), "nothing is told by a regular expression"
    assert done.stdout == ""


def test_the_values_are_not_repeated() -> None:
    done = run(AWS_REGION="AKIA-IN-THE-WRONG-PLACE", LOG_LEVEL="hunter2")
    assert done.returncode == 2
    assert "AKIA" not in done.stderr
    assert "hunter2" not in done.stderr


def test_every_setting_is_tried() -> None:
    assert WRONG.keys() | FREE_TEXT == {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({}, "AWS_REGION must be set"),
        ({"AWS_REGION": "the moon"}, "AWS_REGION: must be the name of a region, such as eu-west-1$"),
        ({"AWS_REGION": "us-east-1", "ALLOWED_REGIONS": "eu-west-1,eu-west-3"}, "is not one of ALLOWED_REGIONS"),
        ({"AWS_REGION": "us-east-1", "ALLOWED_REGIONS": "us-east-1,x"}, "ALLOWED_REGIONS: must be names of regions"),
        (
            {"AWS_REGION": "us-east-1", "AWS_SECRET_NAME": "arn:aws:secretsmanager:eu-west-1:1:secret:db-abcdef"},
            "AWS_SECRET_NAME: must be the name of a secret.*an ARN is none",
        ),
        ({"AWS_REGION": "us-east-1", "WATCH_NAMESPACES": "a,-b"}, "WATCH_NAMESPACES: must be names of namespaces"),
        ({"AWS_REGION": "us-east-1", "WATCH_NAMESPACES": "a"}, "CLUSTER_ID must be set with WATCH_NAMESPACES"),
        ({"AWS_REGION": "us-east-1", "CLUSTER_ID": "no spaces"}, "CLUSTER_ID: must be 63 letters"),
        ({"AWS_REGION": "us-east-1", "SECRETS_CACHE_DURATION_MS": "86400001"}, "SECRETS_CACHE_DURATION_MS: "),
        ({"AWS_REGION": "us-east-1", "SECRETS_CACHE_DURATION_MS": "5 minutes"}, "SECRETS_CACHE_DURATION_MS: "),
        ({"AWS_REGION": "us-east-1", "WORKERS": "257"}, "WORKERS: "),
        ({"AWS_REGION": "us-east-1", "HTTP_PORT": "-1"}, "HTTP_PORT: "),
        ({"AWS_REGION": "us-east-1", "UNBIND_GRACE_S": ""}, "UNBIND_GRACE_S: "),
        ({"AWS_REGION": "us-east-1", "EXCLUSIVE_REFRESH": "true"}, "CLUSTER_ID must be set"),
        ({"AWS_REGION": "us-east-1", "SOLE_WRITER": "true"}, "SOLE_WRITER needs EXCLUSIVE_REFRESH"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_what_it_says(environment: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    surround(monkeypatch, environment)
    with pytest.raises(SettingsError, match=says):
        load_settings()


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    """Settings with which a start would go on, with an API server that is not there."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        """
        current-context: it
        clusters: [{name: it, cluster: {server: "http://127.0.0.1:1"}}]
        contexts: [{name: it, context: {cluster: it, user: me}}]
        users: [{name: me, user: {}}]
        """
    )
    return {"AWS_REGION": "us-east-1", "CLUSTER_ID": "here", "KUBECONFIG": str(kubeconfig)}


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("TOKEN_ENDPOINT_HOSTS", "idp.example.com,https://idp.example.com/token", "is not a host name"),
        ("TOKEN_ENDPOINT_NETWORKS", "10.0.0.0/8,10.1.2.3/16", "has host bits set"),
        ("TOKEN_ENDPOINT_ORIGINS", "http://127.0.0.1:9/path", "not a scheme, a host and a port"),
        ("PROVIDERS_DIR", "/no/such/directory", "cannot be read"),
        ("KUBECONFIG", "/no/such/file", "there is no kubeconfig"),
    ],
)
def test_what_only_its_user_can_judge_ends_the_start_as_well(
    nowhere: dict[str, str], name: str, text: str, says: str
) -> None:
    done = run(**nowhere | {name: text})
    title, line = done.stderr.splitlines()
    assert (done.returncode, title) == (2, "settings:")
    assert name in line
    assert says in line


def test_a_providers_file_that_is_no_entry_is_told_by_name(nowhere: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text("rotation: perhaps\n")
    done = run(**nowhere, PROVIDERS_DIR=str(tmp_path))
    assert done.returncode == 2
    assert "acme.yaml: " in done.stderr


class TestTheIamPolicy:
    """`iam-policy` prints what these settings need, and starts nothing."""

    def test_it_is_for_the_settings_in_use(self) -> None:
        done = run("iam-policy", "--account", "123456789012", AWS_REGION="eu-west-3", AWS_SECRET_NAME="db")
        read, *_ = json.loads(done.stdout)["Statement"]
        base = "arn:aws:secretsmanager:eu-west-3:123456789012:secret"
        assert (done.returncode, done.stderr) == (0, "")
        assert read["Resource"] == [f"{base}:tolstoy/*", f"{base}:db-??????"]

    @pytest.mark.parametrize(
        ("args", "environment", "says"),
        [
            ((), {}, "--account"),
            (("--account", "1"), {}, "must be twelve digits"),
            (("--account", "123456789012", "--organisation", "org*"), {}, "must be letters, digits and _ +"),
            (("--account", "123456789012", "--secret", "db-??????"), {}, "must be letters, digits and / _"),
            (("--account", "123456789012", "--key", "alias/mine"), {}, "must be the ARN of a KMS key"),
            (
                ("--account", "123456789012", "--key", "arn:aws:kms:eu-west-1:123456789012:key/1"),
                {},
                "is no key of AWS_REGION",
            ),
            (("--account", "123456789012"), {"USE_AWS_SECRETS": "false"}, "no policy is needed"),
            (("--account", "123456789012"), {"ALLOWED_REGIONS": "eu-west-1"}, "is not one of ALLOWED_REGIONS"),
        ],
        ids=lambda part: " ".join(part) if isinstance(part, tuple) else "",
    )
    def test_what_makes_no_sense_is_refused(
        self, here: RunHere, args: tuple[str, ...], environment: dict[str, str], says: str
    ) -> None:
        done = here("iam-policy", *args, **{"AWS_REGION": "us-east-1", **environment})
        assert (done.returncode, done.stdout) == (2, "")
        assert says in done.stderr


@pytest.mark.parametrize("args", [("frobnicate",), ("run", "twice")])
def test_unknown_commands_are_told_the_usage(here: RunHere, args: tuple[str, ...]) -> None:
    done = here(*args, AWS_REGION="us-east-1")
    assert done.returncode == 2
    assert done.stderr.startswith("usage:")
