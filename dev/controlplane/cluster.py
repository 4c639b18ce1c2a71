"""One control plane: its files, its three processes, and the questions that tests and benchmarks put to it.

It starts in seconds, on a port of its own, in a directory of its own that goes away with it, so any number of planes
run side by side. Its parts are found ready by asking them, never by waiting a while.
"""

from __future__ import annotations

import atexit
import contextlib
import http.client
import os
import random
import secrets
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Self

from dev.controlplane import files
from dev.controlplane.audit import POLICY, AuditLog, Request
from dev.controlplane.binaries import Binaries, find_or_build
from dev.controlplane.gobuild import Progress, to_stderr
from dev.controlplane.processes import Child, spawn, stop
from dev.controlplane.reach import CALM_COLLECTOR, run_kubectl

START_TIMEOUT = 60.0
"""Seconds that a part may take to become ready, on a loaded machine too."""

STOP_GRACE = 10.0
"""Seconds in which an API server may finish what it is doing when only it is stopped."""

_PORT_ATTEMPTS = 5
_PORTS = range(20000, 32000)  # below what Linux hands out to clients, so no client sits on it during a restart
_MANAGER = "system:kube-controller-manager"
_ETCD = "unix://etcd:0"  # a socket called "etcd:0" in the working directory: no port, and nobody else gets in


class ControlPlaneError(RuntimeError):
    """A part did not start, or stopped by itself; the message holds the end of its log."""


class ControlPlane:
    """A Kubernetes cluster without nodes, for one user on one machine.

    Use it as a context manager, or call `start` and `stop`. It also stops when this process ends, however it ends.

    - `dir`: everything it writes; `logs/` holds a file for each process
    - `url`, `ca_file`, `token`: the API server, and an administrator's token
    - `kubeconfig`: the administrator's kubeconfig
    - `binaries`: the programs in use
    """

    host = "127.0.0.1"
    """Where clients reach the API server, and a name of its certificate."""

    _prefix = "tolstoy-controlplane-"
    _authorizers: Sequence[str] = ("RBAC",)
    _admission_plugins: Sequence[str] = ("OwnerReferencesPermissionEnforcement",)
    """Beyond those that are on by default. With this one, whoever changes an object's owners must be allowed to delete
    it; some distributions turn it on."""
    _controllers: Sequence[str] = (
        "clusterrole-aggregation-controller",
        "garbage-collector-controller",
        "namespace-controller",
        "serviceaccount-controller",
        "serviceaccount-token-controller",
        "validatingadmissionpolicy-status-controller",
    )

    def __init__(
        self,
        *,
        audit: bool = False,
        crds: Sequence[Path] = (),
        binaries: Binaries | None = None,
        progress: Progress = to_stderr,
    ) -> None:
        """`audit` turns on the log that `requests` reads. `binaries` are found or built by default.

        `crds` are files applied before the controller manager starts. The garbage collector looks for new kinds every
        half minute only; those it finds when it starts it collects at once.
        """
        self.crds = tuple(crds)
        self.binaries = binaries or find_or_build(progress)
        self.dir = Path(tempfile.mkdtemp(prefix=self._prefix))
        self.kubeconfig = self.dir / "admin.kubeconfig"
        self.ca_file = self.dir / "certs" / "apiserver.crt"  # the API server makes its own CA and puts it there
        self.token = secrets.token_urlsafe(24)
        self.audit_log = self.dir / "audit.log" if audit else None
        self._audit = AuditLog(self.audit_log) if self.audit_log else None
        self._manager_token = secrets.token_urlsafe(24)
        self._port = 0
        self._children: dict[str, Child] = {}

    @property
    def url(self) -> str:
        """Where the API server listens; it does not change while the plane lives."""
        return f"https://{self.host}:{self._port}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Start everything and return when it serves.

        Ready means: the API server says so, ValidatingAdmissionPolicies are served, and the namespace `default` has
        got its ServiceAccount, which the controller manager made. Raises `ControlPlaneError`, and leaves nothing.
        """
        atexit.register(self.stop)
        try:
            self._write_files()
            self._start_parts()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End all processes at once and remove the directory: nothing in it is meant to last."""
        atexit.unregister(self.stop)
        for child in reversed(self._children.values()):
            stop(child, grace=0)
        self._children.clear()
        shutil.rmtree(self.dir, ignore_errors=True)

    def stop_apiserver(self) -> None:
        """Take the API server away, as an upgrade does; etcd keeps what is stored."""
        stop(self._children.pop("kube-apiserver"), grace=STOP_GRACE)

    def start_apiserver(self) -> None:
        """Bring the API server back, on the port it had, and return when it is ready."""
        self._launch("kube-apiserver", self._apiserver_command())
        self._await("kube-apiserver", self._serves)

    def restart_apiserver(self) -> None:
        """Stop the API server and start it again."""
        self.stop_apiserver()
        self.start_apiserver()

    def pid(self, name: str) -> int:
        """The process id of a part, such as `kube-apiserver`."""
        return self._children[name].pid

    def check(self) -> None:
        """Raise `ControlPlaneError` when a process has ended that should run."""
        for name, child in self._children.items():
            if child.poll() is not None:
                log = self._log(name)
                raise ControlPlaneError(f"{name} ended with {child.returncode}; {log}:\n{files.tail(log)}")

    def kubectl(
        self, *args: str, stdin: str | None = None, check: bool = True, kubeconfig: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl, as the administrator unless another kubeconfig is given.

        With `check`, a failure raises `subprocess.CalledProcessError`, with what kubectl said as a note.
        """
        chosen = kubeconfig or self.kubeconfig
        cache = self.dir / "kubectl-cache"
        return run_kubectl(self.binaries.kubectl, *args, kubeconfig=chosen, cache=cache, stdin=stdin, check=check)

    def kubeconfig_for(self, service_account: str, namespace: str) -> Path:
        """A kubeconfig with a token of that ServiceAccount, good for a day, and with its namespace."""
        token = self.kubectl("create", "token", service_account, "--namespace", namespace, "--duration=24h")
        path = self.dir / f"{namespace}-{service_account}.kubeconfig"
        files.write_kubeconfig(
            path, url=self.url, ca_file=self.ca_file, token=token.stdout.strip(), namespace=namespace
        )
        return path

    def audited(self) -> Sequence[Request]:
        """Every request that the API server has answered since the start, oldest first. Needs `audit=True`."""
        if self._audit is None:
            raise ValueError("requests are only logged by a ControlPlane(audit=True)")
        return self._audit.requests()

    def requests(
        self,
        *,
        user: str | None = None,
        agent: str | None = None,
        verb: str | None = None,
        resource: str | None = None,
    ) -> int:
        """How many requests there were of this kind. Needs `audit=True`.

        `agent` is the start of a user agent; `resource` is like `secrets` or `toolcredentials/status`. A client may
        have its answer a moment before the request is logged.
        """
        return sum(
            (user is None or seen.user == user)
            and (agent is None or seen.agent.startswith(agent))
            and (verb is None or seen.verb == verb)
            and (resource is None or seen.resource == resource)
            for seen in self.audited()
        )

    # --- starting

    def _start_parts(self) -> None:
        self._launch("etcd", self._etcd_command())
        self._await("etcd", (self.dir / _ETCD.removeprefix("unix://")).exists)
        self._start_apiserver_on_a_free_port()
        self._write_kubeconfigs()
        self._apply_crds()
        self._launch("kube-controller-manager", self._manager_command())
        self._await("kube-controller-manager", self._has_default_service_account)

    def _log(self, name: str) -> Path:
        return self.dir / "logs" / f"{name}.log"

    def _write_files(self) -> None:
        (self.dir / "logs").mkdir()
        files.write_service_account_keys(self.dir / "sa.key", self.dir / "sa.pub")
        files.write_tokens(self.dir / "tokens.csv", self._users())
        files.write_json(self.dir / "audit-policy.json", POLICY)

    def _users(self) -> dict[str, tuple[str, str]]:
        """Who there is: token and group of each."""
        return {"admin": (self.token, "system:masters"), _MANAGER: (self._manager_token, "")}

    @property
    def _inner_url(self) -> str:
        """Where the plane's own parts reach the API server."""
        return self.url

    def _write_kubeconfigs(self) -> None:
        for path, url, token in (
            (self.kubeconfig, self.url, self.token),
            (self.dir / "manager.kubeconfig", self._inner_url, self._manager_token),
        ):
            files.write_kubeconfig(path, url=url, ca_file=self.ca_file, token=token)

    def _apply_crds(self) -> None:
        for path in self.crds:
            self.kubectl("apply", "--server-side", f"--filename={path}")
            self._await("kube-apiserver", partial(self._is_established, path))

    def _is_established(self, path: Path) -> bool:
        # At first a CRD has no conditions at all, and kubectl does not wait for what is null.
        wait = ("wait", "--for=condition=Established", f"--filename={path}", "--timeout=30s")
        return self.kubectl(*wait, check=False).returncode == 0

    def _launch(self, name: str, command: list[str | Path]) -> None:
        environment = {k: v for k, v in os.environ.items() if k in {"PATH", "HOME", "TMPDIR"}}
        self._children[name] = spawn(command, log=self._log(name), cwd=self.dir, env=environment | CALM_COLLECTOR)

    def _await(self, what: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                log = self._log(what)
                raise ControlPlaneError(f"{what} is not ready after {START_TIMEOUT:.0f} s; {log}:\n{files.tail(log)}")
            time.sleep(0.1)
        self.check()

    def _start_apiserver_on_a_free_port(self) -> None:
        """Between finding a port free and listening on it, somebody else may take it: then try another."""
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            self._port = free_port()
            try:
                return self.start_apiserver()
            except ControlPlaneError:
                taken = "address already in use" in files.tail(self._log("kube-apiserver"))
                if attempt == _PORT_ATTEMPTS or not taken:
                    raise
        return None

    def _serves(self) -> bool:
        policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies?limit=1"
        return self._answers("/readyz") and self._answers(policies)

    def _has_default_service_account(self) -> bool:
        return self._answers("/api/v1/namespaces/default/serviceaccounts/default")

    def _answers(self, path: str) -> bool:
        """Whether our own API server (its CA proves that it is ours) answers this with success."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            connection = http.client.HTTPSConnection(self.host, self._port, timeout=5, context=context)
            with contextlib.closing(connection):
                connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
                return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False

    # --- command lines

    def _etcd_command(self) -> list[str | Path]:
        peer = "unix://etcd-peer:0"
        return [
            self.binaries.etcd,
            "--name=local",
            "--data-dir=etcd-data",
            f"--listen-client-urls={_ETCD}",
            f"--advertise-client-urls={_ETCD}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=local={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def _apiserver_command(self) -> list[str | Path]:
        logged = [f"--audit-log-path={self.audit_log}", "--audit-policy-file=audit-policy.json"]
        return [
            self.binaries.kube_apiserver,
            f"--etcd-servers={_ETCD}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--cert-dir={self.ca_file.parent}",
            f"--authorization-mode={','.join(self._authorizers)}",
            f"--enable-admission-plugins={','.join(self._admission_plugins)}",
            "--token-auth-file=tokens.csv",
            "--service-account-key-file=sa.pub",
            "--service-account-signing-key-file=sa.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--enable-priority-and-fairness=false",  # nobody here has to be held back for somebody else
            "--shutdown-watch-termination-grace-period=3s",  # else it waits a minute for watches to end
            *(logged if self.audit_log else []),
        ]

    def _manager_command(self) -> list[str | Path]:
        return [
            self.binaries.kube_controller_manager,
            "--kubeconfig=manager.kubeconfig",
            f"--controllers={','.join(self._controllers)}",
            "--use-service-account-credentials",
            "--service-account-private-key-file=sa.key",
            f"--root-ca-file={self.ca_file}",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        ]


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on just now."""
    for port in random.sample(_PORTS, k=100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ControlPlaneError("no free port among a hundred tried")
