"""Which cluster a kubeconfig stands for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tolstoy_operator.kube.kubeconfig import KubeconfigError, load_user_cluster

TOKEN = "t0p-s3cret-token"


def config(name: str, *, current: bool = True, namespace: str | None = None) -> dict[str, Any]:
    place = {"namespace": namespace} if namespace else {}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        **({"current-context": name} if current else {}),
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}.example:6443"}}],
        "users": [{"name": name, "user": {"token": TOKEN}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, **place}}],
    }


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes files and sets KUBECONFIG to them."""

    def put(*contents: dict[str, Any] | str) -> list[Path]:
        files = [tmp_path / f"config-{number}" for number in range(len(contents))]
        for path, content in zip(files, contents, strict=True):
            path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, files)))
        return files

    return put


async def test_the_context_stands_for_a_cluster_a_person_and_a_namespace(write: Any) -> None:
    write(config("one", namespace="shop"))
    user = await load_user_cluster()
    assert (user.context, user.namespace, user.configuration.host) == ("one", "shop", "https://one.example:6443")
    assert user.configuration.api_key == {"BearerToken": f"Bearer {TOKEN}"}


async def test_a_context_without_a_namespace_stands_for_default(write: Any) -> None:
    write(config("one"))
    assert (await load_user_cluster()).namespace == "default"


async def test_of_several_files_the_first_current_context_wins_as_with_kubectl(write: Any) -> None:
    write(config("zero", current=False), config("one"), config("two"))
    assert (await load_user_cluster()).configuration.host == "https://one.example:6443"


async def test_a_context_can_be_chosen_from_any_file(write: Any) -> None:
    write(config("one"), config("two", namespace="other"))
    user = await load_user_cluster(context="two")
    assert (user.configuration.host, user.namespace) == ("https://two.example:6443", "other")


async def test_a_given_file_comes_before_the_environment(write: Any, tmp_path: Path) -> None:
    write(config("one"))
    given = tmp_path / "given"
    given.write_text(yaml.safe_dump(config("given")))
    assert (await load_user_cluster(str(given))).context == "given"


async def test_files_are_not_written_to(write: Any) -> None:
    [path] = write(config("one"))
    before = path.read_bytes(), path.stat().st_mtime_ns
    await load_user_cluster()
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def without(section: str) -> dict[str, Any]:
    return {key: value for key, value in config("one").items() if key != section}


@pytest.mark.parametrize(
    ("content", "context", "said"),
    [
        (config("one", current=False), None, "current-context is not set"),
        (config("one"), "two", "context 'two' is not in"),
        (without("clusters"), None, "cannot be used"),
        ("[]", None, "not a kubeconfig"),
        (f"users: [{{name: x, user: {{token: {TOKEN}", None, "line 1: this is not YAML"),
        ({**config("one"), "clusters": "none"}, None, "cannot be used"),
        ({**config("one"), "users": [{"name": "one", "user": {"exec": {}}}]}, None, "gave no credentials"),
    ],
)
async def test_what_is_wrong_is_told_by_place(write: Any, content: Any, context: str | None, said: str) -> None:
    write(content)
    with pytest.raises(KubeconfigError) as caught:
        await load_user_cluster(context=context)
    assert said in str(caught.value)
    assert TOKEN not in str(caught.value)


async def test_no_file_at_all(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="does not exist"):
        await load_user_cluster(str(tmp_path / "none"))


async def test_a_login_program_is_run(write: Any, tmp_path: Path) -> None:
    program = tmp_path / "login"
    status = '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "fresh"}}'
    program.write_text(f"#!/bin/sh\necho '{status}'\n")
    program.chmod(0o755)
    login = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(program)}}
    write({**config("one"), "users": [{"name": "one", "user": login}]})
    assert (await load_user_cluster()).configuration.api_key == {"BearerToken": "Bearer fresh"}
