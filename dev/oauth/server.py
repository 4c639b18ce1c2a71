"""A real authorization server on this machine: rotation, reuse detection, revocation, introspection.

    with OAuthServer(access_token_ttl=20) as server:
        grant = server.seed("post", "org-abc123")
        ...
        assert server.state().revoked_families == 0

The server is the certified npm package `oidc-provider`. Its packages are installed once, exactly as the lock file says,
into the cache outside the tree.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from dev.controlplane.gobuild import cache_root
from dev.oauth.launch import Program, StartError

HERE = Path(__file__).parent
CLIENT_SECRET = "s3cr:et/+ %41&="
"""A secret in which every character that tells the encodings apart occurs."""

CLIENTS: tuple[dict[str, Any], ...] = (
    {"client_id": "basic", "client_secret": CLIENT_SECRET, "token_endpoint_auth_method": "client_secret_basic"},
    {"client_id": "post", "client_secret": CLIENT_SECRET, "token_endpoint_auth_method": "client_secret_post"},
    {
        "client_id": "public",
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
    },
)


@dataclass(frozen=True)
class Grant:
    """One consent: the tokens that a consent application would have stored. `expires_in` in seconds."""

    id: str
    refresh_token: str
    access_token: str
    expires_in: int


@dataclass(frozen=True)
class Family:
    """All refresh tokens that descend from one consent. `requests`: how often each was offered, oldest first."""

    client: str
    account: str
    revoked: bool
    requests: tuple[int, ...]
    accepted: tuple[int, ...]


@dataclass(frozen=True)
class State:
    """What the server counted. `strangers`: refresh tokens offered that it never issued."""

    requests: int
    accepted: int
    refused: int
    strangers: int
    revoked_families: int
    errors: dict[str, int]
    families: dict[str, Family]


class OAuthServer:
    """The server as a child process; a context manager."""

    def __init__(
        self,
        *,
        access_token_ttl: int = 60,
        refresh_token_ttl: int = 86_400,
        rotate: bool = True,
        grace: float = 0,
        old_access_token_dies: bool = False,
        clients: Sequence[dict[str, Any]] = CLIENTS,
        port: int = 0,
    ) -> None:
        """Times in seconds. `grace`: how long a used refresh token still works. `port` 0: any free one."""
        config = {
            "accessTokenTtl": access_token_ttl,
            "refreshTokenTtl": refresh_token_ttl,
            "rotate": rotate,
            "grace": grace,
            "oldAccessTokenDies": old_access_token_dies,
            "clients": list(clients),
            "port": port,
        }
        self._program = Program(["node", _install(), json.dumps(config)], {"NODE_NO_WARNINGS": "1"})
        self.url = self._program.url
        self.token_endpoint = f"{self.url}/token"
        self.revocation_endpoint = f"{self.url}/token/revocation"
        self.introspection_endpoint = f"{self.url}/token/introspection"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server."""
        self._program.stop()

    def seed(self, client: str, account: str = "account") -> Grant:
        """A consent of one account."""
        return self.seed_many(client, account, 1)[0]

    def seed_many(self, client: str, account: str, count: int) -> list[Grant]:
        """Consents of many accounts, `<account>-0` and so on."""
        made = self._program.call("/_control/grants", {"client": client, "account": account, "count": count})
        return [Grant(item["grantId"], item["refreshToken"], item["accessToken"], item["expiresIn"]) for item in made]

    def withdraw(self, grant_id: str) -> None:
        """The account ends its consent."""
        self._program.call("/_control/revoke", {"grantId": grant_id})

    def change(self, **settings: object) -> None:
        """Change `rotate`, `grace`, `accessTokenTtl` or `oldAccessTokenDies` from now on."""
        self._program.call("/_control/settings", settings)

    def state(self) -> State:
        """What was counted so far."""
        raw = self._program.call("/_control/state")
        return State(
            requests=raw["requests"],
            accepted=raw["accepted"],
            refused=raw["refused"],
            strangers=raw["strangers"],
            revoked_families=raw["revokedFamilies"],
            errors=raw["errors"],
            families={grant_id: _family(item) for grant_id, item in raw["families"].items()},
        )


def _family(item: dict[str, Any]) -> Family:
    return Family(
        client=item["client"],
        account=item["account"],
        revoked=item["revoked"],
        requests=tuple(token["accepted"] + token["refused"] for token in item["tokens"]),
        accepted=tuple(token["accepted"] for token in item["tokens"]),
    )


def _install() -> Path:
    """The server's script beside its packages in the cache. Raises `StartError` when npm cannot install them."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise StartError(f"{program} is needed (Node.js 20 or newer)")
    lock = HERE / "package-lock.json"
    script = HERE / "server.mjs"
    home = cache_root() / f"oauth-{_digest(lock)}"
    target = home / f"server-{_digest(script)}.mjs"
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_suffix(".lock").open("w") as mutex:
        fcntl.flock(mutex, fcntl.LOCK_EX)
        if not (home / "node_modules").exists():
            _npm_ci(home)
        if not target.exists():
            partial = target.with_suffix(f".{os.getpid()}")
            shutil.copyfile(script, partial)
            partial.rename(target)
    return target


def _npm_ci(home: Path) -> None:
    partial = home.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copyfile(HERE / name, partial / name)
    result = subprocess.run(
        ["npm", "ci", "--ignore-scripts"],
        cwd=partial,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise StartError(f"npm ci failed:\n{result.stderr[-2000:]}")
    shutil.rmtree(home, ignore_errors=True)
    partial.rename(home)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
