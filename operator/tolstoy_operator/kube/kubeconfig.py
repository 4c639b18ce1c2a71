"""The cluster of a person: their kubeconfig, as kubectl reads it.

The library does the authentication, with three corrections. Of several files in `KUBECONFIG` the first that names a
current context wins, as with kubectl (the library takes the last, and would ask another cluster). A login program that
fails is an error (the library goes on as nobody). And what is wrong with a file is told by place, because the texts of
the parser repeat lines of the file, which holds tokens.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import ConfigException, load_kube_config

_USUAL = "~/.kube/config"
_DEFAULT_NAMESPACE = "default"


class KubeconfigError(Exception):
    """The kubeconfig does not lead to a cluster. The message says why, without repeating what the file holds."""


@dataclass(frozen=True)
class UserCluster:
    """How to reach the API server as that person, and the namespace that their context stands for."""

    configuration: Configuration
    context: str
    namespace: str


async def load_user_cluster(kubeconfig: str | None = None, context: str | None = None) -> UserCluster:
    """`kubeconfig`: a path; None: `$KUBECONFIG` (one or several), else `~/.kube/config`. `context`: None: the current.

    Nothing is written back into the files. Raises `KubeconfigError`.
    """
    given = kubeconfig or os.environ.get("KUBECONFIG") or _USUAL
    contents = {path: _read(path) for path in _files(given)}
    if not contents:
        raise KubeconfigError(f"there is no kubeconfig: {given} does not exist")
    chosen = context or next((item["current-context"] for item in contents.values() if item.get("current-context")), "")
    if not chosen:
        raise KubeconfigError(f"current-context is not set in {given}")
    entry = _named(contents, "contexts", chosen, "context")
    if entry is None:
        raise KubeconfigError(f"context {chosen!r} is not in {given}")
    configuration = Configuration()
    try:
        await load_kube_config(given, context=chosen, client_configuration=configuration, persist_config=False)
    except ConfigException as error:
        raise KubeconfigError(f"context {chosen!r} of {given} cannot be used: {error}") from None
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:  # shapes that the library expects
        raise KubeconfigError(f"context {chosen!r} of {given} cannot be used ({type(error).__name__})") from None
    user = _named(contents, "users", str(entry.get("user")), "user") or {}
    if "exec" in user and not configuration.api_key and not configuration.cert_file:
        raise KubeconfigError(f"the login program that context {chosen!r} of {given} names gave no credentials")
    return UserCluster(configuration, chosen, str(entry.get("namespace") or _DEFAULT_NAMESPACE))


def _files(given: str) -> list[Path]:
    paths = [Path(part).expanduser() for part in given.split(os.pathsep) if part]
    return [path for path in paths if path.exists()]


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise KubeconfigError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise KubeconfigError(f"{path}{where}: this is not YAML") from None
    if not isinstance(content, dict):
        raise KubeconfigError(f"{path}: this is not a kubeconfig")
    return content


def _named(contents: dict[Path, dict[str, Any]], section: str, name: str, member: str) -> dict[str, Any] | None:
    for content in contents.values():
        for item in content.get(section) or ():
            if isinstance(item, dict) and item.get("name") == name:
                return dict(item.get(member) or {})
    return None
